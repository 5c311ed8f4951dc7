"""testinfra's host, over the guest's second serial port: no network, no account, nothing installed in the guest."""

from __future__ import annotations

from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from goldsmith.boot.guest import GuestShell
from goldsmith.errors import HarnessError
from goldsmith.host.deadline import Deadline

#: seconds a command may take before scaling
COMMAND_SECONDS = 120.0


class GuestBackend(BaseBackend):  # type: ignore[misc]
    """Runs commands as root by the guest's /bin/sh."""

    NAME = "goldsmith"

    def __init__(self, shell: GuestShell, name: str, scale: float) -> None:
        super().__init__(name)
        self._shell = shell
        self._scale = scale

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """Raises DeadlineError where it takes longer than COMMAND_SECONDS, HarnessError where the guest is gone or the
        output is larger than the channel carries (1 MiB)."""
        line = self.get_command(command, *args)
        result = self._shell.run(line, Deadline.after(COMMAND_SECONDS * self._scale))
        if result.cut:
            raise HarnessError("wrote more than 1 MiB", where=f"in the guest: {line}", hint="write it to a file there")
        return self.result(result.returncode, line.encode(), result.stdout_bytes, result.stderr_bytes)


def host_of(shell: GuestShell, name: str, scale: float) -> Host:
    """What testinfra's documentation calls ``host``."""
    return Host(GuestBackend(shell, name, scale))
