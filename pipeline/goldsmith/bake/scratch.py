"""Scratch folders of builds, and what killed builds left of theirs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from goldsmith.errors import HarnessError
from goldsmith.host.files import locked
from goldsmith.host.jail import Jail
from goldsmith.host.run import run

_PREFIX = "build-"
_LOCK = ".lock"
#: held while a folder gets its lock, and while folders without a living owner are looked for
_PARENT_LOCK = ".scratch.lock"


@contextlib.contextmanager
def scratch_folder(parent: Path, jail: Jail | None = None) -> Iterator[Path]:
    """An empty folder that is locked while its owner lives and removed at the end.

    ``jail`` removes it where it will hold files of root.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with locked(parent / _PARENT_LOCK):
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            lock = stack.enter_context((folder / _LOCK).open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            inner = folder / "work"
            inner.mkdir()
            yield inner
        finally:
            # An error of the body must not be covered; what is left is swept by the next build.  The lock goes last.
            with contextlib.suppress(HarnessError):
                (jail.run if jail else run)(["rm", "-rf", "--one-file-system", inner, folder], deadline=300)


def is_littered(parent: Path) -> bool:
    """Whether a build that was killed left a folder here; says it without root."""
    if not parent.is_dir():
        return False
    with locked(parent / _PARENT_LOCK):
        return any(not _in_use(folder) for folder in parent.glob(f"{_PREFIX}*"))


def sweep(parent: Path, jail: Jail) -> list[str]:
    """Remove scratch folders whose owner is dead, and free loop devices on files in them.

    Mounts and processes need no sweeping: they died with the namespaces of their build.  Returns what was done.
    """
    done: list[str] = []
    with locked(parent / _PARENT_LOCK):
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
