"""The ext4 of a tree, the same bytes for the same tree: no time in it is that of the build."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from goldsmith.bake.layout import Layout
from goldsmith.errors import HarnessError
from goldsmith.host.files import write_text
from goldsmith.host.jail import Jail

#: the first inode that is not the file system's own, but for the root folder
_FIRST_INODE = 11
_ROOT_INODE = 2


def make_root(jail: Jail, tree: Path, scratch: Path, layout: Layout, raw: Path, epoch: int) -> None:
    """Write ``tree`` as ext4 into its partition of ``raw``.

    Times after ``epoch`` (seconds) become ``epoch``, as in packages that are built reproducibly; so do all times of
    reading and of the last change to an inode, which are the unpacking's.  Raises CommandFailedError, and HarnessError
    where the file system is not as it was made.
    """
    stamp = {"E2FSPROGS_FAKE_TIME": str(epoch)}
    later: list[str | Path] = [
        "find",
        tree,
        "-newermt",
        f"@{epoch}",
        "-exec",
        "touch",
        "--no-dereference",
        f"--date=@{epoch}",
        "{}",
        "+",
    ]
    jail.run(later, deadline=300)
    jail.run(
        [
            "mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, "-L", "root", "-U", layout.root_uuid,
            "-E", f"offset={layout.root.start},hash_seed={layout.hash_seed},root_owner=0:0",
            raw, f"{layout.root.size // 1024}k",
        ],
        deadline=900,
        env=stamp,
        hint="if the file system is full: raise disk.size in the recipe",
    )  # fmt: skip
    # mke2fs copies these two from the tree, where the kernel keeps them and nobody can set one of them.
    place = f"{raw}?offset={layout.root.start}"
    used = list(_used(jail.run(["dumpe2fs", place], deadline=60, env=stamp).stdout))
    if not used:
        raise HarnessError("dumpe2fs names no free inodes", where=place)
    commands = scratch / "debugfs.txt"
    fields = ("atime", "ctime")
    write_text(commands, "".join(f"sif <{inode}> {field} @{epoch}\n" for inode in used for field in fields))
    said = jail.run(["debugfs", "-w", "-f", commands, place], deadline=300, env=stamp).stderr.splitlines()
    # Its status is 0 whatever happened; its first line is its version.
    if said[1:]:
        raise HarnessError(f"debugfs: {said[1]}", where=place)


def _used(listing: str) -> Iterator[int]:
    """Numbers of the inodes that are files and folders, by dumpe2fs's list of the free ones in each group."""
    total = re.search(r"^Inode count: +(\d+)$", listing, re.MULTILINE)
    free: set[int] = set()
    for line in re.findall(r"^  Free inodes: (.*)$", listing, re.MULTILINE):
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", line):
            free.update(range(int(first), int(last or first) + 1))
    if total and free:
        yield _ROOT_INODE
        yield from (inode for inode in range(_FIRST_INODE, int(total[1]) + 1) if inode not in free)
