"""Stand-ins for the guest."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from goldsmith.host.deadline import Deadline


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    stdout: str = ""
    returncode: int = 0
    stderr: str = ""


@dataclass
class FakeShell:
    """Answers commands by the first key that is part of them; several answers are given one after another."""

    answers: dict[str, Said | list[Said]]
    asked: list[str] = field(default_factory=list)

    def run(self, command: str, deadline: Deadline) -> Said:
        timeout, _, _, seconds, shell, _, inner = shlex.split(command)
        assert (timeout, shell) == ("timeout", "/bin/sh")
        assert float(seconds) < deadline.remaining(), "the guest ends the command before silence counts as a failure"
        self.asked.append(inner)
        for part, said in self.answers.items():
            if part in inner:
                return said if isinstance(said, Said) else (said.pop(0) if len(said) > 1 else said[0])
        return Said(stderr=f"sh: {inner}: not found", returncode=127)
