"""A second end of a console."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from goldsmith.boot.console import Console
from goldsmith.boot.console_tap import tapped
from goldsmith.host.deadline import Deadline


@pytest.fixture
def guest() -> Iterator[tuple[socket.socket, Console]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    console = Console(theirs)
    yield ours, console
    ours.close()
    console.close()


def _heard(line: socket.socket, wanted: bytes) -> bytes:
    found = b""
    while wanted not in found:
        piece = line.recv(4096)
        assert piece, found
        found += piece
    return found


def test_both_ends_hear_the_guest_and_the_guest_hears_what_is_typed(guest: tuple[socket.socket, Console]) -> None:
    line, console = guest
    line.sendall(b"before\r\n")
    console.wait_for("before", Deadline.after(10))
    with tapped(console) as person:
        person.settimeout(10)
        line.sendall(b"\x1b[1mlogin:\xff ")
        assert _heard(person, b"\xff ") == b"\x1b[1mlogin:\xff "
        assert "login:" in console.text()
        person.sendall(b"root\r\x03")
        assert _heard(line, b"\x03") == b"root\r\x03"
    line.sendall(b"after\r\n")
    console.wait_for("after", Deadline.after(10))


def test_a_machine_that_ends_ends_it(guest: tuple[socket.socket, Console]) -> None:
    line, console = guest
    with tapped(console) as person:
        person.settimeout(10)
        line.sendall(b"bye")
        line.close()
        assert _heard(person, b"bye") == b"bye"
        assert person.recv(4096) == b""
    # And one that had ended before.
    with tapped(console) as person:
        person.settimeout(10)
        assert person.recv(4096) == b""


def test_a_person_who_does_not_look_holds_nothing_up(guest: tuple[socket.socket, Console]) -> None:
    line, console = guest
    with tapped(console):
        line.sendall(b"x" * (1 << 20) + b"\nend\n")
        console.wait_for("^end$", Deadline.after(20))
