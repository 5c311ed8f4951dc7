"""A small tree becomes a disk, which sfdisk, blkid, e2fsprogs, mtools and qemu-img read back."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from bake_help import EPOCH, make_base_disk, make_tree

from goldsmith.bake.disk import fstab, make_disk
from goldsmith.bake.layout import MIB, SECTOR, Layout, make_layout
from goldsmith.errors import CommandFailedError, InputError
from goldsmith.host.jail import Jail, user_jail
from goldsmith.host.progress import Progress

LAYOUT = make_layout(2**30, "d" * 64)
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def _read(*words: str | Path) -> str:
    env = {"PATH": PATH, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=env).stdout


def _make(jail: Jail, folder: Path, tree: Path, layout: Layout = LAYOUT) -> Path:
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    target = folder / "image.qcow2"
    base = make_base_disk(jail, tree, folder / "base", layout)
    make_disk(jail, tree, base, scratch, layout, target, epoch=EPOCH, progress=Progress(stream=StringIO()))
    return target


def _blkid(raw: Path, start: int, size: int) -> dict[str, str]:
    lines = _read("blkid", "-p", "-O", str(start), "-S", str(size), "-o", "export", raw).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _mtools(program: str, raw: Path, *words: str) -> str:
    return _read(program, "-i", f"{raw}@@{LAYOUT.esp.start}", *words)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """(qcow2, the same as raw, tree): made once, and only read by the tests."""
    folder = tmp_path_factory.mktemp("disk")
    tree = make_tree(folder / "root")
    with user_jail({"PATH": PATH}) as jail:
        target = _make(jail, folder, tree)
    raw = folder / "back.raw"
    _read("qemu-img", "convert", "-O", "raw", target, raw)
    return target, raw, tree


def test_the_image_is_a_compressed_qcow2_of_the_whole_disk(made: tuple[Path, Path, Path]) -> None:
    info = json.loads(_read("qemu-img", "info", "--output=json", made[0]))
    assert (info["format"], info["virtual-size"]) == ("qcow2", LAYOUT.size)
    assert info["format-specific"]["data"]["compat"] == "1.1"
    assert info["format-specific"]["data"]["compression-type"] == "zstd"
    assert "backing-filename" not in info
    # compressed: it holds two programs and two empty file systems
    assert made[0].stat().st_size < 16 * MIB


def test_the_disk_has_its_partition_table_and_boot_sector(made: tuple[Path, Path, Path]) -> None:
    table = json.loads(_read("sfdisk", "--json", made[1]))["partitiontable"]
    assert table["id"] == LAYOUT.disk_guid
    assert {p["uuid"]: p["start"] * SECTOR for p in table["partitions"]} == {
        part.guid: part.start for part in (LAYOUT.bios_boot, LAYOUT.esp, LAYOUT.root)
    }
    with made[1].open("rb") as stream:
        assert stream.read(17) == b"GRUB --directory\0"


def test_blkid_finds_the_file_systems_that_fstab_names(made: tuple[Path, Path, Path]) -> None:
    root = _blkid(made[1], LAYOUT.root.start, LAYOUT.root.size)
    assert (root["TYPE"], root["UUID"], root["LABEL"]) == ("ext4", LAYOUT.root_uuid, "root")
    esp = _blkid(made[1], LAYOUT.esp.start, LAYOUT.esp.size)
    assert (esp["TYPE"], esp["VERSION"], esp["UUID"], esp["LABEL"]) == ("vfat", "FAT32", LAYOUT.esp_uuid, "ESP")
    lines = [line.split() for line in fstab(LAYOUT).splitlines()]
    assert [line[:3] for line in lines] == [
        [f"UUID={root['UUID']}", "/", root["TYPE"]],
        [f"UUID={esp['UUID']}", "/boot/efi", esp["TYPE"]],
    ]
    assert all(len(line) == 6 for line in lines)
    assert "x-systemd.growfs" in lines[0][3]
    assert "nofail" in lines[1][3]


def _debugfs(raw: Path, request: str) -> str:
    return _read("debugfs", "-R", request, f"{raw}?offset={LAYOUT.root.start}")


def test_the_root_file_system_is_whole_and_complete(made: tuple[Path, Path, Path]) -> None:
    _read("e2fsck", "-f", "-n", f"{made[1]}?offset={LAYOUT.root.start}")
    assert _debugfs(made[1], "cat /etc/fstab") == fstab(LAYOUT)
    assert _debugfs(made[1], "cat /boot/grub/grub.cfg") == f"linux /vmlinuz root=UUID={LAYOUT.root_uuid}\n"
    names = {line.split("/")[5] for line in _debugfs(made[1], "ls -p /").splitlines() if line}
    assert {"proc", "sys", "dev", "run", "boot", "etc", "usr"} <= names
    assert "disk.raw" not in names
    for folder in ("proc", "dev", "boot/efi", "lost+found"):
        inside = {line.split("/")[5] for line in _debugfs(made[1], f"ls -p /{folder}").splitlines() if line}
        assert inside <= {".", "..", ""}, folder


def test_the_root_file_system_fills_its_partition_and_not_more(made: tuple[Path, Path, Path]) -> None:
    shown = dict(
        line.split(":", 1) for line in _debugfs(made[1], "show_super_stats -h").splitlines() if line.count(":") >= 1
    )
    assert int(shown["Block count"]) * int(shown["Block size"]) == LAYOUT.root.size
    assert shown["Directory Hash Seed"].strip() == LAYOUT.hash_seed
    # The time is the archive's, not that of the build.
    assert shown["Filesystem created"].strip() == "Sat Sep  6 12:34:56 2025"


def test_the_esp_holds_both_ways_to_boot(made: tuple[Path, Path, Path]) -> None:
    listed = _mtools("mdir", made[1], "-/", "-b", "::/").split()
    assert set(listed) >= {
        "::/EFI/BOOT/BOOTX64.EFI",
        "::/EFI/BOOT/grubx64.efi",
        "::/EFI/BOOT/mmx64.efi",
        "::/EFI/debian/shimx64.efi",
        "::/EFI/debian/grubx64.efi",
        "::/EFI/debian/mmx64.efi",
        "::/EFI/debian/grub.cfg",
    }
    assert _mtools("mcopy", made[1], "::EFI/BOOT/BOOTX64.EFI", "-") == "signed shim"
    assert _mtools("mcopy", made[1], "::EFI/BOOT/grubx64.efi", "-") == "signed grub"
    config = _mtools("mcopy", made[1], "::EFI/debian/grub.cfg", "-")
    assert f"search.fs_uuid {LAYOUT.root_uuid} root hd0,gpt1\n" in config


def _esp(raw: Path) -> bytes:
    with raw.open("rb") as stream:
        stream.seek(LAYOUT.esp.start)
        return stream.read(LAYOUT.esp.size)


def test_the_esp_is_the_same_on_every_host(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Bytes depend neither on the time of the build nor on the time zone of the host."""
    tree = make_tree(tmp_path / "root")
    for path in tree.rglob("*.signed"):
        stamp = (made[2] / path.relative_to(tree)).stat().st_mtime
        os.utime(path, (stamp, stamp))
    with user_jail({"PATH": PATH, "TZ": "Pacific/Auckland"}) as jail:
        _make(jail, tmp_path, tree)
    assert _esp(tmp_path / "base/copy.raw") == _esp(made[1])
    # the one file that the bake itself writes there has the archive's time
    assert "2025-09-06  12:34" in _mtools("mdir", made[1], "::EFI/debian/grub.cfg")


