"""VMDK with its one extent in the file itself (streamOptimized, monolithicSparse).

QEMU (block/vmdk.c) follows parentFileNameHint to any file, and takes a header of capacity 0 for a mere envelope of a
descriptor, whose extents it then opens by name.  oslo.utils reads the descriptor in lower case and QEMU does not, so a
key that is there twice could mean something else to each.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from typing import NamedTuple

from goldsmith.images.source import Source, Unsafe

#: version, flags, capacity, grain size, descriptor's offset and size, GTEs a table, offsets of both directories
_HEADER = struct.Struct("<4xIIQQQQIQQ")
_DESCRIPTOR = 512
#: bytes after the header in which QEMU looks for a parent, whatever the descriptor's size is said to be
_SEARCHED = 20 * 512
_LARGEST_DESCRIPTOR = 2**20
_AT_END = 2**64 - 1
#: QEMU's limit, in sectors
_LARGEST_GRAIN = 0x1000000 // 512
_SUBFORMATS = {"streamoptimized", "monolithicsparse"}
_NO_PARENT = "ffffffff"


def virtual_size(source: Source) -> int:
    """Bytes of the disk."""
    if source.read(0, 4) != b"KDMV":
        raise Unsafe("is a VMDK whose data lie in other files")
    header = _sparse(source, 0)
    if not header.capacity:
        raise Unsafe("is a VMDK whose data lie in other files")
    length = min(max(_SEARCHED, header.descriptor * 512), _LARGEST_DESCRIPTOR)
    _require_alone(source.upto(_DESCRIPTOR, length).decode("latin-1").lower())
    directory = header.directory
    if directory == _AT_END:
        footer = _sparse(source, source.size - 1024)
        directory = footer.directory
        if footer._replace(directory=_AT_END) != header:
            raise Unsafe("has a footer that contradicts its header")
    _require_tables(source, header, directory)
    return header.capacity * 512


class _Sparse(NamedTuple):
    """Of a header: capacity, grain and descriptor in sectors, entries of a table, the directory's first sector."""

    capacity: int
    grain: int
    descriptor: int
    entries: int
    directory: int


def _sparse(source: Source, offset: int) -> _Sparse:
    _, _, capacity, grain, _, size, entries, _, directory = _HEADER.unpack(source.read(offset, _HEADER.size))
    return _Sparse(capacity, grain, size, entries, directory)


def _require_tables(source: Source, header: _Sparse, directory: int) -> None:
    """The directory of grains and the tables that it leads to lie in the file; what they lead to, qemu-img checks."""
    if not 1 <= header.entries <= 512 or not 1 <= header.grain <= _LARGEST_GRAIN:
        raise Unsafe(f"is a VMDK with {header.entries} grains of {header.grain} sectors in a table")
    count = -(-header.capacity // (header.grain * header.entries))
    tables = array("I", source.read(directory * 512, 4 * count))
    if sys.byteorder == "big":
        tables.byteswap()
    end = max(tables) * 512 + 4 * header.entries
    if any(tables) and end > source.size:
        raise Unsafe(f"is truncated: a table ends at byte {end}, the file at {source.size}")


def _require_alone(searched: str) -> None:
    if "parentfilenamehint" in searched:
        raise Unsafe("is a VMDK that names a parent")
    text = searched.partition("\0")[0]
    kinds = re.findall(r'createtype\s*=\s*"?([^"\n]*)', text)
    if len(kinds) != 1 or kinds[0].strip() not in _SUBFORMATS:
        raise Unsafe("is a VMDK that does not say that it is streamOptimized or monolithicSparse")
    if any(each != _NO_PARENT for each in re.findall(r"parentcid\s*=\s*(\w*)", text)):
        raise Unsafe("is a VMDK with a parent")
    extents = [line.split() for line in map(str.strip, text.splitlines()) if re.match(r"(rw|rdonly|noaccess)\s", line)]
    if len(extents) != 1 or len(extents[0]) < 4 or extents[0][2] != "sparse":
        raise Unsafe("is a VMDK with other extents than its own")
    name = " ".join(extents[0][3:])
    if re.search(r"[/\\]|\.\.", name):
        raise Unsafe(f"is a VMDK with an extent elsewhere: {name}")
