"""A tree that was changed after it was put on a disk: the disk is that of the tree as it is now."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from bake_help import EPOCH, make_base_disk, make_tree

from goldsmith.bake.clusters import begin, changed_clusters, write_changed
from goldsmith.bake.disk import BaseDisk, make_disk
from goldsmith.bake.layout import make_layout
from goldsmith.bake.root_file_system import make_root
from goldsmith.bake.tree_changes import changes, listing
from goldsmith.errors import CommandFailedError, InputError
from goldsmith.host.jail import Jail, user_jail
from goldsmith.host.progress import Progress

LAYOUT = make_layout(2**30, "d" * 64)
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SECRET = b"a secret of the base, removed since" * 500
ODD = (
    "with a space",
    'with "quotes"',
    "<12>",
    "-f",
    "#",
    "$HOME",
    "ümlaut",
    b"latin-\xe4".decode(errors="surrogateescape"),
)


def _read(*words: str | Path) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, env={"PATH": PATH}).stdout


def _before(tree: Path) -> None:
    """What will be changed, removed and kept."""
    (tree / "kept").write_text("kept")
    (tree / "etc/secret").write_bytes(SECRET)
    for number in range(300):
        path = tree / f"opt/deep/er/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    (tree / "etc/grows").write_text("short")
    (tree / "etc/link").symlink_to("kept")
    (tree / "etc/folder-then-file").mkdir()
    (tree / "etc/folder-then-file/inside").write_text("1")
    (tree / "etc/file-then-folder").write_text("1")
    (tree / "one").write_text("of two")
    (tree / "two").hardlink_to(tree / "one")
    (tree / "lonely").write_text("gets company")


def _change(tree: Path) -> None:
    (tree / "etc/secret").unlink()
    shutil.rmtree(tree / "opt/deep")
    (tree / "etc/grows").write_bytes(b"long" * 100_000)
    (tree / "etc/link").unlink()
    (tree / "etc/link").symlink_to("elsewhere " * 20)
    shutil.rmtree(tree / "etc/folder-then-file")
    (tree / "etc/folder-then-file").write_text("2")
    (tree / "etc/file-then-folder").unlink()
    (tree / "etc/file-then-folder").mkdir(mode=0o700)
    (tree / "one").unlink()
    (tree / "friend").hardlink_to(tree / "lonely")
    for name in ODD:
        (tree / "odd" / name).mkdir(parents=True)
        (tree / "odd" / name / name).write_text(name, errors="surrogateescape")
    (tree / "kept").chmod(0o4751)
    os.setxattr(tree / "kept", "user.note", b"\0\xff binary")
    os.mkfifo(tree / "fifo")
    (tree / "empty").touch()
    with (tree / "sparse").open("wb") as stream:
        stream.seek(1_000_000)
        stream.write(b"end")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(tree / "socket"))
    os.utime(tree / "kept", (EPOCH + 90, EPOCH + 90))
    os.utime(tree / "empty", (EPOCH - 90, EPOCH - 90))


@dataclass
class Made:
    tree: Path
    base: BaseDisk
    image: Path
    raw: Path
    #: the same tree, put on a disk in one go
    whole: Path

    def stat(self, path: str, raw: Path | None = None) -> str:
        return _debugfs(raw or self.raw, f'stat "{path}"')


def _debugfs(raw: Path, request: str) -> str:
    return _read("debugfs", "-R", request, f"{raw}?offset={LAYOUT.root.start}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("changes")
    tree = make_tree(folder / "root")
    _before(tree)
    scratch, image, raw, whole = (folder / name for name in ("scratch", "image.qcow2", "back.raw", "whole.raw"))
    scratch.mkdir()
    with user_jail({"PATH": PATH}) as jail:
        base = make_base_disk(jail, tree, folder / "base", LAYOUT)
        _change(tree)
        make_disk(jail, tree, base, scratch, LAYOUT, image, epoch=EPOCH, progress=Progress(stream=StringIO()))
        whole.touch()
        os.truncate(whole, LAYOUT.size)
        listing(jail, tree, epoch=EPOCH)
        make_root(jail, tree, scratch, LAYOUT, whole, EPOCH)
    _read("qemu-img", "convert", "-O", "raw", image, raw)
    return Made(tree, base, image, raw, whole)


def _dumped(raw: Path, folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, mtime and content of all files; written by debugfs."""
    folder.mkdir()
    _debugfs(raw, f"rdump / {folder}")

    def entries() -> Iterator[tuple[str, tuple[int, int, bytes]]]:
        for path in folder.rglob("*"):
            found = path.lstat()
            content = os.fsencode(path.readlink()) if path.is_symlink() else b""
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
            yield (
                str(path.relative_to(folder)),
                (found.st_mode, 0 if path.is_symlink() else int(found.st_mtime), content),
            )

    return dict(entries())


def test_the_disk_is_that_of_the_tree_put_there_in_one_go(made: Made, tmp_path: Path) -> None:
    one, other = _dumped(made.raw, tmp_path / "one"), _dumped(made.whole, tmp_path / "other")
    # What the last step of the boot loader left and took away is in the times of one folder alone.
    assert {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)} == set()
    assert len(one) > 40
    assert not any(name.startswith("opt/deep") for name in one)
    assert one["etc/grows"][2] == b"long" * 100_000
    assert {f"odd/{name}/{name}" for name in ODD} <= one.keys()


def test_it_is_whole(made: Made) -> None:
    _read("e2fsck", "-f", "-n", f"{made.raw}?offset={LAYOUT.root.start}")
    _read("qemu-img", "check", made.image)


