"""The OpenStack metadata service of the lab: serves a fixed set of documents and counts who asks.

It runs inside the lab's jail as a plain script, so it uses the standard library only:
    metadata.py DOCUMENTS.json LOG.jsonl [ADDRESS PORT]
DOCUMENTS.json maps a path without a trailing slash ("" is the root) to the text that answers it; every other path
is 404.  LOG.jsonl gets one object a line, in order:
    {"event": "listening"}
    {"event": "connection", "connection": N, "peer": ADDRESS, "at": UNIX TIME}
    {"event": "request", "connection": N, "method", "path", "status", "at"}
Connections and requests are counted apart, because a connection is what the proxies in front of the real service run
out of; a client that keeps its connection open is given the chance, as HAProxy in Neutron's agents does.
"""

from __future__ import annotations

import itertools
import json
import posixpath
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ADDRESS = "169.254.169.254"
PORT = 80
#: a client that says nothing for so long is closed
IDLE_SECONDS = 60


class _Log:
    def __init__(self, path: Path) -> None:
        self._stream = path.open("a")
        self._lock = threading.Lock()

    def write(self, **document: Any) -> None:
        with self._lock:
            self._stream.write(json.dumps(document) + "\n")
            self._stream.flush()


def _normal(path: str) -> str:
    """The key of a requested path: no query, no doubled or trailing slashes; the root is ""."""
    return posixpath.normpath("/" + urlsplit(path).path.lstrip("/")).rstrip("/")


def make_server(documents: dict[str, str], log_path: Path, address: str, port: int) -> ThreadingHTTPServer:
    """A server that is bound but not yet serving."""
    log = _Log(log_path)
    ids = itertools.count(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE_SECONDS
        connection_id = 0

        def setup(self) -> None:
            super().setup()
            self.connection_id = next(ids)
            log.write(event="connection", connection=self.connection_id, peer=self.client_address[0], at=time.time())

        def _answer(self, status: int, body: bytes, content_type: str = "text/plain") -> None:
            # Logged before it is sent: whoever has the answer also finds it counted.
            log.write(
                event="request",
                connection=self.connection_id,
                method=self.command,
                path=self.path,
                status=status,
                at=time.time(),
            )
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self) -> None:
            body = documents.get(_normal(self.path))
            if body is None:
                self._answer(404, b"404 Not Found\n")
            else:
                is_json = _normal(self.path).endswith(".json")
                self._answer(200, body.encode(), "application/json" if is_json else "text/plain")

        do_HEAD = do_GET

        def do_PUT(self) -> None:
            # Nova has no session tokens (EC2's IMDSv2); a body must be read or the next request would start in it.
            self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 1 << 20))
            self._answer(404, b"404 Not Found\n")

        do_POST = do_PUT

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 128

        def server_bind(self) -> None:
            # HTTPServer.server_bind looks its own name up, which waits for a DNS that the lab does not have.
            socketserver.TCPServer.server_bind(self)
            self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    server = Server((address, port), Handler)
    log.write(event="listening")
    return server


def main(argv: list[str]) -> None:
    documents_path, log_path, *rest = argv
    address, port = (rest[0], int(rest[1])) if rest else (ADDRESS, PORT)
    make_server(json.loads(Path(documents_path).read_text()), Path(log_path), address, port).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
