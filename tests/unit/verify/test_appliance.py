"""The appliance is started once here, with three small disks."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goldsmith.boot import guestfs
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import GuestFile
from goldsmith.errors import HarnessError, InputError
from goldsmith.verify import appliance
from goldsmith.verify.appliance import Appliance
from goldsmith.verify.tree import FolderTree, Tree

ACCELERATOR = Accelerator("tcg", "a test", {"tcg": 0.1}, 1.0)
MIB = 2**20


def make_tree(root: Path) -> None:
    for name, text in {
        "usr/lib/os-release": "ID=debian\n",
        "etc/ssh/ssh_host_key": "secret",
        "etc/apt/sources.list": "deb http://mirror.example/debian trixie main\n",
        "etc/.hidden": "",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "absolute").symlink_to("/etc/ssh/ssh_host_key")
    (root / "etc/ssh/ssh_host_key").chmod(0o600)


def make_disk(disk: Path, tree: Path) -> None:
    """GPT with an empty first partition and the tree in the second, as an image of ours is shaped."""
    with disk.open("wb") as stream:
        stream.truncate(32 * MIB)
    table = "label: gpt\nsize=4MiB\nstart=8MiB\n"
    subprocess.run(["/usr/sbin/sfdisk", "-q", disk], input=table, text=True, check=True)
    argv = ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", tree, "-E", f"offset={8 * MIB}", disk, "20M"]
    subprocess.run(argv, check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("appliance")
    make_tree(folder / "tree")
    make_disk(folder / "image.raw", folder / "tree")
    backing = ["-F", "raw", "-b", folder / "image.raw"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, folder / "overlay.qcow2"], check=True)
    with (folder / "empty.raw").open("wb") as stream:
        stream.truncate(4 * MIB)
    return folder


@pytest.fixture(scope="module")
def launched(folder: Path) -> Iterator[Appliance]:
    disks = {
        "image": (folder / "image.raw", "raw"),
        "overlay": (folder / "overlay.qcow2", "qcow2"),
        "empty": (folder / "empty.raw", "raw"),
    }
    with appliance.launched(disks, ACCELERATOR) as running:
        yield running


def facts(tree: Tree) -> dict[str, Any]:
    """What a tree says of itself, by every method that checks use."""
    key = tree.stat("/absolute")
    assert key is not None
    return {
        "glob": tree.glob("/etc/*"),
        "deep": tree.glob("/etc/**"),
        "contents": sorted(tree.contents("/etc/**")),
        "shallow": sorted(tree.contents("/etc/ssh/*")),
        "read": tree.read("/absolute"),
        "link": tree.readlink("/etc/os-release"),
        "release": tree.read("/etc/os-release"),
        "mode": key.permissions,
        "type": stat.S_IFMT(key.mode),
        "owner": (key.uid, key.gid),
        "size": key.size,
        "absent": (tree.exists("/nothing"), tree.exists("/etc/.hidden/below"), tree.stat("/nothing/at/all")),
    }


@pytest.mark.parametrize("name", ["image", "overlay"])
def test_a_disk_says_the_same_as_the_folder_it_was_made_of(launched: Appliance, folder: Path, name: str) -> None:
    with launched.tree(name) as tree:
        assert facts(tree) == facts(FolderTree(folder / "tree"))


def test_a_disk_without_a_root_file_system_breaks(launched: Appliance) -> None:
    with (
        pytest.raises(HarnessError, match=r"empty: no file system of it holds /etc/os-release; found: .*unknown"),
        launched.tree("empty"),
    ):
        pass


def test_files_are_written_to_an_overlay_and_not_to_the_image(folder: Path) -> None:
    """A launch of its own: what is written must be on the disk when it is closed."""
    image, overlay = folder / "image.raw", folder / "written.qcow2"
    before = image.read_bytes()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image, overlay], check=True)
    new = GuestFile("/etc/systemd/system/new.service", b"\x00new\n", 0o600)
    appliance.write_files(overlay, [new, GuestFile("/etc/.hidden", b"changed")], ACCELERATOR)
    assert image.read_bytes() == before
    with appliance.launched({"written": (overlay, "qcow2")}, ACCELERATOR) as running, running.tree("written") as tree:
        assert tree.read(new.path) == new.content
        assert tree.read("/etc/.hidden") == b"changed"
        entry = tree.stat(new.path)
        assert entry is not None
        assert (entry.permissions, entry.uid) == ("0600", 0)


def test_a_disk_without_a_root_file_system_takes_no_files(folder: Path) -> None:
    overlay = folder / "nothing.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", overlay, "4M"], check=True)
    with pytest.raises(HarnessError, match="no file system of it holds"):
        appliance.write_files(overlay, [GuestFile("/x", b"")], ACCELERATOR)


def test_a_disk_is_taken_in_while_the_appliance_runs_and_its_file_stays_as_it_is(
    launched: Appliance, folder: Path
) -> None:
    late = folder / "late.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", folder / "image.raw", late], check=True
    )
    before = late.read_bytes()
    launched.add("late", late, "qcow2")
    with launched.tree("late") as tree:
        found = facts(tree)
    with launched.tree("image") as tree:
        assert facts(tree) == found
    assert late.read_bytes() == before


def test_a_disk_that_is_no_qcow2_is_not_taken_in_and_the_appliance_goes_on(launched: Appliance, folder: Path) -> None:
    with pytest.raises(HarnessError, match=r"qemu-img|qcow2"):
        launched.add("raw", folder / "empty.raw", "qcow2")
    with pytest.raises(InputError, match="no such image"):
        launched.add("gone", folder / "gone.qcow2", "qcow2")
    assert launched.answers()


def test_the_appliance_of_this_process_is_found_and_a_slow_one_killed(launched: Appliance) -> None:
    """The last test: it ends the appliance."""
    assert len(guestfs.appliances()) == 1
    with pytest.raises(HarnessError, match=r"took longer than 1 s and was ended"), guestfs.watchdog(1):
        while True:
            with launched.tree("image") as tree:
                tree.glob("/etc/**")
    (pid,) = guestfs.appliances() or [0]
    assert not pid or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    assert os.getpid() != pid
