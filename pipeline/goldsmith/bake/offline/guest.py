"""An image that is open for writing in the appliance: its systems, its files, and programs of its own."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from goldsmith.boot import guestfs
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.systems import System, known_systems
from goldsmith.errors import HarnessError, InputError

#: seconds on the reference host, for whatever is not given a deadline of its own
CALL_SECONDS = 600.0
#: libguestfs's names of architectures whose programs the appliance can run, to Debian's
ARCHITECTURES = {"x86_64": "amd64", "i386": "i386"}


class Guest:
    """A mounted image; every call raises HarnessError where the appliance fails."""

    def __init__(self, handle: Any, device: str, system: System, where: str, scale: float) -> None:
        self.handle = handle
        #: the image's disk in the appliance
        self.device = device
        self.system = system
        self.where = where
        self.scale = scale

    def call(self, name: str, *arguments: Any, seconds: float = CALL_SECONDS, **options: Any) -> Any:
        """A call of libguestfs's API, bounded by ``seconds`` on the reference host."""
        with guestfs.watchdog(seconds * self.scale):
            return guestfs.call(partial(getattr(self.handle, name), *arguments, **options), f"{self.where}: {name}")

    def unpack(self, archive: bytes, folder: str) -> None:
        """Unpack a tar.gz into a folder of the image, which is made."""
        with tempfile.NamedTemporaryFile(prefix="goldsmith-", suffix=".tar.gz") as file:
            file.write(archive)
            file.flush()
            self.call("mkdir_p", folder)
            self.call("tar_in", file.name, folder, compress="gzip")

    def run(self, *words: str, seconds: float) -> str:
        """A program of the image, in a chroot with /dev, /proc and /sys; what it says on stdout.

        Raises HarnessError with the end of its stderr where its status is not 0.
        """
        return str(self.call("command", list(words), seconds=seconds))

    def read(self, path: str) -> bytes:
        return bytes(self.call("read_file", path))

    def in_any_case(self, path: str) -> str:
        """A path as the file system has it, whatever the case of its letters.  Raises InputError where it is not."""
        with contextlib.suppress(HarnessError):
            found = str(self.call("case_sensitive_path", path))
            if self.exists(found):
                return found
        raise InputError(f"has no {path}", where=self.where)

    def exists(self, path: str) -> bool:
        return bool(self.call("exists", path))


@contextlib.contextmanager
def opened(overlay: Path, where: str, accelerator: Accelerator, *, network: bool, record: Path) -> Iterator[Guest]:
    """The one system of a qcow2, all its file systems mounted for writing; synced and shut down at the end.

    ``where`` names the image in errors; ``record`` keeps what was found for the next time that this base is opened.
    Raises InputError for an image without a system, with several, with one of another architecture, or with a file
    system that cannot be mounted for writing; HarnessError for the appliance.
    """
    with guestfs.launched([(overlay, "qcow2")], accelerator, readonly=False, network=network) as (handle, (device,)):
        with guestfs.watchdog(CALL_SECONDS * accelerator.scale):
            system = _the_system(handle, where, record)
            _mount(handle, system, where)
        guest = Guest(handle, device, system, where, accelerator.scale)
        yield guest
        # What is written late shows its errors here.
        guest.call("umount_all")
        guest.call("shutdown")


def _the_system(handle: Any, where: str, record: Path) -> System:
    found = known_systems(handle, record)
    if len(found) != 1:
        seen = f"{len(found)} operating systems" if found else "no operating system"
        raise InputError(f"holds {seen}; one is needed", where=where, hint="run: goldsmith inspect")
    (system,) = found
    # Of a Windows no program is run.
    if system.type != "windows" and system.architecture not in ARCHITECTURES:
        raise InputError(
            f"is for {system.architecture}; its programs do not run in the appliance, which is x86_64", where=where
        )
    return system


def _mount(handle: Any, system: System, where: str) -> None:
    for folder in system.folders:
        try:
            handle.mount(system.mounts[folder], folder)
            _require_writable(handle, folder)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(
                f"its file system {folder} ({system.mounts[folder]}) cannot be written: {reason}",
                where=where,
                hint=_remedy(str(error), system.type),
            ) from error


def _require_writable(handle: Any, folder: str) -> None:
    """ntfs-3g mounts a hibernated or damaged volume read-only without an error: a file shows it."""
    # The appliance chooses a name that is not there yet.
    file = handle.mktemp(f"{folder.rstrip('/')}/goldsmith-XXXXXX")
    handle.rm(file)


def _remedy(message: str, kind: str) -> str | None:
    # ntfs-3g mounts what hibernates without a word, and read-only.
    if kind == "windows" and re.search(r"hibernat|unclean|Fast Startup|Read-only", message, re.IGNORECASE):
        return "start Windows, turn fast startup off (powercfg /h off), and shut it down"
    return None
