"""A console on a pty, with a socket for the guest."""

from __future__ import annotations

import os
import pty
import socket
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from goldsmith.boot.terminal import End, interact, require_terminal
from goldsmith.errors import HostError
from goldsmith.host.deadline import Deadline


@dataclass
class Session:
    """``interact`` in a thread: a person at ``master``, a guest at ``guest``."""

    master: int
    terminal: int
    guest: socket.socket
    serial: socket.socket
    ends: list[End | BaseException] = field(default_factory=list)

    def start(self) -> None:
        def work() -> None:
            try:
                self.ends.append(interact(self.serial, self.terminal, self.terminal))
            except BaseException as error:
                self.ends.append(error)

        self.thread = threading.Thread(target=work)
        self.thread.start()
        Deadline.after(10).wait_for(lambda: not self.flags() & termios.ECHO, "raw mode", interval=0.01)

    def flags(self) -> int:
        return int(termios.tcgetattr(self.terminal)[3])

    def end(self) -> End | BaseException:
        self.thread.join(timeout=10)
        assert not self.thread.is_alive()
        return self.ends[0]

    def heard(self, wanted: bytes) -> bytes:
        found = b""
        while wanted not in found:
            found += self.guest.recv(4096)
        return found

    def seen(self, wanted: bytes) -> bytes:
        found = b""
        while wanted not in found:
            found += os.read(self.master, 4096)
        return found


@pytest.fixture
def session() -> Iterator[Session]:
    master, terminal = pty.openpty()
    guest, serial = socket.socketpair()
    guest.settimeout(10)
    made = Session(master, terminal, guest, serial)
    yield made
    guest.close()
    serial.close()
    for descriptor in (master, terminal):
        try:
            os.close(descriptor)
        except OSError:
            assert descriptor == master


def test_keys_go_to_the_guest_as_they_are_and_its_output_comes_back(session: Session) -> None:
    before = termios.tcgetattr(session.terminal)
    session.start()
    # Ctrl-C, Ctrl-Z, Ctrl-D, Ctrl-S and a carriage return: a terminal in its usual mode keeps each of them.
    keys = b"ls\r\x03\x1a\x04\x13\x1b[A"
    os.write(session.master, keys)
    assert session.heard(b"[A") == keys
    session.guest.sendall(b"\x1b[1mlogin:\x1b[0m \xff")
    assert session.seen(b"\xff") == b"\x1b[1mlogin:\x1b[0m \xff"
    os.write(session.master, b"half\x1dlost")
    assert session.end() == "left"
    assert termios.tcgetattr(session.terminal) == before


def test_a_machine_that_ends_gives_the_terminal_back(session: Session) -> None:
    before = termios.tcgetattr(session.terminal)
    session.start()
    session.guest.sendall(b"reboot: Power down")
    session.guest.close()
    assert session.end() == "ended"
    assert b"Power down\x1b[0m" in session.seen(b"\r\n")
    assert termios.tcgetattr(session.terminal) == before


def test_a_terminal_that_goes_away_ends_it(session: Session) -> None:
    session.start()
    os.close(session.master)
    assert session.end() == "hung up"


def test_a_guest_that_takes_nothing_still_speaks_and_can_be_left(session: Session) -> None:
    session.serial.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    session.start()
    # More than the guest's socket and the terminal hold.
    typist = threading.Thread(target=lambda: [os.write(session.master, b"x" * 100) for _ in range(1000)])
    typist.start()
    typist.join(timeout=1)
    assert typist.is_alive()
    session.guest.sendall(b"still here")
    session.seen(b"still here")
    received = 0
    while received < 100_000:
        received += len(session.guest.recv(65536))
    typist.join(timeout=10)
    os.write(session.master, b"\x1d")
    assert session.end() == "left"


def test_an_error_restores_the_terminal(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    before = termios.tcgetattr(session.terminal)
    session.start()
    monkeypatch.setattr("goldsmith.boot.terminal._write", lambda *words: 1 / 0)
    session.guest.sendall(b"x")
    assert isinstance(session.end(), ZeroDivisionError)
    assert termios.tcgetattr(session.terminal) == before


def test_without_a_terminal_it_says_so() -> None:
    reader, writer = os.pipe()
    left, right = socket.socketpair()
    with left, right, pytest.raises(HostError, match="no terminal") as caught:
        interact(left, reader, writer)
    assert "--no-console" in str(caught.value)
    with pytest.raises(HostError):
        require_terminal(reader)
    os.close(reader)
    os.close(writer)