@pytest.mark.parametrize(
    "path", ["/kept", "/two", "/friend", "/lonely", "/fifo", "/empty", "/sparse", "/etc", "/etc/link", "/odd/<12>/<12>"]
)
def test_inodes_are_those_of_one_go(made: Made, path: str) -> None:
    def facts(raw: Path) -> list[str]:
        said = made.stat(path, raw)
        wanted = r"Type: \w+ +Mode: +\w+|User: .*?Project|Links: \d+|[acm]time: 0x\w+|user\.note.*|Fast link dest: .*"
        return re.findall(wanted, said)

    assert facts(made.raw) == facts(made.whole)
    assert len(facts(made.raw)) > 5


def test_hard_links_are_of_one_inode(made: Made) -> None:
    inodes = {made.stat(path).split("Inode: ")[1].split()[0] for path in ("/friend", "/lonely")}
    assert len(inodes) == 1
    assert "Links: 2" in made.stat("/friend")
    assert "Links: 1" in made.stat("/two")


def test_attributes_are_there_to_the_byte(made: Made) -> None:
    shown = _debugfs(made.raw, 'ea_get -x "/kept" user.note').split("=")[1]
    assert bytes.fromhex(shown) == b"\0\xff binary"


def test_sockets_are_left_out(made: Made) -> None:
    assert "socket" not in _debugfs(made.raw, "ls -p /")


def test_what_was_removed_is_not_on_the_disk(made: Made) -> None:
    assert SECRET in made.base.raw.read_bytes()
    assert SECRET[:35] not in made.raw.read_bytes()


def test_all_superblocks_have_the_images_own_identifiers(made: Made) -> None:
    place = f"{made.raw}?offset={LAYOUT.root.start}"
    for block in ("0", "32768", "98304"):
        said = _read(
            "dumpe2fs", "-h", *(["-o", f"superblock={block}", "-o", "blocksize=4096"] if block != "0" else []), place
        )
        assert re.search(r"UUID: +(\S+)", said)[1] == LAYOUT.root_uuid  # type: ignore[index]
        assert re.search(r"Hash Seed: +(\S+)", said)[1] == LAYOUT.hash_seed  # type: ignore[index]


def test_clusters_that_did_not_change_are_taken_over(made: Made) -> None:
    changed = changed_clusters(made.base.raw, made.raw)
    assert 10 < len(changed) < 400
    mapped = {}
    for name, image in (("base", made.base.image()), ("image", made.image)):
        said = json.loads(_read("qemu-img", "map", "--output=json", image))
        mapped[name] = {each["start"] for each in said if each["data"]}
    # The same bytes lie at the same place in both files.
    assert mapped["base"]
    assert made.image.stat().st_size < made.base.image().stat().st_size + 40 * 65536


def test_nothing_changed(jail: Jail, tmp_path: Path, made: Made) -> None:
    target = tmp_path / "same.qcow2"
    begin(jail, made.base.image(), target)
    write_changed(jail, made.base.raw, [], target, tmp_path)
    assert target.read_bytes() == made.base.image().read_bytes()


def test_the_last_cluster_of_an_odd_disk_and_holes(jail: Jail, tmp_path: Path) -> None:
    """Data that became a hole, a hole that became data, and a disk that ends in the middle of a cluster."""
    size = 200 * 65536 + 4096
    old, new, image, target, back = (tmp_path / name for name in ("old", "new", "image", "target", "back"))
    for path in (old, new):
        path.touch()
        os.truncate(path, size)
    with old.open("r+b") as stream:
        for number in (3, 4, 5, 90):
            stream.seek(number * 65536)
            stream.write(b"o" * 65536)
    with new.open("r+b") as stream:
        for number in (3, 90, 130):
            stream.seek(number * 65536)
            stream.write((b"o" if number == 3 else b"n") * 65536)
        stream.seek(size - 10)
        stream.write(b"n" * 10)
    jail.run(["qemu-img", "convert", "-c", "-O", "qcow2", old, image], deadline=60)
    changed = changed_clusters(old, new)
    assert changed == [4, 5, 90, 130, 200]
    begin(jail, image, target)
    write_changed(jail, new, changed, target, tmp_path)
    jail.run(["qemu-img", "convert", "-O", "raw", target, back], deadline=60)
    assert back.read_bytes() == new.read_bytes()


def test_a_base_that_is_no_disk_is_not_written_over(jail: Jail, tmp_path: Path) -> None:
    base, new = tmp_path / "base", tmp_path / "new"
    base.write_bytes(b"QFI\xfb" + bytes(100))
    new.write_bytes(bytes(65536))
    begin(jail, base, tmp_path / "target")
    with pytest.raises(CommandFailedError, match="qemu-io"):
        write_changed(jail, new, [0], tmp_path / "target", tmp_path)


def test_a_name_with_a_line_break_is_refused(jail: Jail, tmp_path: Path) -> None:
    before = listing(jail, tmp_path)
    (tmp_path / "in\nit").touch()
    with pytest.raises(InputError, match="line break"):
        changes(before, listing(jail, tmp_path))


def test_what_did_not_change_is_not_named(jail: Jail, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").touch()
    before = listing(jail, tmp_path)
    assert changes(before, listing(jail, tmp_path)) == changes({}, {})
    (tmp_path / "a/c").touch()
    found = changes(before, listing(jail, tmp_path))
    assert ([each.path for each in found.made], [each.path for each in found.folders]) == (["/a/c"], ["/a"])
