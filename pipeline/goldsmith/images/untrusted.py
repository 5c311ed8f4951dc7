"""An image is untrusted until its headers were looked at: they can name any file of the host.

The one door: nothing gives a file to QEMU or libguestfs that did not come through here, and both are told the format
that was found, so that neither guesses.  oslo.utils' format_inspector, which Glance and Nova use, says what a file is
and refuses what they refuse.  What it leaves to QEMU is looked at beside it, format by format: ``headers``.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from goldsmith.errors import InputError
from goldsmith.host.disk_format import DiskFormat
from goldsmith.images.headers import qcow2 as qcow
from goldsmith.images.headers import raw, vhd, vhdx, vmdk
from goldsmith.images.source import Source, Unsafe, opened

if TYPE_CHECKING:
    from oslo_utils.imageutils import format_inspector

#: the largest file on an ext4 host, and the largest disk that a recipe may ask for
LARGEST = 16 * 2**40

#: what is shown to the inspector: descriptors and tables that begin later are refused
_HEAD = 8 * 2**20
#: a stream-optimized VMDK ends with three sectors of footer
_TAIL = 1536
_CHUNK = 64 * 2**10

# It logs what it then raises; without a handler Python would print that beside our own message.
logging.getLogger("oslo_utils").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Header:
    """What an image says of itself.  ``virtual_size`` in bytes; ``snapshots`` are a qcow2's internal ones."""

    format: DiskFormat
    virtual_size: int
    snapshots: int = 0


def image_format(image: Path) -> DiskFormat:
    """As ``looked_at``, and of that the format."""
    return looked_at(image).format


def looked_at(image: Path) -> Header:
    """The header of an image that is safe to open, by its format and no other.

    Nothing but this process reads the file, at most some MiB of it.  Raises InputError for what cannot be read, is no
    image, is of another format, refers to other files (backing file, data file, extents, parents), is encrypted, uses
    features nobody knows, or is cut off.
    """
    with opened(image) as source:
        try:
            header = _header(source)
            if not 0 < header.virtual_size <= LARGEST:
                raise Unsafe(f"says that it is a disk of {header.virtual_size} bytes: more than none, 16 TiB at most")
        except Unsafe as error:
            raise InputError(str(error), where=str(image)) from error
        return header


def _header(source: Source) -> Header:
    found = _inspected(source)
    if found == "gpt" and vhd.has_footer_only(source):
        found = "vhd"
    match found:
        case "gpt":
            # Both kinds of partition tables go by this name.
            return Header("raw", raw.virtual_size(source))
        case "qcow2":
            return Header("qcow2", *qcow.facts(source))
        case "vmdk":
            return Header("vmdk", vmdk.virtual_size(source))
        case "vhd":
            return Header("vpc", vhd.virtual_size(source))
        case "vhdx":
            return Header("vhdx", vhdx.virtual_size(source))
    raise Unsafe(f"is {found}, expected qcow2, raw, vmdk, vhd or vhdx")


def _inspected(source: Source) -> str:
    """oslo.utils' name of the format, after its own safety check."""
    # Slow to import, and most runs look at no image.
    from oslo_utils.imageutils import format_inspector

    try:
        inspector = _inspector(source)
        # What is nothing else is called raw; a raw image that can boot has a partition table.
        if inspector is None or str(inspector) == "raw":
            raise Unsafe("is no disk image: neither qcow2, vmdk, vhd, vhdx nor a partitioned disk")
        inspector.safety_check()
        return str(inspector)
    except format_inspector.SafetyCheckFailed as error:
        said = "; ".join(sorted(str(each) for each in error.failures.values()))
        raise Unsafe(f"is not safe to open: {said}") from error
    except format_inspector.ImageFormatError as error:
        raise Unsafe(f"is not safe to open: {error}") from error
    except (Unsafe, OSError):
        raise
    except Exception as error:
        # A parser that stumbles over what it was given has not found it safe.
        raise Unsafe(f"is not safe to open: its headers make no sense ({error!r})") from error


def _inspector(source: Source) -> format_inspector.FileInspector | None:
    """As its ``detect_file_format``, which would read the whole of a file that ends in a footer."""
    from oslo_utils.imageutils import format_inspector

    shown = cast(BinaryIO, _Shown(source))
    wrapper = format_inspector.InspectWrapper(shown)
    while wrapper.read(_CHUNK):
        if found := wrapper.format:
            return found
    wrapper.close()
    return wrapper.format


class _Shown(io.RawIOBase):
    """The head of a file, and its tail where that is not part of the head, as one stream."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._head = min(source.size, _HEAD)
        self._position = 0

    def read(self, size: int = -1, /) -> bytes:
        if self._position >= self._source.size:
            return b""
        if self._position < self._head:
            chunk = self._source.read(self._position, min(size, self._head - self._position))
            self._position += len(chunk)
            return chunk
        tail = min(_TAIL, self._source.size - self._head)
        self._position = self._source.size
        return self._source.read(self._source.size - tail, tail)
