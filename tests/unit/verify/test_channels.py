from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from goldsmith import settings as settings_module
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import Channel
from goldsmith.errors import HarnessError, HostError
from goldsmith.verify import channels
from goldsmith.verify.tree import FolderTree, Tree
from goldsmith.verify.work import OpenDisks

ACCELERATOR = Accelerator("tcg", "a test", {"tcg": 0.1}, 1.0)
DEBIAN_11 = "usr/lib/systemd/libsystemd-shared-247.so"
DEBIAN_12 = "lib/systemd/libsystemd-shared-252.so"
DEBIAN_13 = "usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so"
EL_9 = "usr/lib/systemd/libsystemd-shared-252-32.el9.so"
CLOUD_INIT = {"usr/bin/cloud-init": "", "etc/cloud/cloud.cfg": "datasource_list: [NoCloud, OpenStack]\n"}


def tree(root: Path, files: Mapping[str, str]) -> FolderTree:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return FolderTree(root)


@pytest.mark.parametrize(
    ("library", "version"), [(DEBIAN_11, 247), (DEBIAN_12, 252), (DEBIAN_13, 257), (EL_9, 252), ("usr/lib/x", None)]
)
def test_systemd_is_known_by_its_library(tmp_path: Path, library: str, version: int | None) -> None:
    assert channels.systemd_version(tree(tmp_path, {library: ""})) == version


@pytest.mark.parametrize(
    ("files", "kind", "why"),
    [
        ({DEBIAN_13: "", **CLOUD_INIT}, "credential", "systemd 257 makes"),
        ({"usr/lib/systemd/libsystemd-shared-256.so": ""}, "credential", "systemd 256 makes"),
        ({"usr/lib/systemd/libsystemd-shared-255.so": "", **CLOUD_INIT}, "cloud-init", "systemd 255 makes no"),
        ({DEBIAN_12: "", **CLOUD_INIT}, "cloud-init", "systemd 252"),
        ({DEBIAN_12: "", "usr/bin/cloud-init": ""}, "cloud-init", "reads user-data"),
        ({DEBIAN_12: ""}, "unit", "there is no cloud-init"),
        # systemd 219 has no library of its own.
        ({"usr/lib/systemd/systemd": ""}, "unit", "this systemd"),
        ({"lib/systemd/systemd": "", **CLOUD_INIT}, "cloud-init", "this systemd"),
        ({}, "passive", "there is neither systemd in the image nor"),
        (CLOUD_INIT, "passive", "there is neither systemd in the image nor"),
        ({"usr/sbin/qemu-ga": ""}, "agent", "QEMU's guest agent is"),
        ({DEBIAN_12: "", **CLOUD_INIT, "etc/cloud/cloud-init.disabled": ""}, "unit", "disabled"),
        (
            {DEBIAN_12: "", **CLOUD_INIT, "etc/cloud/cloud.cfg.d/90.cfg": "datasource_list: [NoCloud]"},
            "unit",
            "without OpenStack",
        ),
        (
            {
                DEBIAN_12: "",
                **CLOUD_INIT,
                "etc/cloud/cloud.cfg.d/80.cfg": "datasource_list: [NoCloud]",
                "etc/cloud/cloud.cfg.d/90.cfg": "datasource_list: [ConfigDrive, OpenStack]",
                "etc/cloud/cloud.cfg.d/95.cfg": "other: 1",
                "etc/cloud/cloud.cfg.d/99.cfg": "}{ no yaml",
            },
            "cloud-init",
            "reads user-data",
        ),
    ],
)
def test_the_image_decides(tmp_path: Path, files: dict[str, str], kind: str, why: str) -> None:
    channel = channels.choose(tree(tmp_path, files))
    assert channel.kind == kind
    assert why in channel.reason


class Opener:
    """Opens a folder as the image, and counts."""

    def __init__(self, root: Path, error: HostError | None = None) -> None:
        self.root, self.error, self.launches = root, error, 0

    @contextlib.contextmanager
    def __call__(self, disks: Mapping[str, tuple[Path, str]], used: Accelerator) -> Iterator[OpenDisks]:
        self.launches += 1
        if self.error:
            raise self.error
        root = self.root

        class Disks:
            def add(self, name: str, disk: Path, disk_format: str) -> None:
                raise AssertionError("one disk is enough")

            @contextlib.contextmanager
            def tree(self, name: str) -> Iterator[Tree]:
                yield FolderTree(root)

        yield Disks()


def chosen(tmp_path: Path, opener: Opener, digest: str = "a" * 64) -> Channel:
    settings = settings_module.from_environment({"HOME": str(tmp_path / "home")})
    return channels.chosen(tmp_path / "image", "qcow2", digest, settings, ACCELERATOR, opener)


def test_an_image_is_looked_at_once(tmp_path: Path) -> None:
    opener = Opener(tmp_path / "tree")
    tree(tmp_path / "tree", {DEBIAN_12: ""})
    first = chosen(tmp_path, opener)
    assert (chosen(tmp_path, opener), opener.launches) == (first, 1)
    tree(tmp_path / "tree", CLOUD_INIT)
    assert chosen(tmp_path, opener, "b" * 64).kind == "cloud-init", "another image is another matter"


@pytest.mark.parametrize("error", [HarnessError("no file system"), HostError("no libguestfs")])
def test_an_image_that_cannot_be_looked_at_is_not_remembered(tmp_path: Path, error: HostError) -> None:
    opener = Opener(tmp_path / "tree", error)
    channel = chosen(tmp_path, opener)
    assert channel.kind == "credential"
    assert error.message in channel.reason
    opener.error = None
    assert chosen(tmp_path, opener).kind == "passive"


def test_a_damaged_memory_is_looked_over(tmp_path: Path) -> None:
    opener = Opener(tmp_path / "tree")
    first = chosen(tmp_path, opener)
    (memory,) = (tmp_path / "home").glob("**/channels/*.json")
    memory.write_text("[1")
    assert (chosen(tmp_path, opener), opener.launches) == (first, 2)


def test_nothing_is_written_into_a_windows(tmp_path: Path) -> None:
    (tmp_path / "WINDOWS/System32").mkdir(parents=True)
    channel = channels.choose(FolderTree(tmp_path))
    assert channel.kind == "passive"
    assert "this is Windows" in channel.reason
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=debian\n")
    (tmp_path / "usr/lib/systemd").mkdir(parents=True)
    (tmp_path / "usr/lib/systemd/systemd").touch()
    assert channels.choose(FolderTree(tmp_path)).kind == "unit"


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("NAME=x\nID=debian\nVERSION_ID=13\n", False),
        ('ID=ubuntu\nID_LIKE="debian"\n', False),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nPLATFORM_ID="platform:el9"\n', True),
        ("VARIANT_ID=debian\n", True),
        (None, True),
    ],
)
def test_a_processor_is_whole_for_programs_that_may_need_it(tmp_path: Path, text: str | None, needed: bool) -> None:
    (tmp_path / "etc").mkdir()
    if text is not None:
        (tmp_path / "etc/os-release").write_text(text)
    assert channels.needs_cx16(FolderTree(tmp_path)) is needed


def test_what_is_known_of_the_processor_is_remembered(tmp_path: Path) -> None:
    opener = Opener(tmp_path / "tree")
    tree(tmp_path / "tree", {"etc/os-release": "ID=debian\n"})
    assert [chosen(tmp_path, opener).cx16 for _ in range(2)] == [False, False]
    assert opener.launches == 1
