"""A port on the host's loopback that leads to a Unix socket: the lab's relay, or QEMU's VNC server."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from goldsmith.boot import relay, sockets
from goldsmith.errors import HostError

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def forward(ports: Iterable[int], folder: Path, name: str, address: str = LOOPBACK) -> Iterator[int]:
    """Listen on the first of ``ports`` that is free, 0 being any, and pass connections on to a socket in ``folder``.

    Gives the port.  Raises HostError where none can be had.
    """
    with _listener(address, ports) as listener:

        def connect() -> socket.socket:
            return sockets.connect(folder, name)

        thread = threading.Thread(target=relay.serve, args=(listener, connect, log.debug), daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            # Closing alone does not wake accept(2).
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)


def _listener(address: str, ports: Iterable[int]) -> socket.socket:
    reason, last = "no port was given", 0
    for port in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen()
        except OSError as error:
            listener.close()
            reason, last = error.strerror or str(error), port
        else:
            return listener
    raise HostError(f"cannot listen on {address}, port {last}: {reason}", hint="choose another port; 0 is any")
