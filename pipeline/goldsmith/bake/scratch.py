"""Scratch folders of builds, and what killed builds left of theirs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from goldsmith.host.jail import Jail
from goldsmith.host.run import run

_PREFIX = "build-"
_LOCK = ".lock"


@contextlib.contextmanager
def scratch_folder(parent: Path, jail: Jail) -> Iterator[Path]:
    """An empty folder that is locked while its owner lives and removed at the end.

    It will hold files of root, so ``jail`` removes it.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            inner = folder / "work"
            inner.mkdir()
            yield inner
        finally:
            # Without check: an error of the body must not be covered; what is left is swept by the next build.
            jail.run(["rm", "-rf", "--one-file-system", folder], deadline=300, check=False)


def sweep(parent: Path, jail: Jail) -> list[str]:
    """Remove scratch folders whose owner is dead, and free loop devices on files in them.

    Mounts and processes need no sweeping: they died with the namespaces of their build.  Returns what was done.
    """
    done: list[str] = []
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
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:
        # Between mkdtemp and the lock: a living owner gets there at once, a dead one left an empty folder.
        return not any(folder.iterdir()) and folder.stat().st_mtime > time.time() - 60
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _loop_devices(folder: Path) -> list[str]:
    listed = run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"], deadline=30, check=False).stdout
    if not listed.strip():
        return []
    devices = json.loads(listed).get("loopdevices", [])
    return [entry["name"] for entry in devices if str(entry.get("back-file") or "").startswith(f"{folder}/")]
