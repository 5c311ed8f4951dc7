"""An image that somebody hands in: what it is, before anything but a reader of headers has opened it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from goldsmith.errors import InputError
from goldsmith.host.disk_format import DiskFormat
from goldsmith.host.files import file_digest
from goldsmith.images.sound import require_sound
from goldsmith.images.untrusted import image_format


@dataclass(frozen=True)
class Image:
    """A file that is safe to open."""

    path: Path
    format: DiskFormat
    sha256: str
    #: bytes of the file
    size: int


def examined(path: Path, scale: float) -> Image:
    """Look at a file's format, and at its tables; ``scale`` multiplies the deadline.

    Raises InputError for what is no image, refers to other files, or is damaged.
    """
    try:
        found = image_format(path)
        require_sound(path, found, scale)
        return Image(path.absolute(), found, file_digest(path), path.stat().st_size)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
