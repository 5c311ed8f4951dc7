"""Artefacts that can be made again, kept by the digest of the inputs that made them.

Layout below the cache: ``artefacts/KIND/DIGEST/`` holds the files and ``artefact.json`` with each file's sha256 and
size; ``.part-DIGEST-*`` is one being written or removed; ``.lock-DIGEST`` is held meanwhile; ``artefact.json`` is as
old as the artefact's last use.  The folder gets its name in one step when all is on disk, so a killed writer leaves
only a ``.part-*`` that nobody takes for an artefact.

Locks stay when their artefact goes: who waits at one that was removed and who makes it anew would both have it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from goldsmith.errors import HarnessError
from goldsmith.host.files import disk_errors, file_digest, locked, sync
from goldsmith.store.watch import Stamp, Stamps, hand_out, require_unchanged, unchanged

_RECORD = "artefact.json"
_KIND = re.compile(r"[a-z][a-z0-9-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"\.part-([0-9a-f]{64})-.+")


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    sha256: str
    size: int


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    files: dict[str, _Fact]


@dataclass(frozen=True)
class Stored:
    """An artefact as it lies there, unread: ``size`` in bytes, ``used`` in seconds since the epoch."""

    kind: str
    digest: str
    size: int
    used: float


@dataclass(frozen=True)
class Artefact:
    """A whole artefact; ``sha256`` maps each file's path inside ``folder`` to its digest."""

    folder: Path
    sha256: Mapping[str, str]
    stamps: Stamps = field(default_factory=dict, compare=False, repr=False)

    def file(self, name: str) -> Path:
        """Path of one of its files; raises HarnessError where the artefact has none of that name."""
        if name not in self.sha256:
            raise HarnessError(f"the artefact holds no {name}", where=str(self.folder))
        return self.folder / name

    def unchanged(self) -> bool:
        """Whether its files are still those that were verified, by their inodes: nothing is read."""
        return unchanged(self.stamps)


