"""An image that somebody hands in: what it is, before anything but a reader of headers has opened it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from goldsmith.errors import HarnessError, InputError
from goldsmith.host.files import file_digest
from goldsmith.host.run import run
from goldsmith.verify.untrusted import image_format

#: seconds, before scaling: the tables of 1 TiB of clusters are 128 MiB
CHECK_SECONDS = 300.0
#: exit statuses of qemu-img check besides 0: errors were found, or no more than clusters that nobody uses
_CORRUPT, _LEAKS = 2, 3
#: the file may end inside its last cluster; the largest is 2 MiB
_CLUSTER = 2 * 2**20


@dataclass(frozen=True)
class Image:
    """A file that is safe to open."""

    path: Path
    format: Literal["qcow2", "raw"]
    sha256: str
    #: bytes of the file
    size: int


def examined(path: Path, scale: float) -> Image:
    """Look at a file's format, and at the tables of a qcow2; ``scale`` multiplies the deadline.

    Raises InputError for what is no image, refers to other files, or is damaged.
    """
    try:
        if path.is_dir():
            raise InputError("is a folder, not an image", where=str(path))
        if not path.exists():
            raise InputError("no such file", where=str(path))
        if not path.is_file():
            raise InputError("is neither a file nor a link to one", where=str(path))
        if path.stat().st_size == 0:
            raise InputError("is empty", where=str(path))
        found = image_format(path)
        if found == "qcow2":
            _require_sound(path, scale)
        return Image(path.absolute(), found, file_digest(path), path.stat().st_size)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _require_sound(path: Path, scale: float) -> None:
    argv: list[str | Path] = ["qemu-img", "check", "-f", "qcow2", "--output=json", path.absolute()]
    done = run(argv, deadline=CHECK_SECONDS * scale, check=False, hint="install qemu-utils")
    if done.returncode not in (0, _LEAKS):
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = lines[0].removeprefix("qemu-img: ") if lines else "qemu-img check finds errors in it"
        what = "is damaged" if done.returncode == _CORRUPT else "cannot be opened"
        raise InputError(f"{what}: {said}", where=str(path))
    try:
        end = int(json.loads(done.stdout).get("image-end-offset", 0))
    except (ValueError, AttributeError) as error:
        raise HarnessError("qemu-img check said no JSON", where=str(path)) from error
    missing = end - path.stat().st_size
    if missing >= _CLUSTER:
        raise InputError(f"is truncated: {missing} bytes are missing at its end", where=str(path))
