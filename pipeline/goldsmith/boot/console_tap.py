"""A second end of a console that something else reads already, for a person to sit at."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from goldsmith.boot.console import Console
from goldsmith.errors import HarnessError
from goldsmith.host.deadline import Deadline

#: seconds for the guest to take what was typed
_TAKEN = 30.0
_PIECE = 4096


@contextlib.contextmanager
def tapped(console: Console) -> Iterator[socket.socket]:
    """A socket that speaks for the console from now on, as bytes; it ends when the machine does."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(True)

    def show(data: bytes) -> None:
        # Runs in the console's own thread, which must not wait for a person's terminal.
        with contextlib.suppress(BlockingIOError, OSError):
            if data:
                ours.send(data, socket.MSG_DONTWAIT)
            else:
                ours.shutdown(socket.SHUT_WR)

    def type_on() -> None:
        with contextlib.suppress(OSError, HarnessError):
            while data := ours.recv(_PIECE):
                console.send_bytes(data, Deadline.after(_TAKEN))

    typist = threading.Thread(target=type_on, daemon=True)
    typist.start()
    console.tap(show)
    try:
        yield theirs
    finally:
        console.untap(show)
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)
        theirs.close()
        typist.join(timeout=5)
        ours.close()
