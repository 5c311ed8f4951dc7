"""A stream of text, cut into lines that know when they came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: characters of one line; a longer one comes in pieces that overlap, so that what a cut goes through is whole in one
LONGEST = 2048
OVERLAP = 256
#: what a piece begins with that is not a line's beginning
CONTINUED = "…"


@dataclass(frozen=True)
class Line:
    """What stands between two newlines, or a part of it that carriage returns or its length set apart."""

    #: of the line in the stream, from 1, as an editor counts
    number: int
    #: seconds since power-on at which its first character came
    at: float
    text: str
    #: whether its end was seen
    complete: bool = True


class Cutter:
    """Takes a stream in pieces and hands each line that is not blank to ``sink``.  Holds LONGEST characters at most."""

    def __init__(self, sink: Callable[[Line], None]) -> None:
        self._sink = sink
        self._number = 1
        self._at = 0.0
        self._text = ""

    def feed(self, text: str, at: float) -> None:
        """Take what came ``at`` seconds after power-on."""
        for index, line in enumerate(text.split("\n")):
            if index:
                self._end()
                self._number += 1
            if "\r" not in line:
                if line:
                    self._add(line, at)
                continue
            *ended, last = line.split("\r")
            for part in ended:
                if part:
                    self._add(part, at)
                self._end()
            self._add(last, at)

    def pending(self) -> Line | None:
        """The line whose end has not come yet; None where it is blank."""
        return Line(self._number, self._at, self._text, complete=False) if self._text.strip() else None

    def finish(self) -> None:
        """Hand over what no newline ends any more."""
        self._end()

    def _add(self, part: str, at: float) -> None:
        if not self._text.strip():
            self._at = at
        text = self._text + part
        if len(text) > LONGEST:
            step = LONGEST - OVERLAP
            self._emit(text[:LONGEST])
            start = step
            while len(text) - start > LONGEST - 1:
                self._emit(CONTINUED + text[start : start + LONGEST - 1])
                start += step - 1
            # The mark in front: a pattern's ^ must not match in the middle of a line.
            text = CONTINUED + text[start:]
        self._text = text

    def _end(self) -> None:
        if self._text:
            self._emit(self._text)
            self._text = ""

    def _emit(self, text: str) -> None:
        if text.strip():
            self._sink(Line(self._number, self._at, text))
