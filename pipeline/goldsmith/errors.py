"""The one exception tree of goldsmith.

Every error says what happened, where, and what to do next.  The class decides the exit code:
a failed check is the image's fault (1), wrong input the caller's (2), and the rest the host's or
the harness's (3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every goldsmith command."""

    GOOD = 0
    CHECK_FAILED = 1
    BAD_INPUT = 2
    HOST = 3


class GoldsmithError(Exception):
    """Base of the tree.  ``where`` is a file, a place in it or a host; ``hint`` is the next step."""

    exit_code = ExitCode.HOST

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.where = where
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class CheckFailedError(GoldsmithError):
    """The image was looked at and is not as its recipe promises."""

    exit_code = ExitCode.CHECK_FAILED


class HostError(GoldsmithError):
    """The host lacks something."""


class HarnessError(HostError):
    """Our own machinery broke: nothing can be said about the image."""


class MachineLostError(HarnessError):
    """The virtual machine is gone or cannot go on, and its guest is not to blame."""


class NoChannelError(HarnessError):
    """The guest is up, and there is no way to ask it anything."""


class DeadlineError(HarnessError):
    """A wait ended without its condition; ``seconds`` is how long was waited."""

    def __init__(self, what: str, seconds: float, *, hint: str | None = None) -> None:
        self.seconds = seconds
        super().__init__(f"{what}: not within {seconds:.0f} s", hint=hint)


class CommandFailedError(HarnessError):
    """A subprocess failed.  ``command`` can be pasted into a shell; ``tail`` is the end of its stderr."""

    def __init__(self, command: str, *, status: str, tail: str = "", hint: str | None = None) -> None:
        self.command = command
        self.status = status
        self.tail = tail
        shown = "".join(f"\n  | {line}" for line in tail.splitlines())
        super().__init__(f"command {status}: {command}{shown}", hint=hint)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input: ``file`` and the dotted ``path`` inside it."""

    file: str
    path: str
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}: {self.path}" if self.path else self.file
        suffix = f", {self.suggestion}" if self.suggestion else ""
        return f"{place}: {self.message}{suffix}"


class InputError(GoldsmithError):
    """The input is wrong.  All problems are reported at once."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(
        self, message: str = "", *, problems: Sequence[Problem] = (), where: str | None = None, hint: str | None = None
    ) -> None:
        self.problems = tuple(problems)
        if not message:
            count = len(self.problems)
            message = f"{count} problem{'s' if count != 1 else ''} in the input"
        super().__init__(message, where=where, hint=hint)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {problem}" for problem in self.problems)])
