"""A disk byte by byte, with a partition table: cut off, if a partition lies past its end."""

from __future__ import annotations

import struct

from goldsmith.images.source import Source, Unsafe

_SECTOR = 512
_PROTECTIVE = 0xEE
#: the protective MBR, the header and 128 entries of 128 bytes
_GPT = 34 * _SECTOR


def virtual_size(source: Source) -> int:
    """The file's size."""
    entries = [struct.unpack("<4xB3xII", source.read(446 + 16 * index, 16)) for index in range(4)]
    header = source.upto(_SECTOR, 92)
    if source.size < _GPT and any(kind == _PROTECTIVE for kind, _, _ in entries):
        raise Unsafe(f"is truncated: the file has {source.size} bytes, its partition table alone {_GPT}")
    if header.startswith(b"EFI PART") and len(header) == 92:
        # UEFI specification, 5.3.2: the last block that partitions may use
        (last,) = struct.unpack_from("<Q", header, 48)
        _require_inside((last + 1) * _SECTOR, source)
    for kind, start, sectors in entries:
        # A protective entry may say any size; with blocks of 4096 bytes there is a GPT that was not seen above.
        if kind not in (0, _PROTECTIVE):
            _require_inside((start + sectors) * _SECTOR, source)
    return source.size


def _require_inside(end: int, source: Source) -> None:
    if end > source.size:
        raise Unsafe(f"is truncated: its partitions end at byte {end}, the file at {source.size}")
