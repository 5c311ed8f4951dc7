"""The guest's serial console, ttyS0: what it says and when, and a way to answer."""

from __future__ import annotations

import re
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from goldsmith.boot.console_log import BoundedLog
from goldsmith.boot.lines import Cutter, Line
from goldsmith.boot.sockets import PlainText, Reader
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline

#: characters, and lines, kept in memory; the log keeps more
KEPT = 256 * 1024
KEPT_LINES = 4096
#: console lines that an error shows
SHOWN_LINES = 15

# What waits for somebody to type: a prompt, which no newline ends.
_PROMPT = re.compile(r"\A.{1,200}[:>)#$] *\Z")


class Console:
    """Text of the console without escape sequences.  ``wait_for`` goes forward through it, as expect does.

    To be made right before power-on: lines are stamped with the seconds since.  ``log`` is a file for the raw bytes,
    which keeps their beginning and their end.  A guest that floods the console costs no more memory than another.
    ``earlier`` is what a machine that goes on from a saved state had shown before.
    """

    def __init__(
        self,
        connection: socket.socket,
        log: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        earlier: bytes = b"",
    ) -> None:
        self._clock = clock
        self._power_on = clock()
        self._plain = PlainText(returns=True)
        self._text = ""
        self._position = 0
        self._lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self._characters = 0
        self._listeners: list[Callable[[Line], None]] = []
        self._taps: list[Callable[[bytes], None]] = []
        self._cutter = Cutter(self._take_line)
        self._log = BoundedLog(log) if log else None
        #: bytes that came so far
        self.received = 0
        if earlier:
            self._take(earlier)
        self._reader = Reader(connection, self._take, self._end)
        self._reader.start()

    def seconds(self) -> float:
        """Seconds since power-on, by the host's clock."""
        return self._clock() - self._power_on

    def _take(self, data: bytes) -> None:
        at = self.seconds()
        self.received += len(data)
        if self._log:
            self._log.write(data)
        for tap in self._taps:
            tap(data)
        text = self._plain.feed(data)
        self._cutter.feed(text, at)
        pending = self._cutter.pending()
        if pending and self._listeners and _PROMPT.match(pending.text):
            for listen in self._listeners:
                listen(pending)
        self._text += text.replace("\r", "")
        if (excess := len(self._text) - KEPT) > 0:
            self._text = self._text[excess:]
            self._position = max(0, self._position - excess)

    def _end(self) -> None:
        for tap in self._taps:
            tap(b"")

    def _take_line(self, line: Line) -> None:
        if len(self._lines) == KEPT_LINES:
            self._forget()
        self._lines.append(line)
        self._characters += len(line.text)
        while self._characters > KEPT:
            self._forget()
        for listen in self._listeners:
            listen(line)

    def _forget(self) -> None:
        self._characters -= len(self._lines.popleft().text)

    def listen(self, listener: Callable[[Line], None]) -> None:
        """Hand every line to ``listener``: what is kept now, and from now on each as it comes, in the reader's thread.

        What looks like a prompt, which no newline follows, comes at once with ``complete`` unset; it may come again.
        """
        with self._reader.condition:
            for line in self._lines:
                listener(line)
            if pending := self._cutter.pending():
                listener(pending)
            self._listeners.append(listener)

    def tap(self, tap: Callable[[bytes], None]) -> None:
        """Hand every piece of output to ``tap`` as it comes, in the reader's thread; an empty one is the end."""
        with self._reader.condition:
            self._taps.append(tap)
            if self._reader.closed:
                tap(b"")

    def untap(self, tap: Callable[[bytes], None]) -> None:
        """Take a tap off."""
        with self._reader.condition:
            self._taps.remove(tap)

    def lines(self) -> tuple[Line, ...]:
        """The last lines that hold something, the unfinished one too."""
        with self._reader.condition:
            pending = self._cutter.pending()
            return (*self._lines, pending) if pending else tuple(self._lines)

    def text(self) -> str:
        """All that is kept."""
        with self._reader.condition:
            return self._text

    def tail(self, lines: int = SHOWN_LINES) -> str:
        """The last lines that hold something."""
        return "\n".join([line for line in self.text().splitlines() if line.strip()][-lines:])

    def wait_for(self, pattern: str, deadline: Deadline) -> re.Match[str]:
        """The next match of a regular expression (multi-line) after the previous one.

        Raises DeadlineError, or HarnessError when the machine is gone, both with the last lines.
        """
        wanted = re.compile(pattern, re.MULTILINE)
        found: list[re.Match[str]] = []

        def look() -> bool:
            if match := wanted.search(self._text, self._position):
                found.append(match)
                self._position = match.end()
            return bool(found)

        try:
            self._reader.wait_for(look, deadline, f"the console did not show /{pattern}/")
        except DeadlineError as error:
            raise DeadlineError(error.message.rpartition(":")[0], deadline.total, hint=self.shown()) from None
        if not found:
            raise HarnessError(f"the machine ended before its console showed /{pattern}/", hint=self.shown())
        return found[0]

    def shown(self) -> str:
        """The last lines, as an error shows them."""
        lines = self.tail().splitlines()
        return "\n  | ".join(["the console's last lines:", *lines]) if lines else "the console said nothing"

    def send(self, text: str, deadline: Deadline) -> None:
        """Type on the serial console.  Raises DeadlineError, HarnessError when the machine is gone."""
        self.send_bytes(text.encode(), deadline)

    def send_bytes(self, data: bytes, deadline: Deadline) -> None:
        """The same for what is no text."""
        try:
            self._reader.send(data, deadline)
        except OSError as error:
            raise HarnessError(f"the console is closed: {error}", hint=self.shown()) from error

    def close(self) -> None:
        self._reader.close()
        with self._reader.condition:
            self._cutter.finish()
        if self._log:
            self._log.close()
