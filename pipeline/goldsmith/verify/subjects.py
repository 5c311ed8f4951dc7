"""What checks are evaluated on besides a tree: the running guest, its screen, the metadata service's count."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from goldsmith.errors import HarnessError
from goldsmith.host.deadline import Deadline

#: seconds a command may take in the guest, and that its answer may take on top, before scaling
COMMAND_SECONDS = 120.0
ANSWER_SECONDS = 30.0
#: exit status of timeout(1)
TIMED_OUT = 124


class Result(Protocol):
    """What a command in the guest came to."""

    @property
    def returncode(self) -> int: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


class Shell(Protocol):
    """Runs a shell command in the guest; raises HarnessError where no answer comes."""

    def run(self, command: str, deadline: Deadline) -> Result: ...


@dataclass(frozen=True)
class LiveGuest:
    """The booted guest; ``scale`` multiplies every wait."""

    shell: Shell
    scale: float = 1.0

    def run(self, command: str, seconds: float = COMMAND_SECONDS) -> Result:
        """Run a command that may take ``seconds`` before scaling; its returncode is TIMED_OUT where it takes longer.

        The guest itself ends the command, so silence past that is the harness's failure and not the command's.
        """
        limit = math.ceil(seconds * self.scale)
        bounded = f"timeout -k 5 {limit} /bin/sh -c {shlex.quote(command)}"
        return self.shell.run(bounded, Deadline.after(limit + ANSWER_SECONDS * self.scale))

    def output(self, command: str) -> str:
        """stdout of one of our own commands, which work in any guest: HarnessError where it fails."""
        result = self.run(command)
        if result.returncode != 0:
            raise HarnessError(f"exited {result.returncode}: {result.stderr.strip()}", where=f"in the guest: {command}")
        return result.stdout


class Display(Protocol):
    """The guest's screen and keyboard."""

    def screendump(self, path: Path) -> tuple[int, int]: ...
    def screen_text(self) -> tuple[str, ...] | None: ...
    def type_and_see(self, text: str, deadline: Deadline) -> None: ...
    def type_by_vnc(self, text: str, deadline: Deadline) -> None: ...


@dataclass(frozen=True)
class Screen:
    """The screen with a folder for its pictures."""

    display: Display
    folder: Path
    scale: float = 1.0


@dataclass(frozen=True)
class MetadataTally:
    """What the metadata service was asked since power-on."""

    requests: int
    connections: int
