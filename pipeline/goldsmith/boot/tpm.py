"""A machine's TPM: swtpm, a process beside QEMU that ends with it."""

from __future__ import annotations

import contextlib
import shutil
import signal
from pathlib import Path

from goldsmith.boot.arguments import TPM_SOCKET
from goldsmith.boot.hardware import TpmVersion
from goldsmith.boot.launcher import Launcher
from goldsmith.errors import HarnessError, HostError
from goldsmith.host.deadline import Deadline
from goldsmith.host.run import tail

SWTPM = "swtpm"


class Tpm:
    """An emulated TPM; its state, new and without certificates, is in ``folder``, and the socket for QEMU."""

    def __init__(self, folder: Path, version: TpmVersion, launcher: Launcher, search_path: str) -> None:
        self._folder = folder
        self._version = version
        self._launcher = launcher
        self._search_path = search_path
        self._name = f"swtpm {folder}"
        self._log = folder / "swtpm.log"
        self._spawned = False

    def command(self) -> list[str]:
        """swtpm(8); it ends when QEMU goes."""
        argv = [SWTPM, "socket", "--tpmstate", "dir=tpm", "--ctrl", f"type=unixio,path={TPM_SOCKET}", "--terminate"]
        return [*argv, "--tpm2"] if self._version == "2.0" else argv

    def start(self, deadline: Deadline) -> None:
        """Start it and wait for its socket.  Raises HostError where it is not installed, HarnessError where it ends."""
        if shutil.which(SWTPM, path=self._search_path) is None:
            raise HostError("swtpm, the emulator of a TPM, is not installed", hint="install the package swtpm")
        (self._folder / "tpm").mkdir(exist_ok=True)
        (self._folder / TPM_SOCKET).unlink(missing_ok=True)
        self._launcher.spawn(self._name, self.command(), log_file=self._log, cwd=self._folder)
        self._spawned = True
        deadline.wait_for(self._there, "swtpm did not open its socket", interval=0.02)

    def _there(self) -> bool:
        if (status := self._launcher.poll(self._name)) is not None:
            words = tail(self._log.read_text(errors="replace")) if self._log.exists() else ""
            raise HarnessError(f"swtpm ended with {status}", where=str(self._folder), hint=words or None)
        return (self._folder / TPM_SOCKET).exists()

    def stop(self) -> None:
        """End it, if it has not ended with QEMU; safe to call twice."""
        if self._spawned:
            # A jail that is gone has taken it along.
            with contextlib.suppress(HarnessError):
                if self._launcher.poll(self._name) is None:
                    self._launcher.signal(self._name, signal.SIGKILL)
                Deadline.after(10).wait_for(
                    lambda: self._launcher.poll(self._name) is not None, "swtpm did not end", interval=0.02
                )
