"""Stand-ins for the guest and its boot."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from goldsmith.boot.lines import Line
from goldsmith.errors import HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.verify.console_rules.watch import Watch
from goldsmith.verify.subjects import LiveGuest, MetadataTally, Screen

CONSOLE = ("Debian GNU/Linux 13", "debian login:")


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


@dataclass
class HostShell:
    """Runs commands on this host as the probe does in a guest: a real shell, real tools, texts cut at 1 MiB.

    ``path`` is where the tools are looked for.
    """

    path: str = "/usr/sbin:/usr/bin:/sbin:/bin"
    asked: list[str] = field(default_factory=list)

    def run(self, command: str, deadline: Deadline) -> Said:
        self.asked.append(command)
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd="/",
            env={"PATH": self.path},
            timeout=deadline.remaining(),
        )
        out, err = (text[: 2**20].decode(errors="replace") for text in (done.stdout, done.stderr))
        return Said(out, done.returncode, err)


def tools(folder: Path, *names: str) -> Path:
    """A folder with these of this host's tools and no others."""
    for name in names:
        found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
        assert found, name
        (folder / name).symlink_to(found)
    return folder


@dataclass
class FakeBoot:
    """A boot that answers as told; ``folder`` is made the overlay."""

    overlay: Path
    answers: dict[str, Said | list[Said]] = field(default_factory=dict)
    boots: bool = True
    prompt: bool = True
    goes: bool = True
    requests: int = 28
    ready: bool = False
    restarts: int = 0
    passive: str = ""
    #: how it fails to come up, and why that is given up
    failure: HarnessError | None = None
    given_up: tuple[str, str] | None = None
    #: what any command comes to
    lost_in: HarnessError | None = None
    killed: bool = False
    powered_off: bool = False
    #: what ttyS0 shows
    lines: tuple[str, ...] = ()
    #: names of pictures that were taken
    pictures: list[str] = field(default_factory=list)

    @property
    def guest(self) -> LiveGuest:
        if self.lost_in:
            raise self.lost_in
        usual: dict[str, Said | list[Said]] = {
            "is-system-running": Said("running\n"),
            "cloud-init": Said("status: done\n"),
            "list-units": Said(""),
            "/sys/class/net": Said(""),
            "ip -o address": Said("same"),
            "probe": Said("ok\n"),
        }
        return LiveGuest(FakeShell({**usual, **self.answers}))

    @property
    def screen(self) -> Screen:
        raise HarnessError("no screen")

    def observe(self, watch: Watch) -> None:
        if self.given_up:
            watch.give_up(*self.given_up)
        for number, text in enumerate(self.lines, 1):
            watch.take(Line(number, 10.0 * number, text))

    def seconds(self) -> float:
        return 900.0

    def screenshot(self, name: str) -> Path | None:
        self.pictures.append(name)
        return self.overlay.parent / f"screen-{len(self.pictures)}.png" if self.boots else None

    def wait_ready(self) -> None:
        if self.failure:
            raise self.failure
        if not self.boots:
            raise HarnessError("the guest channel: silence")
        self.ready = True

    def login_prompt(self) -> bool:
        return self.prompt

    def prompt_seen(self) -> bool:
        return self.prompt

    def tally(self) -> MetadataTally:
        return MetadataTally(self.requests, self.requests)

    def console(self) -> tuple[str, ...]:
        return CONSOLE

    where: str = "nowhere"
    #: what the person at the console of a failed boot said
    typed: bytes = b""

    @contextlib.contextmanager
    def console_socket(self) -> Iterator[socket.socket]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(b"guest login: ")
            yield theirs
            self.typed = ours.recv(4096)

    def power_off(self) -> bool:
        self.powered_off = self.goes
        return self.goes

    def kill(self) -> None:
        self.killed = True
