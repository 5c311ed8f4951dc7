"""The file that keeps what a console said: all of it where that is not much, else its beginning and its end."""

from __future__ import annotations

import contextlib
from pathlib import Path

#: bytes that are kept of the beginning and of the end
HEAD = 8 * 2**20
TAIL = 2**20


class BoundedLog:
    """A file of HEAD + TAIL bytes at most.  Up to HEAD bytes are in it at once, the end when it is closed.

    Line numbers hold for the beginning; the note between the two says which lines are missing.  A file that cannot be
    written (a full disk) is given up: it must not end the boot.
    """

    def __init__(self, path: Path, head: int = HEAD, tail: int = TAIL) -> None:
        self._stream = path.open("wb", buffering=0)
        self._room = head
        self._tail = tail
        self._end = bytearray()
        self._lines = 0
        self._left_out = 0
        self._lines_left_out = 0

    def write(self, data: bytes) -> None:
        if self._stream.closed:
            return
        if now := data[: self._room]:
            self._room -= len(now)
            self._lines += now.count(b"\n")
            with contextlib.suppress(OSError):
                self._stream.write(now)
        self._end += data[len(now) :]
        # Only now and then, so that each byte is moved once or twice.
        if len(self._end) > 2 * self._tail:
            self._shorten()

    def _shorten(self) -> None:
        excess = len(self._end) - self._tail
        if excess > 0:
            self._left_out += excess
            self._lines_left_out += self._end.count(b"\n", 0, excess)
            del self._end[:excess]

    def close(self) -> None:
        """Write the end; safe to call twice."""
        if self._stream.closed:
            return
        self._shorten()
        note = b""
        if self._left_out:
            first, last = self._lines + 1, self._lines + 1 + self._lines_left_out
            said = f"goldsmith leaves out {self._left_out} bytes here, from line {first} to line {last}"
            note = f"\n[{said}; the end follows]\n".encode()
        with self._stream, contextlib.suppress(OSError):
            self._stream.write(note + self._end)
