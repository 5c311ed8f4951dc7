"""Files that are either whole or absent: build beside, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from goldsmith.errors import CommandFailedError, HostError

#: what the kernel says of a disk, or of a user's share of it, that is full
FULL = (errno.ENOSPC, errno.EDQUOT)
#: a tool on a disk with less than that free may say anything
_NO_ROOM = 2**20


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target`` to write; on success it takes target's place in one step.

    On any exception the half-written file is removed and ``target`` is as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        sync(part)
        part.chmod(0o644)
        part.replace(target)
        sync(target.parent)
    finally:
        part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Put a file's or a folder's state on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(target: Path, text: str) -> None:
    """Replace ``target`` by ``text`` atomically."""
    with replacing(target) as part:
        part.write_text(text)


def write_json(target: Path, document: Any) -> None:
    """Replace ``target`` by a JSON document, keys sorted, atomically."""
    write_text(target, json.dumps(document, indent=2, sort_keys=True) + "\n")


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def file_digests(path: Path, *algorithms: str) -> tuple[str, ...]:
    """As ``file_digest`` for several algorithms at once, each on a processor of its own."""
    with ThreadPoolExecutor(len(algorithms)) as pool:
        return tuple(pool.map(lambda algorithm: file_digest(path, algorithm), algorithms))


def document_digest(document: Any) -> str:
    """sha256 of a JSON-like document, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that dies with its owner; waits for another holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise HostError unless ``needed`` bytes are free where ``folder`` lies (or will)."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise HostError(
            f"{what} needs {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free",
            where=str(folder),
            hint=room_hint(),
        )


def room_hint(cache: Path | None = None) -> str:
    """What to do about a full disk."""
    return (
        "free some space, or set GOLDSMITH_WORK, GOLDSMITH_CACHE or GOLDSMITH_IMAGES to a larger disk; "
        f"'goldsmith gc' brings the cache {f'({cache}) ' if cache else ''}down to a size, with --all to nothing"
    )


def is_full(error: BaseException) -> bool:
    """Whether an error is that a disk is full, said by the kernel or by a tool."""
    if isinstance(error, OSError):
        return error.errno in FULL
    # A tool of the C library says it so; in another language it goes unseen here.
    texts = [os.strerror(number) for number in FULL]
    return isinstance(error, CommandFailedError) and any(text in error.tail for text in texts)


@contextlib.contextmanager
def disk_errors(place: Path, cache: Path) -> Iterator[None]:
    """Raise HostError where the body fails because a disk is full; ``place`` lies in ``cache``, and is written to."""
    try:
        yield
    except CommandFailedError as error:
        if not is_full(error) and shutil.disk_usage(cache).free >= _NO_ROOM:
            raise
        # Which disk, that of the cache or of the scratch space, stands in the command.
        raise HostError(f"a disk is full\n  {error}", hint=room_hint(cache)) from error
    except OSError as error:
        if not is_full(error):
            raise
        raise HostError("the disk is full", where=str(error.filename or place), hint=room_hint(cache)) from error
