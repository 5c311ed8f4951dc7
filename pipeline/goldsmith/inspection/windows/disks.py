"""Drive letters and the disks they mean, and what Windows does with a new disk.

HKLM\\SYSTEM\\MountedDevices: of an MBR disk 12 bytes, its signature and the partition's offset in bytes; of a GPT disk
"DMIO:ID:" and the partition's GUID; of anything else the name of its device in UTF-16.
"""

from __future__ import annotations

import string
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from goldsmith.inspection.disk import PartitionTable
from goldsmith.inspection.facts import shown
from goldsmith.inspection.windows.registry import Registry

_KEY = ("MountedDevices",)
_GPT = b"DMIO:ID:"
#: SanPolicy of partmgr, as VDS_SAN_POLICY names its values
SAN_POLICIES = {1: "OnlineAll", 2: "OfflineShared", 3: "OfflineAll", 4: "OfflineInternal"}


@dataclass(frozen=True)
class DriveLetter:
    #: as "C:"
    letter: str
    #: "mbr", "gpt" or "device"
    kind: str
    #: of an MBR disk "5cbea03e at 1048576", of GPT the partition's GUID, else the device's name
    identity: str
    #: the partition of this image that it means, as "/dev/sda2"; None where it is none of this disk
    device: str | None
    #: why it is none
    note: str


def drive_letters(system: Registry, table: PartitionTable | None, device: str) -> tuple[DriveLetter, ...]:
    """Every letter of MountedDevices; ``table`` is that of the image's disk, ``device`` the disk's own name."""
    return tuple(_letters(system, table, device))


def _letters(system: Registry, table: PartitionTable | None, device: str) -> Iterator[DriveLetter]:
    for letter in string.ascii_uppercase:
        value = system.value(_KEY, f"\\DosDevices\\{letter}:")
        if value is not None:
            yield meaning(f"{letter}:", value.raw, table, device)


def meaning(letter: str, raw: bytes, table: PartitionTable | None, device: str) -> DriveLetter:
    """What the bytes of a value of MountedDevices mean on a disk with this table."""
    if len(raw) == 12:
        signature, offset = struct.unpack("<IQ", raw)
        identity = f"{signature:08x} at {offset}"
        if table is None or table.kind != "mbr":
            return DriveLetter(letter, "mbr", identity, None, "this disk has no MBR partitions")
        if table.id != f"{signature:08x}":
            return DriveLetter(letter, "mbr", identity, None, f"another disk: the signature of this one is {table.id}")
        number = next((each.number for each in table.partitions if each.start == offset), None)
    elif len(raw) == 24 and raw.startswith(_GPT):
        identity = str(uuid.UUID(bytes_le=raw[8:]))
        if table is None or table.kind != "gpt":
            return DriveLetter(letter, "gpt", identity, None, "this disk has no GPT")
        number = next((each.number for each in table.partitions if each.guid == identity), None)
        if number is None:
            return DriveLetter(letter, "gpt", identity, None, "another disk: no partition of this one has this GUID")
        return DriveLetter(letter, "gpt", identity, f"{device}{number}", "")
    else:
        name = raw.decode("utf-16-le", errors="replace").partition("\0")[0]
        return DriveLetter(letter, "device", shown(name), None, "a device that is no partition")
    if number is None:
        return DriveLetter(letter, "mbr", identity, None, "no partition of this disk begins there")
    return DriveLetter(letter, "mbr", identity, f"{device}{number}", "")


def san_policy(system: Registry) -> str | None:
    """What becomes of new disks, by its name; None where it is not set, which is Windows' default."""
    key = (system.control_set(), "Services", "partmgr", "Parameters")
    number = system.number(key, "SanPolicy")
    return None if number is None else SAN_POLICIES.get(number, f"unknown policy {number}")
