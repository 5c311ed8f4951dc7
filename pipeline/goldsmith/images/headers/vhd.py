"""VHD, fixed or dynamic (Microsoft's Virtual Hard Disk Image Format Specification 1.0; QEMU's block/vpc.c)."""

from __future__ import annotations

import struct
import sys
from array import array

from goldsmith.images.source import Source, Unsafe

_FOOTER = 512
_COOKIE = b"conectix"
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_UNUSED = 0xFFFFFFFF
#: offset of the table, version, entries, block size
_DYNAMIC_HEADER = struct.Struct(">8s8xQIII")
_PARENT_NAME, _PARENT_NAME_LENGTH = 64, 512


def has_footer_only(source: Source) -> bool:
    """Whether a disk is followed by a VHD's footer, which makes it a fixed one."""
    return source.size > _FOOTER and source.read(source.size - _FOOTER, len(_COOKIE)) == _COOKIE


def virtual_size(source: Source) -> int:
    """Bytes of the disk, as the footer has them."""
    # A dynamic disk begins with a copy of the footer, and QEMU reads that one.
    at_start = source.read(0, len(_COOKIE)) == _COOKIE
    footer = source.read(0 if at_start else source.size - _FOOTER, _FOOTER)
    header_at, size, kind = (
        struct.unpack_from(form, footer, at)[0] for form, at in ((">Q", 16), (">Q", 48), (">I", 60))
    )
    if kind == _DIFFERENCING:
        raise Unsafe("is a differencing VHD: most of it is in its parent")
    if kind != (_DYNAMIC if at_start else _FIXED):
        raise Unsafe(f"is a VHD of kind {kind}; fixed and dynamic ones are known")
    if at_start:
        _require_dynamic(source, header_at, size)
    elif size + _FOOTER > source.size:
        raise Unsafe(f"is truncated: a disk of {size} bytes in a file of {source.size}")
    return int(size)


def _require_dynamic(source: Source, header_at: int, size: int) -> None:
    header = source.read(header_at, 1024)
    cookie, table_at, _, entries, block = _DYNAMIC_HEADER.unpack_from(header)
    if cookie != b"cxsparse":
        raise Unsafe("is a dynamic VHD without its second header")
    if any(header[_PARENT_NAME : _PARENT_NAME + _PARENT_NAME_LENGTH]):
        raise Unsafe("is a VHD that names a parent")
    if block < 512 or block & (block - 1) or entries * block < size:
        raise Unsafe(f"is a VHD of {size} bytes with {entries} blocks of {block} bytes")
    table = array("I", source.read(table_at, 4 * entries))
    if sys.byteorder == "little":
        table.byteswap()
    # A bit for each sector stands in front of a block, filled up to a whole sector.
    bitmap = -(-block // 512 // 8 // 512) * 512
    last = max((each for each in table if each != _UNUSED), default=None)
    if last is not None and last * 512 + bitmap + block > source.size:
        raise Unsafe(f"is truncated: a block ends at byte {last * 512 + bitmap + block}, the file at {source.size}")
