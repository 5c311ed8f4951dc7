"""The console in a page: bounded, with its marked lines."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from goldsmith.boot import console_log
from goldsmith.boot.console_log import BoundedLog
from goldsmith.verify.reporting import serial
from goldsmith.verify.reporting.serial import HEAD, TAIL, Line, console, excerpt, plain
from goldsmith.verify.timeline import Mark


def mark(line: int, text: str = "Kernel panic") -> Mark:
    return Mark(rule="panic", line=line, text=text, reason="the kernel gave up")


def log(folder: Path, lines: int) -> Path:
    path = folder / "console.log"
    path.write_text("".join(f"line {number}\r\n" for number in range(1, lines + 1)))
    return path


def numbers(found: list[Line | int]) -> list[int]:
    return [each.number for each in found if isinstance(each, Line)]


def test_a_short_log_is_whole(tmp_path: Path) -> None:
    found = excerpt(log(tmp_path, HEAD + TAIL))
    assert numbers(found) == list(range(1, HEAD + TAIL + 1))
    assert found[0] == Line(1, "line 1")
    assert all(isinstance(each, Line) for each in found)


def test_a_long_log_keeps_both_ends_and_the_marked(tmp_path: Path) -> None:
    found = excerpt(log(tmp_path, 5000), [2000])
    gaps = [each for each in found if isinstance(each, int)]
    assert gaps == [2000 - 3 - HEAD - 1, 5000 - TAIL - 2003]
    assert sum(gaps) + len(numbers(found)) == 5000
    assert {1, HEAD, 1997, 2000, 2003, 5000 - TAIL + 1, 5000} <= set(numbers(found))
    assert 2004 not in numbers(found)


def test_a_flood_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    with path.open("wb") as stream:
        stream.write(b"first\n")
        for _ in range(12):
            stream.write(b"z" * 2**20)
        stream.write(b"\nlast\n")
        for _ in range(20):
            stream.write(b"flood\n" * 2000)
    tracemalloc.start()
    shown = console(path, "bios", [])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
    assert shown and len(shown) < 30_000
    found = excerpt(path, [3])
    # A line without an end is one line, however long it is.
    assert [each.text[:5] for each in found[:3] if isinstance(each, Line)] == ["first", "zzzzz", "last"]
    assert numbers(found)[-1] == 3 + 40_000


def test_marked_lines_have_anchors_and_a_sign(tmp_path: Path) -> None:
    shown = console(
        log(tmp_path, 5000), "bios", [mark(2000, "line 2000"), mark(2000, "line 2000"), mark(4000, "line 4000")]
    )
    assert shown
    assert shown.count('<mark id="bios-line-2000">▶ line 2000</mark>') == 1
    assert 'href="#bios-line-2000"' in shown and "◀ panic, panic" in shown
    assert "the kernel gave up" in shown
    assert "<details open>" in shown
    assert "<details>" in (console(tmp_path / "console.log", "bios", []) or "")


def test_a_mark_without_its_line_leads_nowhere(tmp_path: Path) -> None:
    shown = console(log(tmp_path, 10), "bios", [mark(99)])
    assert shown and "line 99" in shown and "href" not in shown
    gone = console(tmp_path / "absent.log", "bios", [mark(99)])
    assert gone and "is gone" in gone and "Kernel panic" in gone


def test_many_marks_are_counted(tmp_path: Path) -> None:
    shown = console(log(tmp_path, 10), "bios", [mark(5, "line 5")] * (serial.MOST_MARKS + 7))
    assert shown and shown.count("<li>") == serial.MOST_MARKS
    assert "7 more are in report.json" in shown


def test_no_log_and_an_empty_one(tmp_path: Path) -> None:
    assert console(tmp_path / "console.log", "bios", []) is None
    (tmp_path / "console.log").write_bytes(b"")
    assert "said nothing" in (console(tmp_path / "console.log", "bios", []) or "")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("[\x1b[0;32m  OK  \x1b[0m] Started\r\n", "[  OK  ] Started"),
        ("\x1b[4;2H+--+\x1b[5;2H|\x1b[5;79H|\x1b[6;2Hend", "+--+\n| |\nend"),
        ("\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe\r\n", "BdsDxe"),
        ("\x1b]0;title\x07a\0b\r\n", "ab"),
        ("   \r\n", ""),
    ],
)
def test_escape_sequences_are_gone(raw: str, shown: str) -> None:
    assert plain(raw) == shown


def test_numbers_go_on_after_what_a_bounded_log_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "console.log"
    kept = BoundedLog(path, head=1000, tail=400)
    for number in range(1, 1001):
        kept.write(f"line {number:4}\n".encode())
    kept.close()
    monkeypatch.setattr(console_log, "HEAD", 1000)
    found = excerpt(path)
    texts = {each.number: each.text for each in found if isinstance(each, Line)}
    assert texts[50] == "line   50" and texts[1000] == "line 1000" and texts[990] == "line  990"
    assert not any("leaves out" in text for text in texts.values())
    assert sum(each for each in found if isinstance(each, int)) > 800
    # A guest that writes such a note itself is not believed.
    monkeypatch.setattr(console_log, "HEAD", 10_000)
    assert max(numbers(excerpt(path))) < 200


def test_a_mark_is_at_its_own_line_only(tmp_path: Path) -> None:
    shown = console(log(tmp_path, 10), "bios", [mark(5, "line 6"), mark(7, " line\t7")])
    assert shown
    assert '<mark id="bios-line-7">' in shown and "bios-line-5" not in shown
