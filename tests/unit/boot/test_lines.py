from __future__ import annotations

import time

import pytest

from goldsmith.boot.lines import CONTINUED, LONGEST, OVERLAP, Cutter, Line


def cut(*pieces: str) -> list[Line]:
    found: list[Line] = []
    cutter = Cutter(found.append)
    for at, piece in enumerate(pieces):
        cutter.feed(piece, float(at))
    cutter.finish()
    return found


def test_lines_have_their_numbers_and_the_time_of_their_first_character() -> None:
    assert cut("on", "e\n", "\n", "  \n three", "\nfour") == [
        Line(1, 0.0, "one"),
        Line(4, 3.0, " three"),
        Line(5, 4.0, "four"),
    ]


def test_blanks_at_the_beginning_of_a_line_do_not_date_it() -> None:
    assert [line.at for line in cut("  ", "x\n")] == [1.0]


def test_a_carriage_return_begins_a_text_of_its_own_in_the_same_line() -> None:
    assert [(line.number, line.text) for line in cut("10%\r", "20%\r\r\nlogin: \r[FAILED] x\n")] == [
        (1, "10%"),
        (1, "20%"),
        (2, "login: "),
        (2, "[FAILED] x"),
    ]


def test_pieces_do_not_matter() -> None:
    text = "a\r\nbb\rccc\n\n" + "d" * 5000 + "\ne\n"
    whole = [(line.number, line.text) for line in cut(text)]
    for size in (1, 2, 7, 2047, 2048, 2049):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert [(line.number, line.text) for line in cut(*pieces)] == whole, size


@pytest.mark.parametrize("before", [0, 1, LONGEST - 5, LONGEST, 2 * LONGEST - OVERLAP - 3, 10_000, 2**20])
def test_nothing_is_lost_in_a_long_line(before: int) -> None:
    said = "Kernel panic - not syncing: Attempted to kill init!"
    lines = cut("x" * before + said + "y" * 3000 + "\n")
    assert any(said in line.text for line in lines)
    assert {line.number for line in lines} == {1}
    assert max(len(line.text) for line in lines) <= LONGEST
    assert all(line.text.startswith(CONTINUED) for line in lines[1:]), "^ must not match inside a line"


def test_what_is_held_is_bounded() -> None:
    cutter = Cutter(lambda line: None)
    for _ in range(200):
        cutter.feed("x" * 65536, 0.0)
        pending = cutter.pending()
        assert pending and len(pending.text) <= LONGEST and not pending.complete


def test_a_long_line_costs_no_more_than_its_length() -> None:
    started = time.monotonic()
    cut("x" * 2**23)
    assert time.monotonic() - started < 2
