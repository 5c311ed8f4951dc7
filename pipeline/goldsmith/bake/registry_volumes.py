r"""Drive letters: the values of ``HKLM\SYSTEM\MountedDevices``, and the partitions that they mean.

Forms (winreg-kb.readthedocs.io, "Mounted devices"): MBR 12 bytes, the disk's signature and the partition's offset in
bytes, both little endian; GPT 24 bytes, ``DMIO:ID:`` and the partition's GUID, its first three fields little endian;
else a UTF-16 text, of removable disks and drives for discs.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from goldsmith.bake.registry_reader import Values
from goldsmith.errors import InputError
from goldsmith.recipe.registry import Entry, Volume, VolumeData

KEY = r"HKLM\SYSTEM\MountedDevices"
_GPT = b"DMIO:ID:"
_LETTER = re.compile(r"\\DosDevices\\([A-Z]):", re.IGNORECASE)
#: the letter that Windows and its programs are installed under
_SYSTEM = "C"


@dataclass(frozen=True)
class Partition:
    """``number`` as in the table, from 1; ``offset`` in bytes; ``guid`` its unique GUID, on GPT."""

    number: int
    offset: int
    guid: uuid.UUID | None = None


@dataclass(frozen=True)
class PartitionTable:
    """The table of one disk: an MBR with its ``signature``, or a GPT, whose partitions have GUIDs."""

    partitions: tuple[Partition, ...]
    signature: int | None = None


@dataclass(frozen=True)
class Letter:
    """A drive letter as the hive has it: the partition of this disk that it means, else what it means in words."""

    letter: str
    content: bytes = field(repr=False)
    partition: int | None
    means: str


def content(volume: Volume, table: PartitionTable) -> bytes:
    """The 12 or 24 bytes for a volume on the disk with this table.

    Raises InputError where the table has no such partition.  A volume of another disk can be given by signature and
    offset, or by GUID, and is taken as it is.
    """
    if volume.signature is not None and volume.offset is not None:
        return struct.pack("<IQ", int(volume.signature, 16), volume.offset)
    if volume.guid is not None:
        return _GPT + uuid.UUID(volume.guid).bytes_le
    for each in table.partitions:
        if each.number == volume.partition:
            return _of(each, table)
    known = ", ".join(str(each.number) for each in table.partitions) or "none"
    raise InputError(f"the disk has no partition {volume.partition}", hint=f"its partitions: {known}")


def _of(partition: Partition, table: PartitionTable) -> bytes:
    if partition.guid is not None:
        return _GPT + partition.guid.bytes_le
    if not table.signature:
        # Windows writes one when it first sees such a disk, and nobody knows it yet.
        raise InputError("the disk has no MBR signature, so none of its volumes has a name yet")
    return struct.pack("<IQ", table.signature, partition.offset)


def letters(mounted: Values, table: PartitionTable) -> list[Letter]:
    """The drive letters in the values of MountedDevices (read_key), by letter."""
    found = []
    for name, (_, raw) in mounted.items():
        if match := _LETTER.fullmatch(name):
            number, means = _meaning(raw, table)
            found.append(Letter(match[1].upper(), raw, number, means))
    return sorted(found, key=lambda each: each.letter)


def _meaning(raw: bytes, table: PartitionTable) -> tuple[int | None, str]:
    if len(raw) == 12:
        signature, offset = struct.unpack("<IQ", raw)
        text = f"disk {signature:08x}, byte {offset}"
        own = signature == table.signature
        return next((p.number for p in table.partitions if own and p.guid is None and p.offset == offset), None), text
    if len(raw) == 24 and raw.startswith(_GPT):
        guid = uuid.UUID(bytes_le=raw[8:])
        return next((p.number for p in table.partitions if p.guid == guid), None), f"GPT partition {guid}"
    return None, raw.decode("utf-16-le", errors="replace") if len(raw) % 2 == 0 else raw.hex()


def resolved(entries: Iterable[Entry], table: PartitionTable) -> list[Entry]:
    """The entries with each volume replaced by its bytes, as hex digits.  Raises InputError as ``content`` does."""
    found = []
    for entry in entries:
        if isinstance(entry.data, VolumeData):
            entry = entry.model_copy(update={"data": content(entry.data.volume, table).hex()})
        found.append(entry)
    return found


def require_one_letter(entries: Sequence[Entry], mounted: Mapping[str, tuple[int, bytes]]) -> None:
    """Raise InputError where, with these (resolved) entries merged, a volume would have two letters, or C: be taken.

    ``mounted`` are the values of MountedDevices as they are.  Windows keeps one letter a volume, and which of two it
    would keep is not ours to guess.
    """
    after = {name.upper(): raw for name, (_, raw) in mounted.items() if _LETTER.fullmatch(name)}
    wanted = [entry for entry in entries if entry.key.upper() == KEY.upper() and _LETTER.fullmatch(entry.value)]
    for entry in wanted:
        encoded = entry.encoded()
        if encoded is None:
            after.pop(entry.value.upper(), None)
        else:
            after[entry.value.upper()] = encoded[1]
    for entry in wanted:
        encoded = entry.encoded()
        same = [] if encoded is None else [name for name, raw in after.items() if raw == encoded[1]]
        if len(same) > 1:
            listed = " and ".join(sorted(name[-2:] for name in same))
            other = next(name for name in same if name != entry.value.upper())[-2]
            hint = "leave it its letter" if other == _SYSTEM else f"free {other} as well"
            raise InputError(
                f"one volume would have the letters {listed}", where=f"{entry.key} {entry.value}", hint=hint
            )
