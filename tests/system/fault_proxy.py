"""Between a publisher and Glance, on loopback: passes requests on, but for those that it is told to spoil."""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_BLOCK = 1 << 14


@dataclass
class Fault:
    """For requests like ``match`` ("PUT .*/file"), ``times`` of them.

    Answer ``status``; or call ``act`` when a ``share`` of the body was passed on, and ``cut`` the connection then; or,
    with neither, do nothing but count.
    """

    match: str
    status: int | None = None
    share: float | None = None
    act: Callable[[], None] | None = None
    cut: bool = True
    times: int = 1


class Proxy(ThreadingHTTPServer):
    """``faults`` may be changed while it runs, and so may ``skew``: how far the server's clock seems to be ahead."""

    daemon_threads = True

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.skew = timedelta(0)
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault(self, request: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.fullmatch(fault.match, request):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        fault = self.server.fault(f"{self.command} {self.path.partition('?')[0]}")
        self.close_connection = fault is not None
        if fault and fault.status:
            while length > 0 and (block := self.rfile.read(min(length, _BLOCK))):
                length -= len(block)
            return self._answer(fault.status, {"Content-Type": "text/plain"}, b"as the test wants it")
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        with contextlib.closing(upstream), contextlib.suppress(OSError, http.client.HTTPException):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders()
            first = length if not fault or fault.share is None else int(length * fault.share)
            self._pass_on(upstream, first)
            if fault and fault.share is not None:
                if fault.act:
                    fault.act()
                if fault.cut:
                    return None
                self._pass_on(upstream, length - first)
            reply = upstream.getresponse()
            return self._answer(reply.status, dict(reply.getheaders()), reply.read())
        self.close_connection = True
        return None

    def _pass_on(self, upstream: http.client.HTTPConnection, count: int) -> None:
        while count > 0 and (block := self.rfile.read(min(count, _BLOCK))):
            upstream.send(block)
            count -= len(block)

    def _skewed(self, headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        """An answer as of a server whose clock is wrong: the time of its answer, and the times of its records."""
        if not self.server.skew:
            return headers, body

        def shifted(match: re.Match[bytes]) -> bytes:
            made = datetime.fromisoformat(match[2].decode().replace("Z", "+00:00")) + self.server.skew
            return match[1] + made.strftime("%Y-%m-%dT%H:%M:%SZ").encode()

        dates = {
            name: format_datetime(parsedate_to_datetime(value) + self.server.skew, usegmt=True)
            for name, value in headers.items()
            if name.lower() == "date"
        }
        return headers | dates, re.sub(rb'("(?:created|updated)_at": ")([0-9TZ:-]+)', shifted, body)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        headers, body = self._skewed(headers, body)
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            # Unsaid, the client would send its next request into a closing connection.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = _handle


@contextlib.contextmanager
def proxy(upstream: int) -> Iterator[Proxy]:
    server = Proxy(upstream)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
