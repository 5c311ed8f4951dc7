"""A disk's partition table, read from its bytes; sizes and offsets are bytes.

MBR and its chain of logical partitions; GPT: UEFI specification 2.10, chapter 5.  What a table says is not believed
beyond a number of entries that is sane.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

#: of a disk: offset and length to bytes, fewer at its end
Reader = Callable[[int, int], bytes]

SECTOR = 512
#: boot code in front of the signature and the table
CODE = 440
_MOST_ENTRIES = 256
_MOST_LOGICAL = 128
_EXTENDED = (0x05, 0x0F, 0x85)
_PROTECTIVE = 0xEE

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"
_NAMES = {
    ESP: "EFI system partition",
    BIOS_BOOT: "BIOS boot partition",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root (x86-64)",
    "bc13c2ff-59e6-4262-a352-b275fd6f7172": "Linux /boot",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Microsoft basic data",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
    "0x05": "extended",
    "0x07": "NTFS or exFAT",
    "0x0b": "FAT32",
    "0x0c": "FAT32",
    "0x0f": "extended",
    "0x27": "Windows recovery",
    "0x82": "Linux swap",
    "0x83": "Linux",
    "0x8e": "Linux LVM",
    "0xee": "GPT protective",
    "0xef": "EFI system partition",
}


@dataclass(frozen=True)
class Partition:
    number: int
    #: bytes from the disk's beginning
    start: int
    size: int
    #: of MBR two hex digits with 0x, of GPT a GUID in lower case
    type: str
    #: what the type is called, "" where it is not known
    type_name: str
    #: MBR: marked active; GPT: the attribute "legacy BIOS bootable"
    active: bool = False
    #: GPT: the partition's own GUID
    guid: str = ""
    name: str = ""

    @property
    def is_esp(self) -> bool:
        return self.type in (ESP, "0xef")


@dataclass(frozen=True)
class PartitionTable:
    kind: Literal["gpt", "mbr", "none"]
    #: MBR: the disk's signature, eight hex digits; GPT: the disk's GUID
    id: str
    partitions: tuple[Partition, ...]
    #: what stands in the first 440 bytes: "" nothing, "GRUB", "Windows", "syslinux", or "unknown"
    boot_code: str


def partition_table(read: Reader) -> PartitionTable:
    """The table of a disk.  Raises ValueError for a GPT that contradicts itself."""
    first = read(0, SECTOR)
    code = _boot_code(first)
    if len(first) < SECTOR or first[510:512] != b"\x55\xaa":
        return PartitionTable("none", "", (), code)
    entries = [first[446 + 16 * number :][:16] for number in range(4)]
    header = read(SECTOR, SECTOR)
    if any(entry[4] == _PROTECTIVE for entry in entries) and header.startswith(b"EFI PART"):
        return PartitionTable("gpt", _guid(header[56:72]), tuple(_gpt(read, header)), code)
    # A file system's boot sector ends as an MBR does; its middle is then no table.
    if any(entry[0] not in (0, 0x80) for entry in entries) or not any(entry[4] for entry in entries):
        return PartitionTable("none", "", (), code)
    (signature,) = struct.unpack_from("<I", first, CODE)
    return PartitionTable("mbr", f"{signature:08x}", tuple(_mbr(read, entries)), code)


def _guid(raw: bytes) -> str:
    return str(uuid.UUID(bytes_le=raw))


def _gpt(read: Reader, header: bytes) -> Iterator[Partition]:
    first, count, size = struct.unpack_from("<QII", header, 72)
    if not 128 <= size <= 4096 or first > 2**40:
        raise ValueError(f"a GPT whose entries have {size} bytes, from sector {first} on")
    # Most have 128 entries of 128 bytes; a table may claim any number.
    table = read(first * SECTOR, min(count, _MOST_ENTRIES) * size)
    for index in range(len(table) // size):
        entry = table[index * size : (index + 1) * size]
        if not any(entry[:16]):
            continue
        kind = _guid(entry[:16])
        start, end, attributes = struct.unpack_from("<QQQ", entry, 32)
        name = entry[56:128].decode("utf-16-le", errors="replace").partition("\0")[0]
        length = max(0, end - start + 1) * SECTOR
        legacy = bool(attributes & 4)
        names = (kind, _NAMES.get(kind, ""))
        yield Partition(index + 1, start * SECTOR, length, *names, legacy, _guid(entry[16:32]), name)


def _mbr(read: Reader, entries: list[bytes]) -> Iterator[Partition]:
    extended = 0
    for index, entry in enumerate(entries):
        if entry[4]:
            partition = _mbr_partition(index + 1, entry, 0)
            yield partition
            if entry[4] in _EXTENDED:
                extended = extended or partition.start
    # Each logical partition has a sector with its own entry and one that leads to the next.
    here, number, seen = extended, 5, set[int]()
    while here and here not in seen and number < 5 + _MOST_LOGICAL:
        seen.add(here)
        sector = read(here, SECTOR)
        if len(sector) < SECTOR or sector[510:512] != b"\x55\xaa":
            break
        own, following = sector[446:462], sector[462:478]
        if own[4]:
            yield _mbr_partition(number, own, here)
            number += 1
        offset = struct.unpack_from("<I", following, 8)[0] * SECTOR
        here = extended + offset if following[4] in _EXTENDED and offset else 0


def _mbr_partition(number: int, entry: bytes, base: int) -> Partition:
    start, count = struct.unpack_from("<II", entry, 8)
    kind = f"0x{entry[4]:02x}"
    return Partition(number, base + start * SECTOR, count * SECTOR, kind, _NAMES.get(kind, ""), entry[0] == 0x80)


def _boot_code(first: bytes) -> str:
    """Whose the boot code is, by the words in it."""
    code = first[:CODE]
    if not any(code):
        return ""
    # syslinux says what is missing in Windows' words, or shortened; Windows has more to say.
    signs = {
        b"GRUB": "GRUB",
        b"Invalid partition table": "Windows",
        b"Missing operating system": "syslinux",
        b"Missing OS": "syslinux",
    }
    return next((name for sign, name in signs.items() if sign in code), "unknown")
