"""The state of an NTFS volume, from its own records: whether Windows held it for dirty when it was last written.

Layout after the documentation of ntfs-3g (layout.h): the boot sector leads to the MFT, whose fourth record is $Volume;
its attribute 0x70, $VOLUME_INFORMATION, has the flags.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from goldsmith.inspection.disk import SECTOR, Reader

_VOLUME_RECORD = 3
_VOLUME_INFORMATION = 0x70
_END = 0xFFFFFFFF
_DIRTY = 0x0001
_LARGEST_RECORD = 4096


@dataclass(frozen=True)
class NtfsState:
    #: such as "3.1"
    version: str
    #: Windows will check the volume at its next start, and ntfs-3g mounts it with care
    dirty: bool


def ntfs_state(read: Reader) -> NtfsState:
    """Of the volume whose first byte is ``read``'s first.  Raises ValueError where it is no NTFS that makes sense."""
    boot = read(0, SECTOR)
    if len(boot) < SECTOR or boot[3:11] != b"NTFS    ":
        raise ValueError("no boot sector of NTFS")
    sector, per_cluster = struct.unpack_from("<HB", boot, 11)
    # From 244 on it is a power of two, negative, as of the records below.
    cluster = sector * (per_cluster if per_cluster <= 128 else 1 << (256 - per_cluster))
    (first,) = struct.unpack_from("<Q", boot, 48)
    (per_record,) = struct.unpack_from("<b", boot, 64)
    size = per_record * cluster if per_record > 0 else 1 << -per_record
    if not 256 <= sector <= 4096 or not SECTOR <= size <= _LARGEST_RECORD:
        raise ValueError(f"an NTFS whose sectors have {sector} bytes and its records {size}")
    record = _fixed(read(first * cluster + _VOLUME_RECORD * size, size), size)
    content = _attribute(record, _VOLUME_INFORMATION)
    major, minor, flags = struct.unpack_from("<BBH", content, 8)
    return NtfsState(f"{major}.{minor}", bool(flags & _DIRTY))


def _fixed(record: bytes, size: int) -> bytes:
    """A record with the last two bytes of each sector put back, which NTFS keeps in its update sequence."""
    if len(record) < size or record[:4] != b"FILE":
        raise ValueError("no record of $Volume")
    offset, count = struct.unpack_from("<HH", record, 4)
    whole = bytearray(record)
    for index in range(1, min(count, size // SECTOR + 1)):
        end = index * SECTOR
        if record[end - 2 : end] != record[offset : offset + 2]:
            raise ValueError("a record of $Volume that was torn when it was written")
        whole[end - 2 : end] = record[offset + 2 * index : offset + 2 * index + 2]
    return bytes(whole)


def _attribute(record: bytes, wanted: int) -> bytes:
    (at,) = struct.unpack_from("<H", record, 20)
    while at + 24 <= len(record):
        kind, length, elsewhere = struct.unpack_from("<IIB", record, at)
        if kind == _END or length < 24:
            break
        if kind == wanted and not elsewhere:
            size, offset = struct.unpack_from("<IH", record, at + 16)
            return record[at + offset : at + offset + size]
        at += length
    raise ValueError("a record of $Volume without its flags")
