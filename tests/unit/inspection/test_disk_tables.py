"""Partition tables, as sfdisk writes them and as nobody should."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from inspection_help import MIB, partitioned, reader

from goldsmith.inspection.disk import BIOS_BOOT, ESP, partition_table
from goldsmith.inspection.facts import Unknown, found

GPT = f"""label: gpt
label-id: 6C2B7C4E-6E0D-4C45-9B0B-0C6E5B6A7C01
1 : start=1MiB, size=1MiB, type={BIOS_BOOT}
3 : start=4MiB, size=8MiB, type={ESP}, uuid=09931F21-7FAF-A94F-81D8-1E73C14B9EAF, name="EFI"
4 : start=16MiB, type=linux, attrs="LegacyBIOSBootable"
"""
MBR = """label: dos
label-id: 0x5cbea03e
1 : start=1MiB, size=8MiB, type=7, bootable
2 : start=10MiB, size=40MiB, type=f
5 : start=12MiB, size=4MiB, type=83
6 : start=20MiB, size=8MiB, type=8e
"""


def test_gpt(tmp_path: Path) -> None:
    table = partition_table(reader(partitioned(tmp_path / "disk", GPT)))
    assert (table.kind, table.id, table.boot_code) == ("gpt", "6c2b7c4e-6e0d-4c45-9b0b-0c6e5b6a7c01", "")
    first, second, third = table.partitions
    assert (first.number, first.start, first.size, first.type_name) == (1, MIB, MIB, "BIOS boot partition")
    assert (second.number, second.guid, second.name) == (3, "09931f21-7faf-a94f-81d8-1e73c14b9eaf", "EFI")
    assert [each.is_esp for each in table.partitions] == [False, True, False]
    assert [each.active for each in table.partitions] == [False, False, True]
    assert third.type_name == "Linux"


def test_mbr_with_logical_partitions(tmp_path: Path) -> None:
    table = partition_table(reader(partitioned(tmp_path / "disk", MBR)))
    assert (table.kind, table.id) == ("mbr", "5cbea03e")
    assert [(each.number, each.start, each.size, each.type) for each in table.partitions] == [
        (1, MIB, 8 * MIB, "0x07"),
        (2, 10 * MIB, 40 * MIB, "0x0f"),
        (5, 12 * MIB, 4 * MIB, "0x83"),
        (6, 20 * MIB, 8 * MIB, "0x8e"),
    ]
    assert [each.active for each in table.partitions] == [True, False, False, False]


def test_a_disk_without_a_table(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(bytes(MIB))
    assert partition_table(reader(empty)).kind == "none"
    # A file system's boot sector ends like an MBR.
    sector = bytearray(b"\xeb\x52\x90NTFS    ".ljust(512, b"\x5a"))
    sector[510:] = b"\x55\xaa"
    empty.write_bytes(bytes(sector))
    assert partition_table(reader(empty)).kind == "none"
    empty.write_bytes(b"\x55\xaa")
    assert partition_table(reader(empty)).kind == "none"


def test_logical_partitions_that_go_round(tmp_path: Path) -> None:
    disk = partitioned(tmp_path / "disk", MBR)
    content = bytearray(disk.read_bytes())
    # The second entry of the first logical partition's sector leads back to that sector.
    chain = 10 * MIB
    struct.pack_into("<I", content, chain + 462 + 8, 0)
    content[chain + 462 + 4] = 5
    struct.pack_into("<I", content, chain + 446 + 16 + 8, 1)
    here = chain + 512
    content[here : here + 512] = content[chain : chain + 512]
    disk.write_bytes(bytes(content))
    assert len(partition_table(reader(disk)).partitions) <= 5


def test_a_gpt_that_contradicts_itself(tmp_path: Path) -> None:
    disk = partitioned(tmp_path / "disk", GPT)
    content = bytearray(disk.read_bytes())
    struct.pack_into("<I", content, 512 + 80, 2**31)
    disk.write_bytes(bytes(content))
    assert len(partition_table(reader(disk)).partitions) == 3
    struct.pack_into("<I", content, 512 + 84, 1)
    disk.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="entries have 1 bytes"):
        partition_table(reader(disk))
    assert isinstance(found(lambda: partition_table(reader(disk))), Unknown)


@pytest.mark.parametrize("script", [GPT, MBR])
def test_a_thousand_spoiled_tables(tmp_path: Path, script: str) -> None:
    """Whatever stands there, the answer is a table or a reason."""
    good = partitioned(tmp_path / "disk", script, 56 * MIB).read_bytes()
    chance = random.Random(5)
    for _ in range(500):
        content = bytearray(good[: 20 * 512])
        for _ in range(chance.randrange(1, 20)):
            content[chance.choice((chance.randrange(440, 512), chance.randrange(512, 2048)))] = chance.randrange(256)

        def read(offset: int, size: int, content: bytearray = content) -> bytes:
            assert size <= 2**20
            return bytes(content[offset : offset + size])

        assert len(getattr(found(lambda read=read: partition_table(read)), "partitions", ())) <= 256


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (b"", ""),
        (b"\xeb\x63" + bytes(300) + b"GRUB \0Geom\0Hard Disk", "GRUB"),
        (bytes([0x33]) * 300 + b"Invalid partition table\0Missing operating system", "Windows"),
        (b"\x33\xc0" + b"Missing operating system.\r\n", "syslinux"),
        (b"\x33\xc0\x8e", "unknown"),
    ],
)
def test_boot_code(tmp_path: Path, code: bytes, name: str) -> None:
    disk = partitioned(tmp_path / "disk", MBR)
    content = bytearray(disk.read_bytes())
    content[: len(code)] = code
    disk.write_bytes(bytes(content))
    assert partition_table(reader(disk)).boot_code == name


def test_grubs_own_boot_code_is_known() -> None:
    image = Path("/usr/lib/grub/i386-pc/boot.img").read_bytes()

    def read(offset: int, size: int) -> bytes:
        return image[offset : offset + size]

    assert partition_table(read).boot_code == "GRUB"
