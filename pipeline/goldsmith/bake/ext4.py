"""Programs of e2fsprogs on the root file system inside a raw disk: no mount, no loop device."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from goldsmith.bake.layout import Layout
from goldsmith.errors import CommandFailedError, HarnessError
from goldsmith.host.jail import Jail
from goldsmith.host.run import tail

FULL = "if the file system is full: raise disk.size in the recipe"
_SECONDS = 900.0
#: the first inode that is not the file system's own, but for the root folder
_FIRST_INODE = 11
_ROOT_INODE = 2


def place_of(raw: Path, layout: Layout) -> str:
    """The root file system as these programs name it."""
    return f"{raw}?offset={layout.root.start}"


def stamp(epoch: int) -> dict[str, str]:
    """The time (seconds) as they are told it."""
    return {"E2FSPROGS_FAKE_TIME": str(epoch)}


def debugfs(jail: Jail, place: str, commands: Iterable[str], scratch: Path, epoch: int) -> None:
    """Run commands of debugfs(8).  Raises CommandFailedError with its own words where one fails."""
    script = scratch / "debugfs.txt"
    script.write_bytes("".join(f"{line}\n" for line in commands).encode(errors="surrogateescape"))
    done = jail.run(["debugfs", "-w", "-f", script, place], deadline=_SECONDS, env=stamp(epoch))
    # Its status is 0 whatever happened; its first line is its version.
    if said := done.stderr.splitlines()[1:]:
        raise CommandFailedError(f"debugfs -w {place}", status="failed", tail=tail("\n".join(said)), hint=FULL)


def quoted(word: str) -> str:
    """A word as debugfs reads it."""
    return '"' + word.replace('"', '""') + '"'


def used_inodes(jail: Jail, place: str) -> list[int]:
    """Numbers of the inodes that are files and folders."""
    said = _dump(jail, place)
    total = re.search(r"^Inode count: +(\d+)$", said, re.MULTILINE)
    free = {inode for first, last in _runs(said, "inodes", place) for inode in range(first, last + 1)}
    if not total:
        raise HarnessError("dumpe2fs counts no inodes", where=place)
    return [_ROOT_INODE, *(inode for inode in range(_FIRST_INODE, int(total[1]) + 1) if inode not in free)]


def free_blocks(jail: Jail, place: str) -> tuple[int, list[tuple[int, int]]]:
    """Bytes of a block, and runs of free ones: first and last."""
    said = _dump(jail, place)
    size = re.search(r"^Block size: +(\d+)$", said, re.MULTILINE)
    if not size:
        raise HarnessError("dumpe2fs names no size of a block", where=place)
    return int(size[1]), list(_runs(said, "blocks", place))


def _dump(jail: Jail, place: str) -> str:
    return jail.run(["dumpe2fs", place], deadline=60).stdout


def _runs(dump: str, what: str, place: str) -> Iterator[tuple[int, int]]:
    lines = re.findall(rf"^  Free {what}: (.*)$", dump, re.MULTILINE)
    if not lines:
        raise HarnessError(f"dumpe2fs names no free {what}", where=place)
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", " ".join(lines)):
        yield int(first), int(last or first)
