"""Keys and pictures over VNC: a boot sector that echoes, and servers that misbehave."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goldsmith.boot import vnc
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.launcher import LocalLauncher
from goldsmith.boot.machine import Hardware, Machine
from goldsmith.boot.screen import Screen
from goldsmith.boot.vnc import Rectangle, Viewer
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.settings import Settings

GREETING = b"RFB 003.008\n\x01\x01\x00\x00\x00\x00" + struct.pack(">HHB15xI", 720, 400, 32, 4) + b"QEMU"


@pytest.fixture
def tiny(settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path) -> Iterator[Machine]:
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1, credentials={}, vnc=True)
    with Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()) as machine:
        machine.console.wait_for("hello", Deadline.after(60))
        yield machine


def test_what_is_typed_by_vnc_is_echoed_and_sent_back(tiny: Machine) -> None:
    tiny.type_by_vnc("ab9", Deadline.after(60))
    screen = tiny.screen()
    assert screen.text is not None
    assert screen.cursor is not None
    assert "ab9" in screen.text[screen.cursor[0]]
    # A second viewer, after the first one left.
    tiny.type_by_vnc("x", Deadline.after(60))


def test_a_guest_that_echoes_nothing_is_named(tiny: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Viewer, "press", lambda viewer, character: None)
    with pytest.raises(DeadlineError, match="did not show 'x'"):
        tiny.type_by_vnc("x", Deadline.after(3))


def test_a_picture_that_is_not_sent_is_no_echo(tiny: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Viewer, "changes", lambda viewer, seconds: [])
    with pytest.raises(DeadlineError, match="sent no picture of 'x'"):
        tiny.type_by_vnc("x", Deadline.after(5))


def test_a_machine_without_vnc_is_said(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1, credentials={})
    with (
        Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()) as machine,
        pytest.raises(HarnessError, match=r"vnc\.sock"),
    ):
        machine.type_by_vnc("x", Deadline.after(0.5))


@pytest.fixture
def server() -> Iterator[Callable[[bytes], socket.socket]]:
    """Makes a connection to a server that says what it is told, and then hangs up."""
    threads = []

    def say(data: bytes) -> socket.socket:
        ours, theirs = socket.socketpair()

        def work() -> None:
            with ours:
                ours.sendall(data)
                ours.shutdown(socket.SHUT_WR)
                while ours.recv(4096):
                    pass

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return theirs

    yield say
    for thread in threads:
        thread.join(timeout=10)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (b"", "gone"),
        (b"SSH-2.0-OpenSSH\n", "says b'SSH-2.0-Open'"),
        (b"RFB 003.008\n\x01\x02", "who we are"),
        (b"RFB 003.008\n\x00", "who we are"),
        (b"RFB 003.008\n\x01\x01\x00\x00\x00\x01", "refused"),
        (GREETING[:-2], "gone"),
    ],
)
def test_what_is_no_server_for_us(server: Callable[[bytes], socket.socket], said: bytes, match: str) -> None:
    with server(said) as connection, pytest.raises(HarnessError, match=match):
        Viewer(connection, Deadline.after(5))


def test_messages_that_nobody_asked_for_are_passed_over(server: Callable[[bytes], socket.socket]) -> None:
    update = struct.pack(">BxHHHHHi", 0, 1, 9, 16, 2, 1, 0) + bytes(8)
    resize = struct.pack(">BxHHHHHi", 0, 1, 0, 0, 640, 480, -223)
    cut = struct.pack(">BxxxI", 3, 5) + b"hello"
    colours = struct.pack(">BxHH", 1, 0, 2) + bytes(12)
    with server(GREETING + b"\x02" + cut + colours + resize + update) as connection:
        viewer = Viewer(connection, Deadline.after(5))
        assert (viewer.width, viewer.height) == (720, 400)
        found = [viewer.changes(1) for _ in range(5)]
        assert found == [[], [], [], [], [Rectangle(9, 16, 2, 1)]]
        assert (viewer.width, viewer.height) == (640, 480)


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (b"\x7f", "a message of kind 127"),
        (struct.pack(">BxHHHHHi", 0, 1, 0, 0, 65535, 65535, 0), "65535x65535"),
        (struct.pack(">BxHHHHHi", 0, 1, 0, 0, 1, 1, 7), "encoding 7"),
        (struct.pack(">BxHHHHHi", 0, 1, 0, 0, 100, 100, 0) + b"x", "gone"),
    ],
)
def test_a_server_that_breaks_the_rules(server: Callable[[bytes], socket.socket], message: bytes, match: str) -> None:
    with server(GREETING + message) as connection:
        viewer = Viewer(connection, Deadline.after(5))
        with pytest.raises(HarnessError, match=match):
            for _ in range(3):
                viewer.changes(1)


def test_a_server_that_falls_silent_is_not_waited_for_longer_than_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(GREETING[:5])
        with pytest.raises(DeadlineError, match="says nothing"):
            Viewer(theirs, Deadline.after(0.3))


def test_a_graphics_screen_has_no_echo(server: Callable[[bytes], socket.socket]) -> None:
    with server(GREETING) as connection, pytest.raises(HarnessError, match="no text screen"):
        vnc.type_and_watch(Viewer(connection, Deadline.after(5)), lambda: Screen(1280, 800), "x", Deadline.after(5))
