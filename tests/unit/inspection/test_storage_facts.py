"""What lies on a disk, from an appliance that is played: one that answers, and one that fails at each question."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from inspection_help import MIB, fill, partitioned, reader

from goldsmith.inspection import storage as storage_module
from goldsmith.inspection.facts import Unknown, plain, unknowns
from goldsmith.inspection.ntfs import NtfsState
from goldsmith.inspection.storage import storage
from goldsmith.verify.tree import FolderTree

TABLE = "label: dos\nlabel-id: 0x12345678\n1 : start=1MiB, size=8MiB, type=ef\n2 : start=16MiB, size=8MiB, type=7\n"


def _fail(name: str, *words: object) -> None:
    raise RuntimeError(f"{name}: input/output error")


class Appliance:
    """Answers as guestfs.GuestFS does; a name in ``broken`` raises."""

    def __init__(self, disk: Path, broken: str = "") -> None:
        self._disk = disk
        self._broken = broken
        self.mounted: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name == self._broken:
            return partial(_fail, name)
        return object.__getattribute__(self, name)

    def pread_device(self, device: str, size: int, offset: int) -> bytes:
        return reader(self._disk)(offset + (16 * MIB if device.endswith("2") else 0), size)

    def list_filesystems(self) -> dict[str, str]:
        return {
            "/dev/sda1": "vfat",
            "/dev/sda2": "ntfs",
            "/dev/vg/root": "ext4",
            "btrfsvol:/dev/sda3/@": "btrfs",
            "btrfsvol:/dev/sda3/a/b\x1b": "btrfs",
        }

    def blockdev_getsize64(self, device: str) -> int:
        return 64 * MIB

    def lvs(self) -> list[str]:
        return ["/dev/vg/root"]

    def vfs_label(self, device: str) -> str:
        return "EFI" if device == "/dev/sda1" else ""

    def vfs_uuid(self, device: str) -> str:
        return f"uuid of {device}"

    def mount_ro(self, device: str, folder: str) -> None:
        self.mounted.append(device)

    def umount_all(self) -> None:
        self.mounted.append("")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = partitioned(tmp_path / "disk", TABLE)
    volume = tmp_path / "ntfs"
    with volume.open("wb") as stream:
        stream.truncate(8 * MIB)
    subprocess.run(["/usr/sbin/mkntfs", "-q", "-F", "-f", volume], check=True, capture_output=True)
    with path.open("r+b") as stream:
        stream.seek(16 * MIB)
        stream.write(volume.read_bytes())
    on_esp = fill(tmp_path / "esp", {"EFI/BOOT/BOOTX64.EFI": "x"})
    monkeypatch.setattr(storage_module, "GuestfsTree", lambda handle: FolderTree(on_esp))
    return path


def test_a_disk(disk: Path) -> None:
    handle = Appliance(disk)
    facts = storage(handle, "/dev/sda")
    document = plain(facts)
    assert (document["size"], document["table"]["id"], document["esp"]) == (64 * MIB, "12345678", "/dev/sda1")
    assert document["file_systems"][0] == {
        "device": "/dev/sda1",
        "type": "vfat",
        "label": "EFI",
        "uuid": "uuid of /dev/sda1",
    }
    assert (document["logical_volumes"], document["subvolumes"]) == (
        ["/dev/vg/root"],
        ["/dev/sda3:@", "/dev/sda3:a/b\\x1b"],
    )
    assert facts.ntfs == {"/dev/sda2": NtfsState("3.1", dirty=False)}
    assert document["loaders"] == {"files": ["/EFI/BOOT/BOOTX64.EFI"], "fallback": ["x86_64"]}
    assert handle.mounted == ["/dev/sda1", ""]
    assert unknowns(facts) == []


@pytest.mark.parametrize(
    "broken", ["pread_device", "list_filesystems", "blockdev_getsize64", "lvs", "mount_ro", "umount_all"]
)
def test_each_question_may_fail(disk: Path, broken: str) -> None:
    facts = storage(Appliance(disk, broken), "/dev/sda")
    assert any(f"{broken}: input/output error" in each.why for each in unknowns(facts))
    assert not isinstance(facts.device, Unknown)
