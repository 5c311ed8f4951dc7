"""Keeping the cache within a size: what was used least lately goes first, and can be made or fetched again."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from goldsmith.settings import Settings
from goldsmith.store.artefacts import ArtefactStore

_DOWNLOAD = re.compile(r"([0-9a-f]{64})(\.part)?")


@dataclass(frozen=True)
class Item:
    """Something that can be removed: ``size`` in bytes, ``used`` in seconds since the epoch."""

    name: str
    size: int
    used: float
    #: False where it was used meanwhile, and stays
    remove: Callable[[], bool]


@dataclass(frozen=True)
class Collected:
    """``kept`` and ``removed`` in bytes; ``too_young`` are bytes above the limit that were used too lately."""

    removed: tuple[Item, ...]
    kept: int
    too_young: int

    @property
    def freed(self) -> int:
        return sum(item.size for item in self.removed)


def items(settings: Settings) -> list[Item]:
    """Artefacts and downloaded bases, those first that were used least lately."""
    store = ArtefactStore(settings.cache_dir / "artefacts")
    found = [
        Item(f"{each.kind} {each.digest[:12]}", each.size, each.used, partial(store.remove, each))
        for each in store.stored()
    ]
    folder = settings.cache_dir / "downloads"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (match := _DOWNLOAD.fullmatch(path.name)) and path.is_file():
            facts = path.stat()
            name = f"{'part of a download' if match[2] else 'download'} {match[1][:12]}"
            remove = partial(_remove_download, path, match[1], facts.st_mtime)
            found.append(Item(name, facts.st_size, facts.st_mtime, remove))
    return sorted(found, key=lambda item: (item.used, item.name))


def collect(found: list[Item], limit: int, younger_than: float, *, dry_run: bool) -> Collected:
    """Remove, from the first on, what is needed to come down to ``limit`` bytes.

    What was used after ``younger_than`` (seconds since the epoch) stays: a run that goes on may be about to open it.
    With ``dry_run`` nothing is removed, and said what would be.
    """
    kept = sum(item.size for item in found)
    removed = []
    for item in found:
        if kept <= limit or item.used > younger_than:
            break
        if dry_run or item.remove():
            removed.append(item)
            kept -= item.size
    return Collected(tuple(removed), kept, max(0, kept - limit))


def _remove_download(path: Path, digest: str, used: float) -> bool:
    with path.with_name(f"{digest}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_mtime != used:
                return False
        except (BlockingIOError, FileNotFoundError):
            return False
        path.unlink()
        path.with_name(f"{path.name}.json").unlink(missing_ok=True)
        return True
