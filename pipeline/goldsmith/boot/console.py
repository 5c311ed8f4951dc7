"""The guest's serial console, ttyS0: what it says, and a way to answer."""

from __future__ import annotations

import re
import socket

from goldsmith.boot.sockets import PlainText, Reader
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline

#: characters kept in memory; QEMU itself writes the whole to a file
KEPT = 256 * 1024
#: console lines that an error shows
SHOWN_LINES = 15


class Console:
    """Text of the console without escape sequences.  ``wait_for`` goes forward through it, as expect does."""

    def __init__(self, connection: socket.socket) -> None:
        self._plain = PlainText()
        self._text = ""
        self._position = 0
        self._reader = Reader(connection, self._take)
        self._reader.start()

    def _take(self, data: bytes) -> None:
        self._text += self._plain.feed(data)
        if (excess := len(self._text) - KEPT) > 0:
            self._text = self._text[excess:]
            self._position = max(0, self._position - excess)

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
        try:
            self._reader.send(text.encode(), deadline)
        except OSError as error:
            raise HarnessError(f"the console is closed: {error}", hint=self.shown()) from error

    def close(self) -> None:
        self._reader.close()
