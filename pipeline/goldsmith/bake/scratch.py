"""Scratch folders of builds, and what killed builds left of theirs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from goldsmith.errors import HarnessError
from goldsmith.host.jail import Jail
from goldsmith.host.memory import available_memory
from goldsmith.host.run import run
from goldsmith.settings import Settings

_PREFIX = "build-"
_LOCK = ".lock"
#: held while a folder gets its lock, and while folders without a living owner are looked for
_PARENT_LOCK = ".scratch.lock"
#: how much more memory than a build takes has to be there for it to work in memory: guests boot beside it
_PLENTY = 3


def scratch_parent(settings: Settings, needed: int) -> Path:
    """Where a build that writes up to ``needed`` bytes works: in memory where there is plenty, else on the disk."""
    folder = settings.memory_dir
    if folder and folder.parent.is_dir() and available_memory() >= _PLENTY * needed:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            # Everybody may write beside it: what is there may be another's.
            private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
            if private and shutil.disk_usage(folder).free >= needed:
                return folder
    return settings.work_dir


@contextlib.contextmanager
def scratch_folder(parent: Path, jail: Jail | None = None, *, lasting: bool = True) -> Iterator[Path]:
    """An empty folder that is locked while its owner lives and removed at the end; ``parent`` too unless ``lasting``.

    ``jail`` removes it where it will hold files of root; programs and devices in it work there, wherever it lies.
    """
    with contextlib.ExitStack() as stack:
        with _lock(parent):
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            lock = stack.enter_context((folder / _LOCK).open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        freed = False
        try:
            inner = folder / "work"
            inner.mkdir()
            if jail and (freed := _is_restricted(folder)):
                # Only root of the host may; another will hear what does not work there.
                jail.run(["mount", "--bind", inner, inner], deadline=30, check=False)
                jail.run(["mount", "-o", "remount,bind,dev,suid,exec", inner], deadline=30, check=False)
            yield inner
        finally:
            if jail and freed:
                with contextlib.suppress(HarnessError):
                    jail.run(["umount", "--lazy", inner], deadline=30, check=False)
            # An error of the body must not be covered; what is left is swept by the next build.  The lock goes last.
            with contextlib.suppress(HarnessError):
                (jail.run if jail else run)(["rm", "-rf", "--one-file-system", inner, folder], deadline=300)
            if not lasting:
                _remove_if_empty(parent)


def _lock(parent: Path) -> IO[str]:
    """The lock of ``parent``, which is made; held until it is closed."""
    path = parent / _PARENT_LOCK
    while True:
        # Whoever leaves the folder empty may remove it, and the lock with it, at any moment until we hold that.
        with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as unless_held:
            try:
                parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except FileExistsError:
                # Removed since mkdir saw it, or no folder.
                if not stat.S_ISDIR(parent.stat().st_mode):
                    raise
            lock = unless_held.enter_context(path.open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                unless_held.pop_all()
                return lock


def _remove_if_empty(parent: Path) -> None:
    with contextlib.suppress(OSError), _lock(parent):
        if not any(parent.glob(f"{_PREFIX}*")):
            (parent / _PARENT_LOCK).unlink()
            parent.rmdir()


def _is_restricted(folder: Path) -> bool:
    """Whether its file system was mounted without devices, programs or set-id bits, as /dev/shm often is."""
    return bool(os.statvfs(folder).f_flag & (os.ST_NODEV | os.ST_NOEXEC | os.ST_NOSUID))


def is_littered(parent: Path) -> bool:
    """Whether a build that was killed left a folder here; says it without root."""
    if not parent.is_dir():
        return False
    with _lock(parent):
        return any(not _in_use(folder) for folder in parent.glob(f"{_PREFIX}*"))


def sweep(parent: Path, jail: Jail) -> list[str]:
    """Remove scratch folders whose owner is dead, and free loop devices on files in them.

    Mounts and processes need no sweeping: they died with the namespaces of their build.  Returns what was done.
    """
    done: list[str] = []
    with _lock(parent):
        for folder in sorted(parent.glob(f"{_PREFIX}*")):
            if _in_use(folder):
                continue
            for device in _loop_devices(folder):
                jail.run(["losetup", "--detach", device], deadline=30, check=False)
                done.append(f"freed {device}")
            jail.run(["rm", "-rf", "--one-file-system", folder], deadline=300)
            done.append(f"removed {folder}")
    return done


def _in_use(folder: Path) -> bool:
    """Whether a living process holds the folder's lock; under the parent's lock, none is between folder and lock."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        # Another user's: that user's builds sweep it.
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _loop_devices(folder: Path) -> list[str]:
    # The kernel names backing files by their real path.
    inside = f"{folder.resolve()}/"
    listed = run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"], deadline=30, check=False).stdout
    if not listed.strip():
        return []
    devices = json.loads(listed).get("loopdevices", [])
    return [entry["name"] for entry in devices if str(entry.get("back-file") or "").startswith(inside)]
