"""Whether what was handed out verified is still what it was, without reading it again.

A file that is written to, replaced, truncated or removed gets another inode, size or time of change.  What a disk does
to it without anybody's writing shows in none of these: the digest tells, when the file is next asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from goldsmith.errors import HarnessError


class ChangedError(HarnessError):
    """Something was changed or removed while it was used."""


@dataclass(frozen=True)
class Stamp:
    """A file at one moment; ``times`` of its last change, in nanoseconds, None for one that others may touch."""

    inode: int
    size: int
    times: tuple[int, int] | None

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Raises OSError where there is no such file."""
        found = path.stat()
        return cls(found.st_ino, found.st_size, (found.st_mtime_ns, found.st_ctime_ns))

    @property
    def without_times(self) -> Stamp:
        return replace(self, times=None)

    def is_of(self, path: Path) -> bool:
        """Whether the file is still the one that was stamped."""
        try:
            found = Stamp.of(path)
        except OSError:
            return False
        return self == (found if self.times else found.without_times)


#: files as they were before their digest was computed: one that changes meanwhile has another stamp afterwards
Stamps = Mapping[Path, Stamp]


def unchanged(stamps: Stamps) -> bool:
    """Whether every file is still the one that was stamped."""
    return all(stamp.is_of(path) for path, stamp in stamps.items())


# Of two that saw the same, each is its own: bakes run beside each other.
@dataclass(eq=False)
class Watch:
    """What was handed out while it was open: its name, and its files."""

    handed_out: list[tuple[str, Stamps]] = field(default_factory=list)

    def lost(self) -> list[str]:
        """The names of what is no longer as it was, each once."""
        return list(dict.fromkeys(name for name, stamps in self.handed_out if not unchanged(stamps)))


#: of this process, not of a thread: a bake asks for its parts from several
_open: list[Watch] = []


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Watch all that the store and the downloads hand out in this process until the end of the block."""
    watch = Watch()
    _open.append(watch)
    try:
        yield watch
    finally:
        _open.remove(watch)


def hand_out(name: str, stamps: Stamps) -> None:
    """Note it with every watch that is open."""
    for watch in _open:
        watch.handed_out.append((name, stamps))


def require_unchanged() -> None:
    """Raise ChangedError where something that was handed out changed: what was made of it must not be kept."""
    if lost := [name for watch in _open for name in watch.lost()]:
        raise ChangedError(f"changed or removed while it was used: {', '.join(lost)}")
