"""Keeping the cache within a size: what was used least lately goes first, and can be made or fetched again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from goldsmith.host.jail import root_jail
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
    """What the cache has and can do without, that first which was used least lately.

    These are artefacts, downloaded bases, downloaded packages, proofs and other verdicts.  All else in a cache is
    small, or there once for each recipe and image that has a name, and written over.
    """
    store = ArtefactStore(settings.cache_dir / "artefacts")
    found = [
        Item(f"{each.kind} {each.digest[:12]}", each.size, each.used, partial(store.remove, each))
        for each in store.stored()
    ]
    found += [*_downloads(settings), *_packages(settings), *_proofs(settings)]
    return sorted(found, key=lambda item: (item.used, item.name))


def _downloads(settings: Settings) -> Iterator[Item]:
    folder = settings.cache_dir / "downloads"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (match := _DOWNLOAD.fullmatch(path.name)) and path.is_file():
            facts = path.stat()
            name = f"{'part of a download' if match[2] else 'download'} {match[1][:12]}"
            yield Item(name, facts.st_size, facts.st_mtime, partial(_remove_download, path, match[1], facts.st_mtime))


def _packages(settings: Settings) -> Iterator[Item]:
    """The packages that diskimage-builder has fetched, as one: which of them the next build takes nobody knows."""
    folder = settings.cache_dir / "dib"
    if folder.is_dir() and any(folder.iterdir()):
        size, used = _measured(folder)
        yield Item("package downloads", size, used, partial(_remove_packages, folder, used, settings))


def _measured(folder: Path) -> tuple[int, float]:
    """Bytes of all files below, and the newest change: of the inodes, as apt gives a package the archive's time."""
    size, changed = 0, 0.0
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):  # renamed by a build that fetches
                facts = Path(parent, name).lstat()
                size += facts.st_size if name in files else 0
                changed = max(changed, facts.st_ctime)
    return size, changed


def _proofs(settings: Settings) -> Iterator[Item]:
    for path in sorted((settings.cache_dir / "proofs").glob("*.json")):
        facts = path.stat()
        yield Item(
            f"proof {path.stem[:12]}", facts.st_size, facts.st_mtime, partial(_remove_proof, path, facts.st_mtime)
        )


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


def _remove_packages(folder: Path, used: float, settings: Settings) -> bool:
    """Where a build is fetching, they stay."""
    with folder.with_name("dib.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if _measured(folder)[1] != used:
            return False
        # The folder itself stays: a build that waits for the lock has made it already.
        inside = list(folder.iterdir())
        try:
            for path in inside:
                (shutil.rmtree if path.is_dir() else os.unlink)(path)
        except PermissionError:
            # Root fetched them.
            with root_jail(settings.base_environment) as jail:
                jail.run(["rm", "-rf", "--one-file-system", *inside], deadline=300)
        return True


def _remove_proof(path: Path, used: float) -> bool:
    try:
        if path.stat().st_mtime != used:
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True
