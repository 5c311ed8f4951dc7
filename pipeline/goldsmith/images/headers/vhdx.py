"""VHDX ([MS-VHDX]; QEMU's block/vhdx.c): parents, tables that point nowhere, a log that was not replayed."""

from __future__ import annotations

import struct
import uuid

from goldsmith.images.source import Source, Unsafe

_KIB, _MIB = 2**10, 2**20
_HEADERS = (64 * _KIB, 128 * _KIB)
#: signature, checksum, sequence number, two GUIDs, GUID of the log
_HEADER = struct.Struct("<4sIQ16x16x16s")
_REGIONS = 192 * _KIB
_ENTRY = 32
_MOST_ENTRIES = 2047
_BAT = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_PARENT = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
_HAS_PARENT = 2
_LARGEST_METADATA = 64 * _KIB


def virtual_size(source: Source) -> int:
    """Bytes of the disk."""
    _require_closed(source)
    regions = _regions(source)
    if missing := [name for name, guid in (("BAT", _BAT), ("metadata", _METADATA)) if guid not in regions]:
        raise Unsafe(f"is a VHDX without its {missing[0]} region")
    bat_at, bat_length = regions[_BAT]
    if bat_at + bat_length > source.size:
        raise Unsafe("is truncated: the VHDX's block allocation table lies past its end")
    items = _items(source, *regions[_METADATA])
    if _PARENT in items:
        raise Unsafe("is a differencing VHDX: most of it is in its parent")
    if _PARAMETERS not in items or _SIZE not in items:
        raise Unsafe("is a VHDX that does not say its size")
    block, flags = struct.unpack("<II", source.read(items[_PARAMETERS], 8))
    if flags & _HAS_PARENT:
        raise Unsafe("is a differencing VHDX: most of it is in its parent")
    if not _MIB <= block <= 256 * _MIB or block & (block - 1):
        raise Unsafe(f"says that its blocks have {block} bytes; 1 to 256 MiB are possible")
    (size,) = struct.unpack("<Q", source.read(items[_SIZE], 8))
    return int(size)


def _require_closed(source: Source) -> None:
    headers = [_HEADER.unpack(source.read(at, _HEADER.size)) for at in _HEADERS]
    # The one with the higher number counts; a writer may have been at the other.
    valid = sorted((number, log) for signature, _, number, log in headers if signature == b"head")
    if not valid:
        raise Unsafe("is a VHDX without a header")
    if any(valid[-1][1]):
        raise Unsafe("is a VHDX that was not closed: its log must be replayed first (`qemu-img check -r all` does)")


def _regions(source: Source) -> dict[bytes, tuple[int, int]]:
    """Offset and length of each region by its GUID."""
    signature, _, count, _ = struct.unpack("<4sIII", source.read(_REGIONS, 16))
    if signature != b"regi" or count > _MOST_ENTRIES:
        raise Unsafe("is a VHDX without a table of its regions")
    table = source.read(_REGIONS + 16, count * _ENTRY)
    found: dict[bytes, tuple[int, int]] = {}
    for guid, offset, length, _ in struct.iter_unpack("<16sQII", table):
        if guid in found or offset < _MIB:
            raise Unsafe("is a VHDX whose regions make no sense")
        found[guid] = (offset, length)
    return found


def _items(source: Source, start: int, length: int) -> dict[bytes, int]:
    """Offset in the file of each metadata item, by its GUID."""
    signature, count = struct.unpack("<8s2xH", source.read(start, 12))
    if signature != b"metadata" or count > _MOST_ENTRIES:
        raise Unsafe("is a VHDX without a table of its metadata")
    found: dict[bytes, int] = {}
    for guid, offset, size, _, _ in struct.iter_unpack("<16sIIII", source.read(start + _ENTRY, count * _ENTRY)):
        if guid in found or offset < _LARGEST_METADATA or offset + size > length:
            raise Unsafe("is a VHDX whose metadata make no sense")
        found[guid] = start + offset
    return found
