"""Which firmware a disk is made for, on disks that sfdisk partitions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from goldsmith.errors import HarnessError
from goldsmith.verify.firmwares import bootable_with

ESP = "type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
ROOT = "type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
BIOS_BOOT = "type=21686148-6449-6E6F-744E-656564454649"


def disk(folder: Path, table: str, *, code: bool) -> Path:
    path = folder / "disk.img"
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.truncate(64 * 2**20)
    subprocess.run(["sfdisk", "-q", path], input=table, text=True, check=True)
    if code:
        with path.open("r+b") as file:
            file.write(b"\xeb\x63\x90")
    return path


@pytest.mark.parametrize(
    ("table", "code", "expected"),
    [
        (f"label: gpt\nsize=16M,{ESP}\n{ROOT}\n", False, ("uefi",)),
        (f"label: gpt\nsize=16M,{ESP}\n{ROOT}\n", True, ("bios", "uefi")),
        (f"label: gpt\nsize=1M,{BIOS_BOOT}\n{ROOT}\n", True, ("bios",)),
        # Debian's cloud images have partitions 14 and 15 in front of 1.
        (f"label: gpt\n15: size=16M,{ESP}\n1: {ROOT}\n", True, ("bios", "uefi")),
        (f"label: gpt\n{ROOT}\n", False, ("bios",)),
        ("label: dos\nsize=16M,type=ef\ntype=83\n", True, ("bios", "uefi")),
        ("label: dos\ntype=83,bootable\n", True, ("bios",)),
    ],
)
@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_by_boot_code_and_partition(tmp_path: Path, table: str, code: bool, expected: tuple[str], form: str) -> None:
    image = disk(tmp_path, table, code=code)
    if form == "qcow2":
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", image, tmp_path / "disk.qcow2"], check=True)
        image = tmp_path / "disk.qcow2"
    assert bootable_with(image, form) == expected  # type: ignore[arg-type]


def test_a_disk_smaller_than_a_partition_table_is_one_for_bios(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(512))
    assert bootable_with(image, "raw") == ("bios",)


def test_entries_beyond_what_was_read_are_no_crash(tmp_path: Path) -> None:
    image = disk(tmp_path, f"label: gpt\n{ROOT}\n", code=False)
    with image.open("r+b") as file:
        file.seek(512 + 72)
        file.write(b"\xff" * 16)
    assert bootable_with(image, "raw") == ("bios",)


def test_a_damaged_image_is_an_error(tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    image.write_bytes(b"QFI\xfb" + b"\xff" * 500)
    with pytest.raises(HarnessError, match="qemu-img"):
        bootable_with(image, "qcow2")
