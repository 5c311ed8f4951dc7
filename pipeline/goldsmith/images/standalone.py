"""A copy of an image that is ours to write to: qcow2, without a reference to any other file."""

from __future__ import annotations

import json
from pathlib import Path

from goldsmith.errors import HarnessError, HostError, InputError
from goldsmith.host.files import file_digest, replacing, require_space
from goldsmith.images.qemu import qemu_img, reason
from goldsmith.images.untrusted import looked_at

#: seconds: 16 TiB of it may be data, and a disk of the cloud writes 100 MiB/s
CONVERT_SECONDS = 6 * 3600.0
MEASURE_SECONDS = 600.0


def standalone(image: Path, target: Path) -> None:
    """Write the disk in ``image`` to ``target``, a qcow2 that stands alone; whole or absent.

    The image is opened read-only, in the format that its headers have; of a qcow2 with internal snapshots its present
    state is taken and they are left out.  Its virtual size stays.  Raises InputError for an image that is hostile or
    damaged, HostError where the disk has no room for the copy, HarnessError where somebody wrote to it meanwhile.
    """
    header = looked_at(image)
    before = file_digest(image)
    opened: list[str | Path] = ["-f", header.format, "-O", "qcow2"]
    measured = qemu_img(["measure", "--output=json", *opened, image.absolute()], MEASURE_SECONDS)
    if measured.returncode:
        raise InputError(f"cannot be read: {reason(measured)}", where=str(image))
    try:
        # What a qcow2 with the image's data needs: a small file can hold a large disk.
        needed = int(json.loads(measured.stdout)["required"])
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError("qemu-img measure said no JSON", where=str(image)) from error
    require_space(target.parent, needed, f"a copy of {image.name}")
    with replacing(target) as part:
        done = qemu_img(["convert", *opened, "-o", "compat=1.1", image.absolute(), part], CONVERT_SECONDS)
        if done.returncode:
            if "No space left" in done.stderr:
                raise HostError(f"no space for a copy of {image.name}", where=str(target.parent))
            raise InputError(f"cannot be read: {reason(done)}", where=str(image))
        if file_digest(image) != before:
            raise HarnessError("was written to while it was copied", where=str(image))
