"""Whether the tables inside an image hold together, by qemu-img; for images that were looked at."""

from __future__ import annotations

import json
from pathlib import Path

from goldsmith.errors import HarnessError, InputError
from goldsmith.host.disk_format import DiskFormat
from goldsmith.images.qemu import qemu_img, reason

#: seconds, before scaling: the tables of 1 TiB of clusters are 128 MiB
CHECK_SECONDS = 300.0
#: formats that qemu-img can check; VHD's table is looked at with its header
_CHECKED = ("qcow2", "vmdk", "vhdx")
#: exit statuses of qemu-img check besides 0: errors were found, or no more than clusters that nobody uses
_CORRUPT, _LEAKS = 2, 3
#: the file may end inside its last cluster; the largest is 2 MiB
_CLUSTER = 2 * 2**20


def require_sound(path: Path, image_format: DiskFormat, scale: float) -> None:
    """Raise InputError for an image whose tables are damaged or lead past its end; ``scale`` is for the deadline."""
    if image_format not in _CHECKED:
        return
    done = qemu_img(["check", "-f", image_format, "--output=json", path.absolute()], CHECK_SECONDS * scale)
    if done.returncode not in (0, _LEAKS):
        said = "qemu-img check finds errors in it" if not done.stderr.strip() else reason(done)
        what = "is damaged" if done.returncode == _CORRUPT else "cannot be opened"
        raise InputError(f"{what}: {said}", where=str(path))
    try:
        end = int(json.loads(done.stdout).get("image-end-offset", 0))
    except (ValueError, AttributeError) as error:
        raise HarnessError("qemu-img check said no JSON", where=str(path)) from error
    missing = end - path.stat().st_size
    if missing >= _CLUSTER:
        raise InputError(f"is truncated: {missing} bytes are missing at its end", where=str(path))