def test_a_tree_without_boot_loader_is_left_alone(jail: Jail, tmp_path: Path) -> None:
    tree = tmp_path / "root"
    (tree / "lost+found").mkdir(parents=True)
    with pytest.raises(InputError, match="no boot loader"):
        _make(jail, tmp_path, tree)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not (tmp_path / "image.qcow2").exists()
    assert {path.name for path in tree.iterdir()} == {"boot", "dev", "proc", "run", "sys"}


def test_a_tree_that_does_not_fit(jail: Jail, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "root")
    (tree / "large").write_bytes(b"x" * (16 * MIB))
    small = replace(LAYOUT, root=replace(LAYOUT.root, size=16 * MIB))
    with pytest.raises(CommandFailedError, match=r"mke2fs .* exited|command exited \d+: .*mke2fs") as caught:
        _make(jail, tmp_path, tree, small)
    assert "raise disk.size in the recipe" in (caught.value.hint or "")
    assert caught.value.tail
    assert not (tmp_path / "image.qcow2").exists()


def test_how_much_was_written_does_not_show(jail: Jail, tmp_path: Path) -> None:
    """The count is another for a tree that was unpacked from the store; neither it nor a spare superblock has it."""
    base = make_base_disk(jail, make_tree(tmp_path / "root"), tmp_path / "base", LAYOUT)
    with base.raw.open("rb") as stream:

        def superblock(at: int) -> bytes:
            stream.seek(LAYOUT.root.start + at)
            return stream.read(1024)

        first = superblock(1024)
        first_block, size, a_group = (int.from_bytes(first[at : at + 4], "little") for at in (0x14, 0x18, 0x20))
        spare = superblock((first_block + a_group) * (1024 << size))
    for found in (first, spare):
        assert found[0x38:0x3A] == b"\x53\xef"
        # s_kbytes_written
        assert found[0x178:0x180] == bytes(8)


