"""Ports of the host that lead into the lab, and to Unix sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldsmith.boot.forward import LOOPBACK, forward
from goldsmith.boot.instance import Instance, Network, make_nics
from goldsmith.boot.lab import Lab
from goldsmith.errors import HostError
from goldsmith.host.deadline import Deadline
from goldsmith.settings import Settings

#: answers each client, once it has no more to say, with how much that was and the client's address
COUNTER = """
import socket, threading
listener = socket.create_server(("10.20.0.1", 22))
open("counting", "w").close()
while True:
    client, peer = listener.accept()
    total = 0
    while data := client.recv(65536):
        total += len(data)
    client.sendall(f"{total} {peer[0]}".encode())
    client.close()
"""


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Path]:
    """A folder too long for a Unix socket's path, with a server that echoes on echo.sock."""
    folder = tmp_path / ("long-" * 30)
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        listener.bind("echo.sock")
    listener.listen()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while data := client.recv(4096):
                    client.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    yield folder
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def talk(port: int, data: bytes) -> bytes:
    """Say ``data`` and that it was all; what comes back."""
    with socket.create_connection((LOOPBACK, port), timeout=20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        return answer


def test_a_port_leads_to_a_socket_until_the_end(echo: Path) -> None:
    with forward([0], echo, "echo.sock") as port:
        assert talk(port, b"hello") == b"hello"
        assert talk(port, b"again") == b"again"
    with pytest.raises(ConnectionRefusedError):
        talk(port, b"x")


def test_the_first_free_port_is_taken_and_a_taken_one_refused(echo: Path) -> None:
    with forward([0], echo, "echo.sock") as taken:
        with forward([taken, 0], echo, "echo.sock") as other:
            assert other != taken
            assert talk(other, b"x") == b"x"
        with (
            pytest.raises(HostError, match=f"cannot listen on 127.0.0.1, port {taken}"),
            forward([taken], echo, "echo.sock"),
        ):
            raise AssertionError("it was there")


def test_a_socket_that_is_not_there_closes_the_connection(tmp_path: Path) -> None:
    with forward([0], tmp_path, "none.sock") as port:
        assert talk(port, b"") == b""


def test_the_host_reaches_a_guests_network(settings: Settings, tmp_path: Path) -> None:
    network = Network("front", "10.20.0.0/24", "10.20.0.1")
    instance = Instance("6a1d0bb2-95f8-4b6c-8c1e-7d1f37f1b7c0", "guest", make_nics([network]))
    with Lab(settings, [network], instance, folder=tmp_path / "lab") as lab:
        # The bridge's address stands for the guest's.
        path = lab.relay("ssh.sock", "10.20.0.1", 22)
        assert path == lab.folder / "ssh.sock"
        assert path.stat().st_mode & 0o077 == 0
        with forward([0], path.parent, path.name) as port:
            # Nobody listens yet.
            assert talk(port, b"") == b""
            assert "no connection" in (lab.folder / "ssh.sock.log").read_text()
            lab.jail.spawn("counter", ["/usr/bin/python3", "-c", COUNTER], log_file=tmp_path / "log", cwd=tmp_path)
            Deadline.after(20).wait_for((tmp_path / "counting").exists, "the counter")
            said, _, peer = talk(port, b"x" * 300_000).decode().partition(" ")
            assert said == "300000"
            assert peer.startswith("10.20.0.")
    with pytest.raises(ConnectionRefusedError):
        talk(port, b"")
