"""The user's terminal as a guest's serial console."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import termios
import tty
from collections.abc import Iterator
from typing import Literal

from goldsmith.boot.console_log import BoundedLog
from goldsmith.errors import HostError

#: Ctrl-], as telnet and virsh have it
LEAVE = b"\x1d"
LEAVE_NAME = "Ctrl-]"
#: how a session ended: the user left, the machine ended, the terminal is gone
End = Literal["left", "ended", "hung up"]

_PIECE = 65536
#: colours as usual, the cursor shown, a new line: what the guest may have left otherwise
_RESET = b"\x1b[0m\x1b[?25h\r\n"
_HINT = "run it in a terminal, or with --no-console"


def require_terminal(*descriptors: int) -> None:
    """Raises HostError where one of ``descriptors`` is no terminal."""
    if not all(os.isatty(descriptor) for descriptor in descriptors):
        raise HostError("there is no terminal for the guest's console", hint=_HINT)


@contextlib.contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """A terminal that hands every key on, Ctrl-C too; as it was before at the end, whatever happens."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        # Of a terminal that is gone nothing is left to restore.
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSANOW, before)


def interact(serial: socket.socket, keys: int, screen: int, log: BoundedLog | None = None) -> End:
    """Pass what is typed to the guest and what it says to the screen, until LEAVE or the end of either.

    ``keys`` and ``screen`` are descriptors of a terminal; ``log`` keeps what the guest says.  Raises HostError where
    there is no terminal.
    """
    require_terminal(keys, screen)
    with raw(keys):
        end = _pass(serial, keys, screen, log)
        _write(screen, _RESET)
        return end


def _pass(serial: socket.socket, keys: int, screen: int, log: BoundedLog | None) -> End:
    pending = b""
    while True:
        # What is typed faster than the guest takes it waits here, so that its output goes on.
        sources: list[socket.socket | int] = [serial] if pending else [serial, keys]
        readable, ready, _ = select.select(sources, [serial] if pending else [], [])
        if ready:
            try:
                pending = pending[serial.send(pending, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                pass
            except OSError:
                return "ended"
        if serial in readable:
            try:
                output = serial.recv(_PIECE)
            except OSError:
                output = b""
            if not output:
                return "ended"
            if log:
                log.write(output)
            if not _write(screen, output):
                return "hung up"
        if keys in readable:
            try:
                typed = os.read(keys, 1024)
            except OSError:
                typed = b""
            if not typed:
                return "hung up"
            before, left, _ = typed.partition(LEAVE)
            if left:
                return "left"
            pending += before


def _write(descriptor: int, data: bytes) -> bool:
    """Whether all could be written."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        return False
    return True
