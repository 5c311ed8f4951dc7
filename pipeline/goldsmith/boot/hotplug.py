"""Disks for an appliance that runs already: libguestfs takes none after its launch, its QEMU does.

A launch costs more than all that is then read, so one appliance starts while guests boot, and gets their disks when
they are done.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from goldsmith.boot import guestfs, sockets
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.monitor import Monitor
from goldsmith.boot.overlay import make_overlay
from goldsmith.errors import HarnessError
from goldsmith.host.deadline import Deadline

#: seconds on the reference host: QEMU's answers, and the appliance's kernel until it has found the disk (1 s seen)
ANSWER_SECONDS = 20.0
FOUND_SECONDS = 60.0
_SOCKET = "qmp.sock"
#: the controller that libguestfs gives its appliance for the disks it knows
_BUS = "scsi.0"


class HotPlug:
    """An appliance that is given disks while it runs.  ``folder`` holds its monitor and the overlays."""

    def __init__(self, handle: Any, folder: Path, scale: float) -> None:
        self._handle = handle
        self._folder = folder
        self._scale = scale
        self._numbers = itertools.count()
        self._monitor: Monitor | None = None

    def add(self, disk: Path, disk_format: str) -> str:
        """Give the appliance a disk; the device that it is there.

        The file is not written: there is an overlay over it.  Raises HarnessError where QEMU does not take it or the
        appliance does not find it.
        """
        name = f"late{next(self._numbers)}"
        overlay = self._folder / f"{name}.qcow2"
        make_overlay(disk, disk_format, overlay)
        if self._monitor is None:
            try:
                connection = sockets.connect(self._folder, _SOCKET)
            except OSError as error:
                raise HarnessError(
                    f"the appliance's QEMU cannot be reached: {error.strerror}", where=str(disk)
                ) from error
            self._monitor = Monitor(connection, seconds=ANSWER_SECONDS * self._scale)
        before = self._devices()
        file = {"driver": "file", "filename": str(overlay)}
        self._monitor.execute("blockdev-add", {"driver": "qcow2", "node-name": name, "file": file})
        self._monitor.execute("device_add", {"driver": "scsi-hd", "id": name, "drive": name, "bus": _BUS})
        found = Deadline.after(FOUND_SECONDS * self._scale).wait_for(
            lambda: self._devices() - before, f"{disk} in the appliance", interval=0.1
        )
        return str(found.pop())

    def _devices(self) -> set[str]:
        return set(guestfs.call(self._handle.list_devices, "libguestfs"))

    def close(self) -> None:
        if self._monitor is not None:
            self._monitor.close()


@contextlib.contextmanager
def launched(disks: Sequence[tuple[Path, str]], accelerator: Accelerator) -> Iterator[tuple[Any, list[str], HotPlug]]:
    """As ``guestfs.launched``, read-only, with a way to give it more disks.  Raises as that does."""
    with tempfile.TemporaryDirectory(prefix="goldsmith-appliance-") as name:
        folder = Path(name)
        with guestfs.launched(disks, accelerator, readonly=True, monitor=folder / _SOCKET) as (handle, devices):
            plug = HotPlug(handle, folder, accelerator.scale)
            try:
                yield handle, devices, plug
            finally:
                plug.close()
