"""Passes connections on between two worlds: a listener on this side, and a connection for each on the other.

The lab's end runs inside its jail as a plain script, so the standard library only:
    relay.py SOCKET ADDRESS PORT
listens on the Unix socket SOCKET and connects each client to ADDRESS:PORT.  The host's end: ``goldsmith.boot.forward``.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

#: printed once it listens
LISTENING = "listening"
#: seconds to connect on the other side
CONNECT_SECONDS = 10.0
_PIECE = 65536


def _one_way(source: socket.socket, sink: socket.socket) -> None:
    """Pass on until the source has no more; then say so to the sink, whose own words may still come."""
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
    with contextlib.suppress(OSError):
        source.shutdown(socket.SHUT_RD)


def join(left: socket.socket, right: socket.socket) -> None:
    """Pass on both ways until both have ended; closes both."""
    with left, right:
        back = threading.Thread(target=_one_way, args=(right, left), daemon=True)
        back.start()
        _one_way(left, right)
        back.join()


def serve(listener: socket.socket, connect: Callable[[], socket.socket], say: Callable[[str], None]) -> None:
    """Join each client with a connection of its own, until the listener is shut down."""

    def one(client: socket.socket) -> None:
        try:
            other = connect()
        except OSError as error:
            say(f"no connection: {error}")
            client.close()
        else:
            join(client, other)

    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(client,), daemon=True).start()


def main(path: str, address: str, port: int) -> None:
    def connect() -> socket.socket:
        connection = socket.create_connection((address, port), timeout=CONNECT_SECONDS)
        connection.settimeout(None)
        return connection

    Path(path).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        Path(path).chmod(0o600)
        listener.listen()
        print(LISTENING, flush=True)
        serve(listener, connect, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
