"""A real HTTP server on loopback that misbehaves as it is told."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Site:
    """What the server has and does; ``asked`` are the paths with the Range and If-Range headers that came."""

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"one"'
    #: the body of so many answers ends after so many bytes
    cuts: list[int] = field(default_factory=list)
    #: these come first, instead of an answer
    statuses: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    heeds_if_range: bool = True
    says_length: bool = True
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    base: str = ""

    def url(self, name: str) -> str:
        return f"{self.base}/{name}"


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.lstrip("/").partition("?")[0]
            wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
            site.asked.append((self.path, wanted, condition))
            self.close_connection = True
            if site.statuses:
                self.send_error(site.statuses.pop(0))
            elif name in site.redirects:
                self.send_response(302)
                self.send_header("Location", site.redirects[name])
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif name not in site.files:
                self.send_error(404)
            else:
                self._send(site.files[name], wanted, condition)

        def _send(self, content: bytes, wanted: str | None, condition: str | None) -> None:
            start = 0
            if wanted and site.ranges and (not site.heeds_if_range or condition in (None, site.etag)):
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            if site.etag:
                self.send_header("ETag", site.etag)
            body = content[start:]
            if site.says_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)

    return Handler


@contextlib.contextmanager
def serving(site: Site, certificate: tuple[Path, Path] | None = None) -> Iterator[Site]:
    """Serve it; ``certificate`` is the file of the certificate and that of its key."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    scheme = "https" if certificate else "http"
    site.base = f"{scheme}://localhost:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
