"""Which firmware a disk can boot with, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from inspection_help import fill

from goldsmith.inspection.boot import Loaders, console, firmware, loaders
from goldsmith.inspection.disk import BIOS_BOOT, Partition, PartitionTable
from goldsmith.inspection.facts import Unknown
from goldsmith.verify.tree import FolderTree


def table(kind: str, code: str, *partitions: Partition) -> PartitionTable:
    return PartitionTable(kind, "", partitions, code)  # type: ignore[arg-type]


PLAIN = Partition(1, 2**20, 2**20, "0x83", "Linux")
ACTIVE = Partition(2, 2**20, 2**20, "0x07", "NTFS or exFAT", active=True)
CORE = Partition(14, 2**20, 2**20, BIOS_BOOT, "BIOS boot partition")


@pytest.mark.parametrize(
    ("on_disk", "boots", "why"),
    [
        (table("mbr", "", PLAIN), False, "no boot code in the first sector"),
        (table("mbr", "GRUB", PLAIN), True, "boot code of GRUB in the first sector"),
        (table("gpt", "GRUB", CORE), True, "BIOS boot partition 14"),
        (table("gpt", "GRUB", PLAIN), True, "no BIOS boot partition"),
        (table("mbr", "Windows", ACTIVE), True, "partition 2 is active"),
        (table("mbr", "Windows", PLAIN), False, "there is none"),
        (table("gpt", "syslinux", PLAIN), False, "there is none"),
        (table("mbr", "unknown", PLAIN), True, "no partition is active"),
        (table("none", "syslinux"), True, "without partitions"),
    ],
)
def test_bios(on_disk: PartitionTable, boots: bool, why: str) -> None:
    facts = firmware(on_disk, None, None, "x86_64")
    assert facts.can_boot == (("bios",) if boots else ())
    assert why in facts.bios
    assert facts.uefi == "no EFI system partition"


@pytest.mark.parametrize(
    ("files", "architecture", "boots", "entry", "why"),
    [
        ({"EFI/BOOT/BOOTX64.EFI": "x"}, "x86_64", True, False, "BOOTX64.EFI on /dev/sda1"),
        ({"efi/Boot/bootx64.efi": "x", "EFI.txt": ""}, "x86_64", True, False, "BOOTX64.EFI"),
        ({"EFI/debian/shimx64.efi": "x"}, "x86_64", True, True, "/EFI/debian/shimx64.efi on /dev/sda1, but no"),
        ({"EFI/Microsoft/Boot/bootmgfw.efi": "x"}, "x86_64", True, True, "bootmgfw.efi"),
        ({"EFI/BOOT/BOOTAA64.EFI": "x"}, "x86_64", False, False, "holds no loader for x86_64"),
        ({"EFI/BOOT/BOOTAA64.EFI": "x"}, "aarch64", True, False, "BOOTAA64.EFI"),
        ({"EFI/BOOT/fbx64.efi": "x"}, "x86_64", False, False, "holds no loader"),
        ({"EFI/debian/grub.cfg": "x"}, "x86_64", False, False, "holds no loader"),
        ({"readme": "x"}, "x86_64", False, False, "holds no loader"),
    ],
)
def test_uefi(tmp_path: Path, files: dict[str, str], architecture: str, boots: bool, entry: bool, why: str) -> None:
    on_esp = loaders(FolderTree(fill(tmp_path, files)))
    facts = firmware(table("gpt", ""), "/dev/sda1", on_esp, architecture)
    assert (facts.can_boot, facts.needs_boot_entry) == (("uefi",) if boots else (), entry)
    assert why in facts.uefi


def test_an_esp_that_cannot_be_read_boots_nothing() -> None:
    facts = firmware(table("mbr", "GRUB", PLAIN), "/dev/sda1", Unknown("damaged"), "x86_64")
    assert facts.can_boot == ("bios",)
    assert "could not be read" in facts.uefi


def test_both() -> None:
    facts = firmware(table("gpt", "GRUB", CORE), "/dev/sda1", Loaders((), ("x86_64",)), "x86_64")
    assert facts.can_boot == ("bios", "uefi")


GRUB = """\
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
menuentry 'Debian' {
    linux /boot/vmlinuz root=LABEL=x ro console=tty0 console=ttyS0,115200
}
menuentry 'Debian (recovery mode)' {
    linux /boot/vmlinuz single
}
"""
UNIT = "[Service]\nExecStart=/sbin/agetty\n[Install]\nWantedBy=getty.target\n"


def test_the_console_of_a_linux(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {
            "boot/grub/grub.cfg": GRUB,
            "usr/bin/systemctl*": "",
            "usr/lib/systemd/system/getty@.service": UNIT,
            "usr/lib/systemd/system/serial-getty@.service": UNIT,
            "etc/systemd/system/getty.target.wants/getty@tty1.service": "-> /usr/lib/systemd/system/getty@.service",
        },
    )
    facts = console(FolderTree(tmp_path))
    assert facts.kernel_arguments == ("root=LABEL=x", "ro", "console=tty0", "console=ttyS0,115200")
    assert facts.consoles == ("tty0", "ttyS0,115200")
    assert facts.gettys == ("tty1", "ttyS0")
    assert facts.grub_terminal == ("serial", "console")
    # A mask takes the getty away, and no console= the other.
    (tmp_path / "etc/systemd/system/getty@tty1.service").symlink_to("/dev/null")
    (tmp_path / "boot/grub/grub.cfg").write_text("menuentry 'x' {\nlinux /vmlinuz quiet\n}\n")
    facts = console(FolderTree(tmp_path))
    assert (facts.consoles, facts.gettys, facts.grub_terminal) == ((), (), ("console",))


def test_a_linux_without_a_menu(tmp_path: Path) -> None:
    facts = console(FolderTree(fill(tmp_path, {"etc/hostname": "x"})))
    assert facts.kernel_arguments == Unknown("/boot: no entry of GRUB's menu is found")
    assert isinstance(facts.grub_terminal, Unknown)
