"""Both sides of a comparison, read in the appliance: every tree once, then the few files that are to be explained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goldsmith.errors import HarnessError, InputError
from goldsmith.host.progress import Progress
from goldsmith.inspection.comparison.contents import LIMIT, Content
from goldsmith.inspection.comparison.differences import Side
from goldsmith.inspection.comparison.disks import TREE_SECONDS, Disk, Opened, Opener, disk
from goldsmith.inspection.comparison.files import File, Listing, listing
from goldsmith.inspection.comparison.packages import Packages, packages
from goldsmith.verify.residue.search import homes, printable
from goldsmith.verify.tree import Tree

SIDES: tuple[Side, Side] = ("a", "b")
#: of a file that is not read as a whole, so much is; and so many bytes of all files are, on each side
_HEAD = 64 * 2**10
_MOST_READ = 256 * 2**20


@dataclass(frozen=True)
class Seen:
    """A tree of one side."""

    listing: Listing
    packages: Packages = field(default_factory=Packages)
    homes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Read:
    """One side: ``trees`` by the prefix of their paths; ``unread`` says of what nothing is known."""

    disk: Disk
    trees: Mapping[str, Seen]
    unread: tuple[str, ...]


def both(opener: Opener, paths: Mapping[Side, Path], progress: Progress) -> dict[Side, Read]:
    """Read both sides.  Raises InputError for an image that cannot be read, HostError and HarnessError."""

    def read(apart: bool) -> dict[Side, Read]:
        found = {}
        for side in SIDES:
            with progress.step(f"diff: all files of {side.upper()}"), opener(side) as running:
                found[side] = _read(running, paths[side], apart=apart)
        return found

    found = read(apart=False)
    if found["a"].disk.systems != found["b"].disk.systems:
        # One has no system, or another number of them: there is no pair to compare.
        return read(apart=True)
    return found


def contents(
    opener: Opener, path: Path, side: Side, of: Disk, wanted: Mapping[str, Sequence[tuple[str, File]]]
) -> dict[tuple[str, str], Content]:
    """What stands in files of a side: ``wanted`` are paths by their trees; the answer is by both.

    Raises as ``both``.
    """
    found: dict[tuple[str, str], Content] = {}
    left = _MOST_READ
    with opener(side) as running:
        for prefix, files in wanted.items():
            if not files:
                continue
            with _mounted(running, path, of, prefix) as (tree, _):
                for name, file in files:
                    size = file.size if file.size <= min(LIMIT, left) else min(file.size, _HEAD)
                    found[prefix, name] = Content(_bytes(tree, name, size, file), file.size)
                    left = max(0, left - size)
    return found


def _bytes(tree: Tree, name: str, size: int, file: File) -> bytes:
    if not size:
        return b""
    return tree.read(name) if size == file.size else tree.head(name, size)


def _read(found: Opened, path: Path, *, apart: bool) -> Read:
    with _blamed(found, path):
        of = disk(found, apart=apart)
    trees, unread = {}, list(of.unread)
    for prefix, system in of.trees.items():
        with _mounted(found, path, of, prefix) as (tree, failed):
            with found.running.disk(found.side, TREE_SECONDS) as (handle, _):
                seen = listing(handle)
            unread += [f"{prefix}{folder}: cannot be mounted" for folder in failed]
            unread += [f"{prefix}{name}: a name that is no UTF-8" for name in seen.unasked]
            trees[prefix] = Seen(seen, packages(tree), homes(tree)) if system.type == "linux" else Seen(seen)
    return Read(of, trees, tuple(unread))


@contextlib.contextmanager
def _mounted(found: Opened, path: Path, of: Disk, prefix: str) -> Iterator[tuple[Tree, list[str]]]:
    with _blamed(found, path), found.running.system(of.trees[prefix], TREE_SECONDS) as mounted:
        yield mounted


@contextlib.contextmanager
def _blamed(found: Opened, path: Path) -> Iterator[None]:
    """What fails while the appliance outlives it is the image's fault."""
    try:
        yield
    except (HarnessError, ValueError) as error:
        if not found.running.answers():
            raise
        message = error.message if isinstance(error, HarnessError) else str(error)
        where = f"{path}: {error.where}" if isinstance(error, HarnessError) and error.where else str(path)
        raise InputError(f"cannot be read: {printable(message)}", where=printable(where)) from error
