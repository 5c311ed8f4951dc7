"""qcow2 (docs/interop/qcow2.txt of QEMU): encryption, and the external data file that no feature bit announces."""

from __future__ import annotations

import struct

from goldsmith.images.source import Source, Unsafe

#: version, backing file's offset and length, cluster bits, size, encryption, L1 size, L1 offset, refcount table's
#: offset and clusters, number of snapshots
_HEADER = struct.Struct(">4xIQIIQIIQQII")
_HEADER_LENGTH_AT = 100
_DATA_FILE, _END = 0x44415441, 0
#: QEMU knows five extensions
_MOST_EXTENSIONS = 64


def facts(source: Source) -> tuple[int, int]:
    """Virtual size in bytes and number of internal snapshots."""
    version, _, _, bits, size, encryption, _, *tables, _, snapshots = _HEADER.unpack(source.read(0, _HEADER.size))
    if encryption:
        raise Unsafe("is encrypted")
    if not 9 <= bits <= 21:
        raise Unsafe(f"says that its clusters have 2^{bits} bytes; 2^9 to 2^21 are possible")
    if max(tables) >= source.size:
        raise Unsafe(f"is truncated: a table begins at byte {max(tables)}, and the file has {source.size}")
    start = _HEADER.size + 8
    if version == 3:
        (start,) = struct.unpack(">I", source.read(_HEADER_LENGTH_AT, 4))
        if not 104 <= start <= 2**bits:
            raise Unsafe(f"says that its header has {start} bytes")
    _require_no_data_file(source, start, 2**bits)
    return size, snapshots


def _require_no_data_file(source: Source, offset: int, end: int) -> None:
    for _ in range(_MOST_EXTENSIONS):
        head = source.upto(offset, 8)
        if offset + 8 > end or len(head) < 8:
            return
        kind, length = struct.unpack(">II", head)
        if kind == _END:
            return
        if kind == _DATA_FILE:
            raise Unsafe("names an external data file")
        offset += 8 + -(-length // 8) * 8
    raise Unsafe(f"has more than {_MOST_EXTENSIONS} header extensions")
