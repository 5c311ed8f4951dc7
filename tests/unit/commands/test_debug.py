"""goldsmith verify --debug: a person sits down at the boot that failed."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from work_standins import World

from goldsmith import cli, settings
from goldsmith.boot.terminal import LEAVE
from goldsmith.commands.context import Context
from goldsmith.commands.debug import Debugger
from goldsmith.errors import HostError
from goldsmith.host.progress import Progress
from goldsmith.store.manifest import Verdict


class Shell:
    """Takes any command."""

    def __init__(self, returncode: int = 0) -> None:
        self.asked: list[str] = []
        self.returncode = returncode

    def run(self, command: str, seconds: float = 0) -> Shell:
        self.asked.append(command)
        return self


class Failed:
    """A boot that failed, with a console."""

    where = "in the garden"

    def __init__(self, ready: bool = True, returncode: int = 0) -> None:
        self.guest = Shell(returncode)
        self.ready = ready
        self.line, self._theirs = socket.socketpair()
        self.line.settimeout(10)

    @contextlib.contextmanager
    def console_socket(self) -> Iterator[socket.socket]:
        with self._theirs:
            self.line.sendall(b"guest login: ")
            yield self._theirs


def verdict(status: str, check: str) -> Verdict:
    return Verdict(layer="live", element="a", check=check, says="all is well", firmware="bios", status=status)  # type: ignore[arg-type]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def sit(boot: Failed, terminal: tuple[int, int], typed: bytes) -> tuple[str, bytes]:
    """What was said beside the console, and what the guest heard of what the person typed on it."""
    said = io.StringIO()
    debugger = Debugger(Context(settings.from_environment(), Progress(stream=said)), terminal[1], terminal[1])
    work = threading.Thread(target=debugger, args=(boot, [verdict("pass", "good"), verdict("fail", "bad")]))
    work.start()
    seen = b""
    while b"login: " not in seen:
        seen += os.read(terminal[0], 4096)
    os.write(terminal[0], typed)
    heard = b""
    while len(heard) < len(typed):
        heard += boot.line.recv(4096)
    os.write(terminal[0], LEAVE)
    work.join(timeout=10)
    assert not work.is_alive()
    boot.line.close()
    return said.getvalue(), heard


def test_what_failed_is_named_and_the_console_is_the_persons(terminal: tuple[int, int]) -> None:
    boot = Failed()
    said, heard = sit(boot, terminal, b"ls\r\x03")
    assert "a/bad (bios): all is well" in said
    assert "a/good" not in said
    assert "in the garden" in said
    assert "a root shell is on the console" in said
    assert "goldsmith-debug" in boot.guest.asked[0]
    assert heard == b"ls\r\x03"


@pytest.mark.parametrize(("ready", "returncode"), [(False, 0), (True, 1)])
def test_without_a_shell_none_is_promised(ready: bool, returncode: int, terminal: tuple[int, int]) -> None:
    boot = Failed(ready, returncode)
    said, _ = sit(boot, terminal, b"x")
    assert "root shell" not in said
    assert len(boot.guest.asked) == int(boot.ready)


def test_without_a_terminal_it_is_refused_before_anything_boots(world: World, tmp_path: Path) -> None:
    recipe = world.recipe()
    assert cli.main(["build", recipe]) == 0
    with pytest.raises(HostError, match="no terminal"):
        Debugger(Context(settings.from_environment(), Progress(quiet=True)), *os.pipe())
    assert cli.main(["verify", recipe, "--debug"]) == 3
    assert world.verifications == []
