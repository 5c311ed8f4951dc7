"""What a boot leaves on the disk: names that are new in its overlay or gone from it, against the image as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from goldsmith.store.manifest import Firmware
from goldsmith.verify.residue.search import printable

#: entries that are kept of each kind; a boot of an ordinary guest leaves some dozens
MOST = 500


class Entry(BaseModel):
    """A file, or a folder with all that is below it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    below: int = Field(default=0, description="Names below it, which are new or gone with it")


class Left(BaseModel):
    """The difference that one boot made; files that were there before and changed are not in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    firmware: Firmware
    added: tuple[Entry, ...] = ()
    removed: tuple[Entry, ...] = ()
    added_count: int = Field(default=0, description="All new names, those below the entries and beyond them too")
    removed_count: int = 0


def left(firmware: Firmware, before: Iterable[str], after: Iterable[str]) -> Left:
    """The difference of two lists of paths."""
    old, new = frozenset(before), frozenset(after)
    added, removed = new - old, old - new
    return Left(
        firmware=firmware,
        added=_topmost(added),
        removed=_topmost(removed),
        added_count=len(added),
        removed_count=len(removed),
    )


def _topmost(paths: frozenset[str]) -> tuple[Entry, ...]:
    """Paths whose folder is not among them, in order, each with the number of those below it."""
    tops: list[str] = []
    below: Counter[str] = Counter()
    # By folders, so that what lies below a path follows it at once: "a-b" sorts before "a/b" as text.
    for path in sorted(paths, key=lambda path: path.split("/")):
        if tops and path.startswith(f"{tops[-1]}/"):
            below[tops[-1]] += 1
        else:
            tops.append(path)
    return tuple(Entry(path=printable(path), below=below[path]) for path in tops[:MOST])
