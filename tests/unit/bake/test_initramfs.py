"""The initramfs of a base tree: beside the tree where the kernel has overlays, else within; the same tar either way."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from goldsmith.bake import initramfs
from goldsmith.bake.tree_changes import listing
from goldsmith.errors import CommandFailedError
from goldsmith.host.jail import Jail, root_jail

EPOCH = 1_750_000_000
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
#: as update-initramfs: a file of its own, temporary ones, and what it is told of the time
MAKER = """#!/bin/bash
mkdir -p /var/tmp
echo work > /var/tmp/mkinitramfs_1
cat /proc/self/cmdline > /dev/null || exit 9
echo "$2 $3 $SOURCE_DATE_EPOCH" > /boot/initrd.img-$3
test ! -e /refuse || { echo "no space left"; exit 7; }
"""
LINKS = """#!/bin/bash
ln -sf "boot/initrd.img-$2" /initrd.img
"""


@pytest.fixture
def jail() -> Iterator[Jail]:
    if os.geteuid() and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root, or sudo without a password")
    with root_jail({"PATH": PATH}) as made:
        yield made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root file system with a shell, a kernel, and programs that pretend."""
    root = tmp_path / "root"
    for name in ("boot", "proc", "sys", "dev", "tmp", "usr/sbin", "usr/bin", "var/tmp", "etc"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    for program in ("bash", "sh", "env", "cat", "ln", "mkdir", "test"):
        found = shutil.which(program, path=PATH)
        assert found
        _with_libraries(Path(found), root, program)
    _script(root / "usr/sbin/update-initramfs", MAKER)
    _script(root / "usr/bin/linux-update-symlinks", LINKS)
    (root / "boot/vmlinuz-6.1").write_text("kernel")
    return root


def _with_libraries(program: Path, root: Path, name: str) -> None:
    shutil.copy(program, root / "usr/bin" / name)
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for library in [word for word in said.split() if word.startswith("/")]:
        target = root / "usr" / library.removeprefix("/usr/").lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _members(tar: Path) -> dict[str, str]:
    """Files and links of a tar with what they hold, without folders."""
    with tarfile.open(tar) as archive:
        members = [member for member in archive if not member.isdir()]
        return {m.name: m.linkname or archive.extractfile(m).read().decode() for m in members}  # type: ignore[union-attr]


def _names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


MADE = {"./boot/initrd.img-6.1": f"-k 6.1 {EPOCH}\n", "./initrd.img": "boot/initrd.img-6.1"}


def test_beside_the_tree_which_stays(jail: Jail, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    before, names = listing(jail, tree), _names(tree)
    if not initramfs.make_beside(jail, tree, tmp_path / "work", tmp_path / "made.tar", epoch=EPOCH):
        pytest.skip("this kernel has no overlays here")
    assert _members(tmp_path / "made.tar") == MADE
    assert _names(tree) == names
    assert listing(jail, tree) == before


def test_within_the_tree_the_same(jail: Jail, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    before = listing(jail, tree)
    initramfs.make_within(jail, tree, before, tmp_path / "work", tmp_path / "made.tar", epoch=EPOCH)
    made = _members(tmp_path / "made.tar")
    made.pop("./var/tmp/mkinitramfs_1")
    assert made == MADE
    assert (tree / "boot/initrd.img-6.1").exists()


def test_without_overlays_nothing_is_done(jail: Jail, tree: Path, tmp_path: Path) -> None:
    # A name that the options of a mount cannot hold.
    work = tmp_path / "work,with=a:comma"
    work.mkdir()
    names = _names(tree)
    assert initramfs.make_beside(jail, tree, work, tmp_path / "made.tar", epoch=EPOCH) is False
    assert not (tmp_path / "made.tar").exists()
    assert _names(tree) == names


def test_a_program_that_fails_is_heard(jail: Jail, tree: Path, tmp_path: Path) -> None:
    (tree / "refuse").touch()
    (tmp_path / "work").mkdir()
    with pytest.raises(CommandFailedError, match="no space left"):
        initramfs.make_beside(jail, tree, tmp_path / "work", tmp_path / "made.tar", epoch=EPOCH)


def test_who_wants_one(tree: Path) -> None:
    assert initramfs.is_wanted(tree)
    (tree / "boot/initrd.img-6.1").touch()
    assert not initramfs.is_wanted(tree)
    (tree / "boot/vmlinuz-6.2").touch()
    assert initramfs.is_wanted(tree)
    (tree / "usr/sbin/update-initramfs").unlink()
    assert not initramfs.is_wanted(tree)


def test_early_of_a_tree_that_is_renamed_meanwhile(jail: Jail, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "early").mkdir()
    slow = "end=$((SECONDS + 2)); while test $SECONDS -lt $end; do :; done; mkdir"
    _script(tree / "usr/sbin/update-initramfs", MAKER.replace("mkdir", slow, 1))
    target, elsewhere = tmp_path / "made.tar", tmp_path / "elsewhere"
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(initramfs.make_early, jail, tree, tmp_path / "early", target, epoch=EPOCH)
        while not early.done() and not (tmp_path / "early/work/upper").exists():
            time.sleep(0.05)
        tree.rename(elsewhere)
    made = early.result()
    if made is None:
        pytest.skip("this kernel has no overlays here")
    assert _members(made.tar) == MADE
    assert initramfs.holds(made, initramfs.inventory(jail, elsewhere))


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ("echo 1 > etc/machine-id; mkdir -p var/log; echo 1 > var/log/dpkg.log; rm -r usr/local/sbin", True),
        ("mkdir etc/dib-manifests; touch tmp/x usr/sbin/policy-rc.d; chmod 0700 tmp/x", True),
        ("mkdir -p etc/initramfs-tools", False),
        ("echo 1 >> usr/sbin/update-initramfs", False),
        ("rm usr/bin/cat", False),
        ("chmod 0700 etc", False),
        ("chmod 0700 usr/bin/cat", False),
        ("mv usr/bin/cat x; cp -p x usr/bin/cat; rm x", False),
        ("ln -sf bash usr/bin/sh", False),
    ],
)
def test_whether_it_holds(jail: Jail, tree: Path, tmp_path: Path, change: str, holds: bool) -> None:
    (tree / "usr/local/sbin").mkdir(parents=True)
    (tree / "usr/local/sbin/depmod").touch()
    early = initramfs.Early(tmp_path / "made.tar", initramfs.inventory(jail, tree))
    assert initramfs.holds(early, initramfs.inventory(jail, tree))
    subprocess.run(["sh", "-c", change], cwd=tree, check=True)
    assert initramfs.holds(early, initramfs.inventory(jail, tree)) == holds


def test_where_none_is_wanted_none_is_made_early(jail: Jail, tree: Path, tmp_path: Path) -> None:
    (tree / "boot/vmlinuz-6.1").unlink()
    assert initramfs.make_early(jail, tree, tmp_path / "early", tmp_path / "made.tar", epoch=EPOCH) is None
