"""A viewer's end of VNC, as far as a proof of the console needs it: keys go in, changes of the picture come out.

The protocol is RFC 6143's, with no authentication: the socket is the machine's own.  Libraries for it bring numpy or
Twisted along; this is a screen that nobody looks at.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from goldsmith.boot.screen import COLUMNS, TEXT_MODES, Screen
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline

_VERSION = b"RFB 003.008\n"
_NO_AUTHENTICATION = 1
_RAW, _DESKTOP_SIZE = 0, -223
_RETURN = 0xFF0D
#: seconds until a key that did not show is pressed again
_AGAIN = 2.0
#: the largest picture that is believed
_MOST_PIXELS = 8192 * 8192
_CELL_HEIGHT = 16
#: lines of a cell above those in which the cursor blinks, with or without a key
_CURSOR = 12


@dataclass(frozen=True)
class Rectangle:
    """A part of the picture that changed, in pixels."""

    x: int
    y: int
    width: int
    height: int

    def meets(self, other: Rectangle) -> bool:
        """Whether the two have a pixel in common."""
        across = self.x < other.x + other.width and other.x < self.x + self.width
        return across and self.y < other.y + other.height and other.y < self.y + self.height


class Viewer:
    """A connection to QEMU's VNC server.  Raises HarnessError where the other end is no such server, or is gone."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = b""
        self.width = self.height = 0
        self._pixel = 4
        self._greet()

    def _greet(self) -> None:
        if not (greeting := self._take(12)).startswith(b"RFB 003."):
            raise HarnessError(f"VNC: the server says {greeting!r}")
        self._send(_VERSION)
        if _NO_AUTHENTICATION not in self._take(self._take(1)[0]):
            raise HarnessError("VNC: the server wants to know who we are")
        self._send(bytes([_NO_AUTHENTICATION]))
        if struct.unpack(">I", self._take(4))[0]:
            raise HarnessError("VNC: the server refused us")
        # Shared: others may look, too.
        self._send(b"\x01")
        self.width, self.height, bits = struct.unpack(">HHB", self._take(5))
        self._pixel = bits // 8
        self._take(15)
        self._take(struct.unpack(">I", self._take(4))[0])
        self._send(struct.pack(">BxHii", 2, 2, _RAW, _DESKTOP_SIZE))

    def _send(self, data: bytes) -> None:
        try:
            self._connection.settimeout(max(0.01, self._deadline.remaining()))
            self._connection.sendall(data)
        except TimeoutError:
            raise DeadlineError("the VNC server takes nothing", self._deadline.total) from None
        except OSError as error:
            raise HarnessError(f"VNC: {error}") from error

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            try:
                self._connection.settimeout(max(0.01, self._deadline.remaining()))
                data = self._connection.recv(65536)
            except TimeoutError:
                raise DeadlineError("the VNC server says nothing", self._deadline.total) from None
            except OSError as error:
                raise HarnessError(f"VNC: {error}") from error
            if not data:
                raise HarnessError("VNC: the server is gone")
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def ask(self) -> None:
        """Ask for what changes from now on."""
        self._send(struct.pack(">BBHHHH", 3, 1, 0, 0, self.width, self.height))

    def press(self, character: str) -> None:
        """Press a key and let it go: an ASCII letter, a digit, or Return."""
        key = _RETURN if character == "\n" else ord(character)
        for down in (1, 0):
            self._send(struct.pack(">BBxxI", 4, down, key))

    def changes(self, seconds: float) -> list[Rectangle]:
        """The next update, empty where none begins within ``seconds``."""
        if not self._buffer:
            self._connection.settimeout(seconds)
            try:
                self._buffer = self._connection.recv(65536)
            except TimeoutError:
                return []
            except OSError as error:
                raise HarnessError(f"VNC: {error}") from error
            if not self._buffer:
                raise HarnessError("VNC: the server is gone")
        kind = self._take(1)[0]
        if kind == 0:
            (count,) = struct.unpack(">xH", self._take(3))
            return [found for _ in range(count) if (found := self._rectangle())]
        if kind == 1:
            _, colours = struct.unpack(">xHH", self._take(5))
            self._take(6 * colours)
        elif kind == 3:
            self._take(struct.unpack(">xxxI", self._take(7))[0])
        elif kind != 2:
            raise HarnessError(f"VNC: a message of kind {kind}, which nobody asked for")
        return []

    def _rectangle(self) -> Rectangle | None:
        x, y, width, height, encoding = struct.unpack(">HHHHi", self._take(12))
        if encoding == _DESKTOP_SIZE:
            self.width, self.height = width, height
            return None
        if encoding != _RAW or width * height > _MOST_PIXELS:
            raise HarnessError(f"VNC: a part of {width}x{height} in encoding {encoding}, which nobody asked for")
        self._take(width * height * self._pixel)
        return Rectangle(x, y, width, height)


def type_and_watch(viewer: Viewer, look: Callable[[], Screen], text: str, deadline: Deadline) -> None:
    """Type by VNC on a text screen, and see each character in the guest's memory and in the picture that is sent.

    Raises DeadlineError when a character never shows, HarnessError in a graphics mode.
    """
    for character in text:
        before = look()
        if before.text is None or before.cursor is None or (before.width, before.height) not in TEXT_MODES:
            raise HarnessError(f"no text screen ({before.width}x{before.height}), so no echo to see")
        row, column = before.cursor
        width = before.width // COLUMNS
        glyph = Rectangle(column * width, row * _CELL_HEIGHT, width, _CURSOR)
        viewer.ask()
        sent = echoed = False
        pressed = -_AGAIN
        while not (sent and echoed):
            if deadline.passed:
                where = "sent no picture of" if echoed else "did not show"
                raise DeadlineError(f"VNC {where} {character!r}", deadline.total)
            if not echoed and time.monotonic() - pressed >= _AGAIN:
                viewer.press(character)
                pressed = time.monotonic()
            found = viewer.changes(0.1)
            sent = sent or any(part.meets(glyph) for part in found)
            if found:
                viewer.ask()
            now = look()
            echoed = now.cursor != before.cursor and bool(now.text and now.text[row][column : column + 1] == character)