def test_a_change_that_does_not_fit(jail: Jail, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "root")
    small = replace(LAYOUT, root=replace(LAYOUT.root, size=16 * MIB))
    base = make_base_disk(jail, tree, tmp_path / "base", small)
    (tree / "large").write_bytes(b"x" * (16 * MIB))
    scratch, target = tmp_path / "scratch", tmp_path / "image.qcow2"
    scratch.mkdir()
    with pytest.raises(CommandFailedError, match="debugfs") as caught:
        make_disk(jail, tree, base, scratch, small, target, epoch=EPOCH, progress=Progress(stream=StringIO()))
    assert "raise disk.size in the recipe" in (caught.value.hint or "")
    assert "allocate block" in caught.value.tail
    assert not target.exists()


def _broken(folder: Path, program: str) -> Sequence[str]:
    """A PATH on which ``program`` fails."""
    folder.mkdir()
    (folder / program).write_text(f"#!/bin/sh\necho '{program} has had enough' >&2\nexit 7\n")
    (folder / program).chmod(0o755)
    return f"{folder}:{PATH}".split(":")


@pytest.mark.parametrize("program", ["sfdisk", "mkfs.vfat", "mcopy", "qemu-img"])
def test_a_tool_that_fails_is_named_with_its_words(tmp_path: Path, program: str) -> None:
    path = ":".join(_broken(tmp_path / "bin", program))
    tree = make_tree(tmp_path / "root")
    with (
        user_jail({"PATH": path}) as jail,
        pytest.raises(CommandFailedError, match=f"command exited 7: .*{program} .*\n.*{program} has had enough"),
    ):
        _make(jail, tmp_path, tree)


def test_the_same_tree_gives_the_same_image_at_another_time_and_place(jail: Jail, tmp_path: Path) -> None:
    """Files in another order, unpacked later, read since, and one of them newer than the image is to be."""
    one = make_tree(tmp_path / "one/root")
    for path in one.rglob("*"):
        os.utime(path, (EPOCH - 10, EPOCH - 10), follow_symlinks=False)
    other = tmp_path / "other/root"
    other.mkdir(parents=True)
    for path in sorted(one.rglob("*"), reverse=True):
        target = other / path.relative_to(one)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            target.mkdir(exist_ok=True)
        else:
            shutil.copy2(path, target, follow_symlinks=False)
    for path in other.rglob("*"):
        os.utime(path, (EPOCH + 5, EPOCH - 10), follow_symlinks=False)
    for folder, seconds in ((one, 60), (other, 3600)):
        late = folder / "etc/made-by-the-build"
        late.write_text("1")
        os.utime(late, (EPOCH + seconds, EPOCH + seconds))
    images = [_make(jail, tmp_path / name, tree).read_bytes() for name, tree in (("a", one), ("b", other))]
    assert images[0] == images[1]


def test_no_time_in_the_root_file_system_is_the_builds(made: tuple[Path, Path, Path]) -> None:
    said = _debugfs(made[1], "stat /etc/fstab") + _debugfs(made[1], "stat /") + _debugfs(made[1], "stats")
    years = set(re.findall(r"\b20\d\d\b", said))
    assert years == {"2025"}, said
