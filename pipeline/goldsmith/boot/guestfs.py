"""libguestfs's appliance: launched under the chosen accelerator, bounded by deadlines, its errors as ours.

An image's file systems are read and written by the appliance's kernel, never by the host's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from goldsmith.boot.accelerator import Accelerator
from goldsmith.errors import HarnessError, HostError

T = TypeVar("T")

#: seconds on the reference host: a launch takes 10-21 s there
LAUNCH_SECONDS = 180.0
#: stands in the command line of every appliance, and of no machine of ours
_APPLIANCE_MARK = b"org.libguestfs.channel"


@contextlib.contextmanager
def launched(
    disks: Sequence[tuple[Path, str]],
    accelerator: Accelerator,
    *,
    readonly: bool,
    network: bool = False,
    monitor: Path | None = None,
) -> Iterator[tuple[Any, list[str]]]:
    """A ``guestfs.GuestFS`` with its appliance running, and the devices of ``disks`` in it.

    ``disks`` are files with their formats ("qcow2" or "raw"; it is never guessed).  With ``readonly`` they are not
    written: libguestfs puts its own overlay over each; else what the guest's file systems free is freed in the file,
    which must be one that nobody misses if the host falls over: what is to be synced is not.
    With ``network`` the appliance reaches what the host reaches.  ``monitor`` is where its QEMU listens for QMP.
    Raises HostError without libguestfs, HarnessError where the appliance does not start.
    """
    try:
        import guestfs
    except ImportError as error:
        raise HostError(
            "libguestfs' Python bindings are missing", hint="install python3-guestfs; the environment must see it"
        ) from error
    handle = guestfs.GuestFS(python_return_dict=True, close_on_exit=False)
    try:
        # What is only read runs no programs but the appliance's own.
        _configure(handle, accelerator, cx16=not readonly)
        if network:
            handle.set_network(True)
        if monitor:
            # In QEMU's options a comma is doubled.
            handle.config("-qmp", f"unix:{str(monitor).replace(',', ',,')},server=on,wait=off")
        options: dict[str, Any] = (
            {"readonly": True}
            if readonly
            else {
                "readonly": False,
                "discard": "besteffort",
                "cachemode": "unsafe",
            }
        )
        for path, image_format in disks:
            call(partial(handle.add_drive_opts, str(path), format=image_format, **options), str(path))
        with watchdog(LAUNCH_SECONDS * accelerator.scale):
            call(handle.launch, "libguestfs", hint="run: goldsmith doctor")
        yield handle, call(handle.list_devices, "libguestfs")
    finally:
        handle.close()


def _configure(handle: Any, accelerator: Accelerator, *, cx16: bool) -> None:
    """The accelerator's choice set on the handle, so that no other part of the process sees it."""
    environment = accelerator.libguestfs_environment
    handle.set_backend(environment["LIBGUESTFS_BACKEND"])
    # QEMU takes the last that it is given.
    call(partial(handle.config, "-cpu", accelerator.cpu(cx16=cx16)), "libguestfs")
    for setting in environment.get("LIBGUESTFS_BACKEND_SETTINGS", "").split(":"):
        name, _, value = setting.partition("=")
        if name:
            handle.set_backend_setting(name, value or "1")


def call(asked: Callable[[], T], where: str, *, hint: str | None = None) -> T:
    """What ``asked`` gives; HarnessError with libguestfs's own words where it fails."""
    try:
        return asked()
    except (RuntimeError, UnicodeError, tarfile.TarError) as error:
        raise HarnessError(str(error), where=where, hint=hint) from error


@contextlib.contextmanager
def watchdog(seconds: float) -> Iterator[None]:
    """Kill our appliance when the body takes longer: libguestfs has no time limits, its calls then fail."""
    passed = threading.Event()

    def kill() -> None:
        passed.set()
        for pid in appliances():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    except HarnessError as error:
        if passed.is_set():
            raise HarnessError(
                f"the appliance took longer than {seconds:.0f} s and was ended", where="libguestfs"
            ) from error
        raise
    finally:
        timer.cancel()


def appliances() -> list[int]:
    """Process ids of the appliances that this process started."""
    found = []
    for children in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for pid in children.read_text().split():
                if _APPLIANCE_MARK in Path("/proc", pid, "cmdline").read_bytes():
                    found.append(int(pid))
    return found
