"""States of a running machine, kept in its own disk: memory, devices, disk and firmware's variables as they were.

QEMU keeps them in qcow2 files (savevm, loadvm), so both writable drives of a machine are of that format.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from goldsmith.boot.monitor import Monitor
from goldsmith.errors import HarnessError, InputError

DISK = "overlay.qcow2"
VARIABLES = "vars.qcow2"
#: a number would be taken for the place in QEMU's list
_NAME = re.compile(r"[a-z][a-z0-9-]*")
#: seconds for QEMU to write or read a guest's memory, before scaling
SECONDS = 120.0


@dataclass(frozen=True)
class Saved:
    """A state kept for other processes: ``folder`` holds the drives with the snapshot ``name`` in them."""

    folder: Path
    name: str
    #: the boot's id, which the guest told when its channel opened
    boot: str
    #: what the serial console had shown
    console: bytes = b""


@contextlib.contextmanager
def stopped(monitor: Monitor) -> Iterator[None]:
    """Hold the guest; QEMU writes what it still had in memory to its files."""
    monitor.execute("stop")
    try:
        yield
    finally:
        monitor.execute("cont")


def take(monitor: Monitor, name: str, scale: float = 1.0) -> None:
    """Keep the state as ``name``, in place of an older one.  Raises HarnessError with QEMU's words."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name of a snapshot", hint="such as `settled`")
    _say(monitor, "savevm", name, scale)


def load(monitor: Monitor, name: str, scale: float = 1.0) -> None:
    """Go back to ``name``.  Raises HarnessError with QEMU's words."""
    _say(monitor, "loadvm", name, scale)


def delete(monitor: Monitor, name: str, scale: float = 1.0) -> None:
    """Forget ``name``."""
    _say(monitor, "delvm", name, scale)


def _say(monitor: Monitor, command: str, name: str, scale: float) -> None:
    if refused := monitor.human(f"{command} {name}", seconds=SECONDS * scale).strip():
        raise HarnessError(f"QEMU's {command} {name}: {refused}")


def copy_drives(source: Path, target: Path) -> None:
    """Copy the drives, which nobody writes at the moment, from folder to folder."""
    for name in (DISK, VARIABLES):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
