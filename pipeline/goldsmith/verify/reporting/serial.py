"""The serial console in a page: its beginning, its end, and what lies around the lines that a console rule marked."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldsmith.boot import console_log
from goldsmith.verify.reporting.markup import Markup, clipped, joined, lines, slug, tag
from goldsmith.verify.timeline import Mark

#: lines that are shown, from the start, to the end, and on either side of a marked one
HEAD, TAIL, AROUND = 60, 150, 3
#: marks that are shown
MOST_MARKS = 40
#: bytes of a line that are read at once, and characters that are shown: a guest can write gigabytes without a newline
_READ, _SHOWN = 8192, 2000
#: characters by which a marked line is known
_ENOUGH = 60

_MOVE = re.compile(r"\x1b\[(\d*)(?:;\d*)?[Hf]")
# BoundedLog's note where it leaves out the middle of a flood.
_NOTE = re.compile(rb"\[goldsmith leaves out \d+ bytes here, from line \d+ to line (\d{1,15}); the end follows\]\n")
# Control sequences (ECMA-48), operating system commands, and the short escapes.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Za-z0-9]|[=>78cDEHMZ])")


@dataclass(frozen=True)
class Line:
    """A line of console.log; ``number`` counts from 1, as Mark.line does."""

    number: int
    text: str


def excerpt(path: Path, marked: Sequence[int] = ()) -> list[Line | int]:
    """Lines worth reading, and between them how many were left out.  Memory is bounded, whatever the file's size.

    Raises OSError.
    """
    near = {number + step for number in marked for step in range(-AROUND, AROUND + 1)}
    kept: list[Line] = []
    last: deque[Line] = deque(maxlen=TAIL)
    total = 0
    for total, data in _lines(path):
        line = Line(total, data)
        if total <= HEAD or total in near:
            kept.append(line)
        else:
            last.append(line)
    shown: list[Line | int] = []
    before = 0
    for line in sorted([*kept, *last], key=lambda line: line.number):
        if line.number > before + 1:
            shown.append(line.number - before - 1)
        before = line.number
        shown.append(Line(line.number, plain(line.text)))
    return shown


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and beginning of each line; after a note on lines that were left out they go on from it."""
    # In a smaller file the note is the guest's own.
    shortened = path.stat().st_size >= console_log.HEAD
    with path.open("rb") as stream:
        number = 0
        while data := stream.readline(_READ):
            if shortened and (note := _NOTE.fullmatch(data)) and int(note[1]) > number:
                number = int(note[1]) - 1
                continue
            number += 1
            rest = data
            while rest and not rest.endswith(b"\n"):
                rest = stream.readline(_READ)
            yield number, data.decode(errors="replace")


def plain(text: str) -> str:
    """A line without its escape sequences; where the cursor was put into another row, a new line begins."""
    row = ""

    def moved(match: re.Match[str]) -> str:
        nonlocal row
        before, row = row, match[1]
        return " " if row == before else "\n"

    text = _ESCAPE.sub("", _MOVE.sub(moved, text)).replace("\r", "").replace("\0", "")
    return "\n".join(line.rstrip() for line in text.split("\n") if line.strip())


def _mark_id(firmware: str, mark: Mark) -> str:
    return slug(firmware, "line", str(mark.line))


def console(path: Path, firmware: str, marks: Sequence[Mark]) -> Markup | None:
    """The log of one boot with its marks; None where there is neither."""
    shown_marks = marks[:MOST_MARKS]
    by_line: dict[int, list[Mark]] = {}
    for mark in shown_marks:
        by_line.setdefault(mark.line, []).append(mark)
    try:
        found = excerpt(path, list(by_line))
    except OSError:
        found = None
    if found is None and not marks:
        return None
    by_line = {each.number: _of(each, by_line) for each in found or () if isinstance(each, Line)}
    told = _marks(firmware, shown_marks, len(marks), {number for number, those in by_line.items() if those})
    if not found:
        why = "the serial console said nothing" if found is not None else "its console.log is gone"
        return lines(told, tag("p", f"{firmware}: {why}.", class_="note"))
    rows = [_row(each, firmware, by_line) for each in found]
    return lines(
        told,
        tag(
            "details",
            tag("summary", f"Serial console, {firmware}: {_extent(found)}"),
            tag("pre", tag("code", joined(*rows)), class_="log"),
            tag("p", "The log: ", tag("code", f"{firmware}/{path.name}"), class_="note"),
            open=bool(marks),
        ),
    )


def _of(line: Line, by_line: dict[int, list[Mark]]) -> list[Mark]:
    """The marks that are really this line's: in a log that was shortened another could have its number."""
    text = _squeezed(line.text)
    return [mark for mark in by_line.get(line.number, ()) if _squeezed(mark.text)[:_ENOUGH] in text]


def _squeezed(text: str) -> str:
    return "".join(text.lstrip("…").split())


def _extent(found: Sequence[Line | int]) -> str:
    shown = sum(isinstance(each, Line) for each in found)
    left_out = sum(each for each in found if isinstance(each, int))
    return f"{shown} of {shown + left_out} lines" if left_out else f"{shown} lines"


def _marks(firmware: str, marks: Sequence[Mark], count: int, shown: set[int]) -> Markup | None:
    if not marks:
        return None
    items = [
        tag(
            "li",
            tag("a", f"line {mark.line}", href=f"#{_mark_id(firmware, mark)}" if mark.line in shown else None),
            " ",
            tag("b", mark.rule),
            f": {mark.reason}",
            tag("code", clipped(mark.text, _SHOWN), class_="block"),
        )
        for mark in marks
    ]
    more = tag("p", f"{count - len(marks)} more are in report.json.", class_="note") if count > len(marks) else None
    return lines(tag("p", f"Marked on the console, {firmware}:"), tag("ul", *items, class_="marks"), more)


def _row(each: Line | int, firmware: str, by_line: dict[int, list[Mark]]) -> Markup:
    if isinstance(each, int):
        return tag("span", f"⋯ {each} lines left out ⋯\n", class_="gap")
    text = clipped(each.text, _SHOWN)
    if marks := by_line.get(each.number):
        rules = ", ".join(mark.rule for mark in marks)
        return joined(tag("mark", f"▶ {text}", id=_mark_id(firmware, marks[0])), tag("b", f" ◀ {rules}"), "\n")
    return joined(text, "\n")
