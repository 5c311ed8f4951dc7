from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from goldsmith.boot.console import KEPT, Console
from goldsmith.boot.sockets import PlainText, Reader, connect
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline


def test_a_socket_is_reached_in_a_folder_with_a_long_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("x" * 150)
    folder.mkdir()
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        server.listen()
        before = len(list(Path("/proc/self/fd").iterdir()))
        with connect(folder, "s"):
            pass
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_socket_nobody_listens_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect(tmp_path, "missing")


def test_escapes_are_removed_however_they_are_cut() -> None:
    data = "a\x1b[0;1;31mFAILED\x1b[0m b\x1b]0;title\x07c\r\n\x1b(Bü\x1b[?25h║".encode()
    for size in range(1, len(data) + 1):
        plain = PlainText()
        pieces = [plain.feed(data[at : at + size]) for at in range(0, len(data), size)]
        assert "".join(pieces) == "aFAILED bc\nü║", size


def test_a_lone_escape_does_not_swallow_the_rest() -> None:
    plain = PlainText()
    assert "x" * 200 in plain.feed(b"\x1b" + b"x" * 200) + plain.feed(b"")


def pair() -> tuple[Console, socket.socket]:
    ours, theirs = socket.socketpair()
    return Console(ours), theirs


def test_the_console_goes_forward_match_by_match() -> None:
    console, guest = pair()
    with closing(console), guest:
        guest.sendall(b"login: one\nlogin: two\n")
        assert console.wait_for(r"^login: (\w+)$", Deadline.after(5)).group(1) == "one"
        assert console.wait_for(r"^login: (\w+)$", Deadline.after(5)).group(1) == "two"
        with pytest.raises(DeadlineError, match="login"):
            console.wait_for("login", Deadline.after(0.1))


def test_the_console_keeps_a_bounded_end() -> None:
    console, guest = pair()
    with closing(console), guest:
        guest.sendall(b"first\n" + b"x" * 79 + b"\n")
        console.wait_for("first", Deadline.after(5))
        for _ in range(2 * KEPT // 80):
            guest.sendall(b"x" * 79 + b"\n")
        guest.sendall(b"last\n")
        assert console.wait_for("last", Deadline.after(10))
        assert len(console.text()) <= KEPT
        assert "first" not in console.text()
        assert console.tail(1) == "last"


def test_the_end_of_the_machine_ends_the_wait_with_the_last_lines() -> None:
    console, guest = pair()
    with closing(console):
        guest.sendall(b"Kernel panic - not syncing\n")
        guest.close()
        with pytest.raises(HarnessError, match="ended") as caught:
            console.wait_for("login:", Deadline.after(30))
        assert "Kernel panic" in str(caught.value)


def test_text_that_came_before_the_end_still_counts() -> None:
    console, guest = pair()
    with closing(console):
        guest.sendall(b"login:")
        guest.close()
        assert console.wait_for("login:", Deadline.after(5))


def test_a_line_that_takes_nothing_is_bounded() -> None:
    ours, theirs = socket.socketpair()
    reader = Reader(ours, lambda data: None)
    reader.start()
    started = time.monotonic()
    with closing(reader), theirs, pytest.raises(DeadlineError, match="no more data"):
        reader.send(b"x" * (64 << 20), Deadline.after(0.3))
    assert time.monotonic() - started < 10
