from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldsmith.boot.lab import read_metadata_log
from goldsmith.boot.metadata import make_server

DOCUMENTS = {"": "1.0\nlatest", "/openstack": "latest", "/openstack/latest/meta_data.json": '{"uuid": "ü"}'}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    log = tmp_path / "log.jsonl"
    server = make_server(DOCUMENTS, log, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1], log
    server.shutdown()
    server.server_close()


def get(port: int, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body)
    answer = connection.getresponse()
    result = answer.status, answer.read().decode()
    connection.close()
    return result


@pytest.mark.parametrize("path", ["/openstack", "/openstack/", "//openstack//", "/openstack?x=1"])
def test_slashes_and_queries_do_not_matter(service: tuple[int, Path], path: str) -> None:
    assert get(service[0], path) == (200, "latest")


def test_the_root_lists_versions(service: tuple[int, Path]) -> None:
    assert get(service[0], "/") == (200, "1.0\nlatest")


def test_text_is_utf8(service: tuple[int, Path]) -> None:
    assert get(service[0], "/openstack/latest/meta_data.json") == (200, '{"uuid": "ü"}')


@pytest.mark.parametrize("path", ["/openstack/latest/user_data", "/../etc/passwd", "/%2e%2e/etc/passwd", "/latest/api"])
def test_anything_else_is_404(service: tuple[int, Path], path: str) -> None:
    assert get(service[0], path)[0] == 404


def test_a_put_is_refused_as_by_nova(service: tuple[int, Path]) -> None:
    assert get(service[0], "/latest/api/token", "PUT", b"x" * 10)[0] == 404


def test_connections_and_requests_are_counted_apart(service: tuple[int, Path]) -> None:
    port, log = service
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for path in ("/", "/openstack", "/openstack"):
        kept.request("GET", path)
        kept.getresponse().read()
    kept.close()
    get(port, "/missing")
    count = read_metadata_log(log.read_text())
    assert (count.requests, count.connections) == (4, 2)
    assert count.by_path == {"/": 1, "/openstack": 2, "/missing": 1}
    assert count.by_peer == {"127.0.0.1": 2}


def test_a_connection_without_a_request_counts(service: tuple[int, Path]) -> None:
    port, log = service
    socket.create_connection(("127.0.0.1", port), timeout=10).close()
    get(port, "/")
    count = read_metadata_log(log.read_text())
    assert (count.requests, count.connections) == (1, 2)


def test_a_half_written_line_waits() -> None:
    whole = '{"event": "listening"}\n{"event": "connection", "connection": 1, "peer": "a", "at": 1}\n'
    assert read_metadata_log(whole + '{"event": "requ').connections == 1
    assert read_metadata_log("").connections == 0
