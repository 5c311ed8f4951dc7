"""Unix sockets of a machine's run folder, and streams of bytes read from them in the background."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from goldsmith.errors import DeadlineError
from goldsmith.host.deadline import Deadline

_ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Za-z0-9]|[=>78cDEHMZ])")
# Putting the cursor elsewhere begins another line, as when a menu is drawn; nothing but this sequence says so.
_MOVE = re.compile(rb"\x1b\[[0-9;]*[Hf]")
_PARTIAL_ESCAPE = re.compile(rb"\x1b[^\x1b]{0,64}\Z")


def connect(folder: Path, name: str) -> socket.socket:
    """Connect to the socket ``name`` in ``folder``, however long the folder's path is.

    A Unix socket's path is limited to 108 bytes, so it is reached through the folder's descriptor; the other end
    binds with a path relative to its working directory.  Raises OSError.
    """
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}/{name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(descriptor)
    return connection


class Reader:
    """Drains a socket in a thread, so that the other end never blocks, and hands each piece to ``sink``.

    ``sink``, and ``ended`` when the other end is gone, run with the condition held; whoever waits is woken after each.
    """

    def __init__(
        self, connection: socket.socket, sink: Callable[[bytes], None], ended: Callable[[], None] | None = None
    ) -> None:
        self._connection = connection
        self._sink = sink
        self._ended = ended
        self._write_lock = threading.Lock()
        self.condition = threading.Condition()
        self.closed = False
        self._thread = threading.Thread(target=self._read, name="serial-reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = self._connection.recv(65536)
            except OSError:
                data = b""
            with self.condition:
                if data:
                    self._sink(data)
                else:
                    self.closed = True
                    if self._ended:
                        self._ended()
                self.condition.notify_all()
            if not data:
                return

    def wait_for(self, condition: Callable[[], bool], deadline: Deadline, what: str) -> None:
        """Wait until ``condition`` holds or the other end is gone.  Raises DeadlineError naming ``what``."""
        with self.condition:
            if not self.condition.wait_for(lambda: condition() or self.closed, timeout=deadline.remaining()):
                raise DeadlineError(what, deadline.total)

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Write all of ``data``.  Raises DeadlineError when the other end does not take it, OSError when it is gone."""
        with self._write_lock:
            view = memoryview(data)
            while view:
                try:
                    view = view[self._connection.send(view, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    if deadline.passed:
                        raise DeadlineError("the serial line took no more data", deadline.total) from None
                    threading.Event().wait(0.02)

    def close(self) -> None:
        """End the thread; safe to call twice."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        self._connection.close()


class PlainText:
    """Takes terminal output in pieces and gives it back as text without escape sequences and carriage returns.

    With ``returns`` carriage returns stay, and stand for a cursor that was put elsewhere, too.
    """

    def __init__(self, *, returns: bool = False) -> None:
        self._returns = returns
        self._carry = b""

    def feed(self, data: bytes) -> str:
        data = self._carry + data
        self._carry = b""
        if self._returns:
            data = _MOVE.sub(b"\r", data)
        data = _ESCAPE.sub(b"", data)
        if partial := _PARTIAL_ESCAPE.search(data):
            # Only the head of a sequence; its tail comes with the next piece.
            self._carry, data = data[partial.start() :], data[: partial.start()]
        elif cut := _cut_character(data):
            self._carry, data = data[-cut:], data[:-cut]
        text = data.decode(errors="replace").replace("\x00", "")
        return text if self._returns else text.replace("\r", "")


def _cut_character(data: bytes) -> int:
    """How many bytes at the end begin a UTF-8 character that is not there whole."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return back if length > back else 0
    return 0
