from __future__ import annotations

import functools
import socket
import threading
from contextlib import closing
from pathlib import Path

import pytest

from goldsmith.boot import console as console_module
from goldsmith.boot.console import KEPT, KEPT_LINES, Console
from goldsmith.boot.console_log import BoundedLog
from goldsmith.boot.lines import Line
from goldsmith.host.deadline import Deadline


def wait_for_lines(console: Console, count: int) -> list[Line]:
    Deadline.after(10).wait_for(lambda: len(console.lines()) >= count, "lines", interval=0.005)
    return list(console.lines())


def test_lines_carry_the_seconds_since_power_on() -> None:
    ours, guest = socket.socketpair()
    now = [100.0]
    console = Console(ours, clock=lambda: now[0])
    with closing(console), guest:
        now[0] = 102.5
        guest.sendall(b"\x1b[0;32mone\x1b[0m\r\n")
        wait_for_lines(console, 1)
        now[0] = 107.25
        guest.sendall(b"two")
        assert wait_for_lines(console, 2) == [Line(1, 2.5, "one"), Line(2, 7.25, "two", complete=False)]
        assert console.seconds() == 7.25


def test_a_listener_is_told_what_it_missed_then_each_line_and_prompts_at_once() -> None:
    ours, guest = socket.socketpair()
    console = Console(ours)
    heard: list[tuple[int, str, bool]] = []
    with closing(console), guest:
        guest.sendall(b"before\n")
        wait_for_lines(console, 1)
        console.listen(lambda line: heard.append((line.number, line.text, line.complete)))
        assert heard == [(1, "before", True)]
        guest.sendall(b"cut in the mid")
        wait_for_lines(console, 2)
        assert len(heard) == 1
        guest.sendall(b"dle\r\n\r\ndebian login: ")
        wait_for_lines(console, 3)
        assert heard[1:] == [(2, "cut in the middle", True), (4, "debian login: ", False)]
    assert heard[-1] == (4, "debian login: ", True), "its end is its end"


def test_a_menu_drawn_with_the_cursor_is_not_one_line() -> None:
    ours, guest = socket.socketpair()
    console = Console(ours)
    with closing(console), guest:
        guest.sendall(b"\x1b[H\x1b[J\x1b[2;25HGNU GRUB  version 2.12\x1b[4;2H+---+\x1b[16;2Hgrub> ")
        assert [line.text for line in wait_for_lines(console, 3)] == ["GNU GRUB  version 2.12", "+---+", "grub> "]


def test_a_guest_that_floods_the_console_costs_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "BoundedLog", functools.partial(BoundedLog, head=2**20, tail=2**16))
    log = tmp_path / "console.log"
    ours, guest = socket.socketpair()
    heard = [0]
    console = Console(ours, log)
    flood = [
        b"\n" * 65536,
        b"x" * 65536,
        b"spam spam spam\r\n" * 4096,
        b"\x1b[",
        b"\r" * 65536,
        bytes(range(256)) * 256,
    ]

    def count(line: Line) -> None:
        heard[0] += 1

    def write() -> None:
        for turn in range(90):
            guest.sendall(flood[turn % len(flood)])
        guest.sendall(b"\nlast\n")

    with closing(console), guest:
        console.listen(count)
        writer = threading.Thread(target=write)
        writer.start()
        Deadline.after(120).wait_for(lambda: console.tail(1) == "last", "the end of the flood", interval=0.2)
        writer.join()
        held = [console._plain._carry, console._cutter._text, console._log._end if console._log else b""]
        assert max(map(len, held)) <= 2 * 2**16
        assert len(console.text()) <= KEPT
        assert len(console.lines()) <= KEPT_LINES + 1
        assert sum(len(line.text) for line in console.lines()) <= KEPT + 4096
        assert heard[0] > 4096
    assert log.stat().st_size < 2**20 + 2**16 + 200
    assert log.read_bytes().endswith(b"\nlast\n")
    assert b"goldsmith leaves out" in log.read_bytes()


def test_many_short_lines_are_forgotten_by_their_number() -> None:
    ours, guest = socket.socketpair()
    console = Console(ours)
    with closing(console), guest:
        guest.sendall(b"a\n" * (2 * KEPT_LINES) + b"last\n")
        console.wait_for("last", Deadline.after(20))
        lines = console.lines()
        assert len(lines) == KEPT_LINES
        assert lines[-1].number == 2 * KEPT_LINES + 1
        assert console._characters == sum(len(line.text) for line in lines)


def test_the_log_is_written_as_it_comes(tmp_path: Path) -> None:
    ours, guest = socket.socketpair()
    log = tmp_path / "console.log"
    console = Console(ours, log)
    with closing(console), guest:
        guest.sendall(b"\x1b[1mraw\x1b[0m\r\n")
        Deadline.after(10).wait_for(lambda: log.read_bytes() == b"\x1b[1mraw\x1b[0m\r\n", "the log", interval=0.005)