class ArtefactStore:
    """The store in ``root``; safe for several processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _place(self, kind: str, digest: str) -> Path:
        if not _KIND.fullmatch(kind) or not _DIGEST.fullmatch(digest):
            raise ValueError(f"not an artefact: {kind!r} {digest!r}")
        return self.root / kind / digest

    def _lock_path(self, place: Path) -> Path:
        return place.parent / f".lock-{place.name}"

    def get(self, kind: str, digest: str) -> Artefact | None:
        """The artefact, its files' digests computed anew; one that is damaged is removed and None."""
        place = self._place(kind, digest)
        if artefact := _verified(place):
            _touch(place)
            return _handed_out(artefact)
        if not place.exists():
            return None
        with disk_errors(place, self.root.parent), locked(self._lock_path(place)):
            artefact = self._verified_or_removed(place)
        return _handed_out(artefact) if artefact else None

    def holds(self, kind: str, digest: str) -> bool:
        """Whether an artefact is there, unread: ``get`` may find it damaged."""
        return (self._place(kind, digest) / _RECORD).is_file()

    def _verified_or_removed(self, place: Path) -> Artefact | None:
        """Under the lock: another process may have removed or replaced what was seen to be damaged."""
        artefact = _verified(place)
        if artefact is None and place.exists():
            _bury(place)
        return artefact

    def stored(self) -> list[Stored]:
        """All artefacts, those first that were used least lately."""
        found = []
        for record in self.root.glob(f"*/*/{_RECORD}"):
            place = record.parent
            if _DIGEST.fullmatch(place.name):
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
                    found.append(Stored(place.parent.name, place.name, size, record.stat().st_mtime))
        return sorted(found, key=lambda each: (each.used, each.digest))

    def remove(self, stored: Stored) -> bool:
        """Remove an artefact; False where it was used since, or is being written."""
        place = self._place(stored.kind, stored.digest)
        with self._lock_path(place).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (place / _RECORD).stat().st_mtime != stored.used:
                    return False
            except (BlockingIOError, FileNotFoundError):
                return False
            _bury(place)
            return True

    def put(self, kind: str, digest: str, writer: Callable[[Path], object]) -> Artefact:
        """Return the artefact, made by ``writer`` unless it is there.

        ``writer`` gets an empty folder to fill with plain files.  Where another process writes the same artefact,
        this waits and returns that one.  An exception of ``writer`` passes through and leaves nothing; a disk that is
        full is a HostError.  Raises ChangedError, and keeps nothing, where something changed that was handed out to a
        watch that is open (``goldsmith.store.watch``).
        """
        place = self._place(kind, digest)
        with disk_errors(place, self.root.parent), locked(self._lock_path(place)):
            artefact = self._verified_or_removed(place)
            if artefact:
                _touch(place)
            else:
                artefact = self._written(place, writer)
        return _handed_out(artefact)

    def _written(self, place: Path, writer: Callable[[Path], object]) -> Artefact:
        """Under the lock, where nothing is."""
        part = Path(tempfile.mkdtemp(prefix=f".part-{place.name}-", dir=place.parent))
        try:
            # Here too: when the part is gone nobody can see that the disk was full.
            with disk_errors(place, self.root.parent):
                writer(part)
            require_unchanged()
            stamps = {name: Stamp.of(path) for name, path in _files(part)}
            facts = {name: _Fact(sha256=file_digest(part / name), size=stamp.size) for name, stamp in stamps.items()}
            if not facts:
                raise HarnessError("nothing was written", where=str(place))
            (part / _RECORD).write_text(_Record(files=facts).model_dump_json(indent=2))
            _flush(part)
            part.chmod(0o755)
            part.rename(place)
            sync(place.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        sha256 = {name: fact.sha256 for name, fact in facts.items()}
        return Artefact(place, sha256, {place / name: stamp for name, stamp in stamps.items()})

    def sweep(self) -> list[Path]:
        """Remove what killed writers left; what is being written now is left alone.  Returns what was removed."""
        removed = []
        for part in sorted(self.root.glob("*/.part-*")):
            match = _PART.fullmatch(part.name)
            if match and _free(self._lock_path(part.parent / match.group(1))):
                shutil.rmtree(part, ignore_errors=True)
                removed.append(part)
        return removed


def kept(root: Path, kind: str, key: str | None, writer: Callable[[Path], object], scratch: Path) -> Path:
    """The folder of an artefact in the store at ``root``, made unless it is there; without a key, one in ``scratch``.

    Errors are those of ``ArtefactStore.put``.
    """
    if key:
        return ArtefactStore(root).put(kind, key, writer).folder
    folder = scratch / kind
    folder.mkdir()
    writer(folder)
    return folder


def _touch(place: Path) -> None:
    # A store that may only be read is used all the same.
    with contextlib.suppress(OSError):
        os.utime(place / _RECORD)


def _bury(place: Path) -> None:
    """Under the lock: renamed first, as a removal that is killed half-way must not leave something under that name.

    Nothing is made for that: on a disk that is full it would fail, and nobody could make room.
    """
    grave = place.with_name(f".part-{place.name}-removed-{secrets.token_hex(4)}")
    place.rename(grave)
    shutil.rmtree(grave)


def _free(lock: Path) -> bool:
    """Whether no living process holds the lock: a part whose lock is free is nobody's."""
    with lock.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Plain files below ``folder`` with their relative names; anything but files and folders is refused."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise HarnessError("an artefact holds plain files only", where=str(path))
        if path.is_file():
            yield str(path.relative_to(folder)), path


def _verified(place: Path) -> Artefact | None:
    stamps = {}
    try:
        record = _Record.model_validate_json((place / _RECORD).read_bytes())
        for name, fact in record.files.items():
            path = place / name
            stamps[path] = Stamp.of(path)
            if stamps[path].size != fact.size or file_digest(path) != fact.sha256:
                return None
    except (OSError, ValidationError):
        return None
    return Artefact(place, {name: fact.sha256 for name, fact in record.files.items()}, stamps)


def _handed_out(artefact: Artefact) -> Artefact:
    hand_out(artefact.folder.parent.name, artefact.stamps)
    return artefact


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)
