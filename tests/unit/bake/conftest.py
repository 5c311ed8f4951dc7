"""A mirror on the loopback, and jails."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest
from bake_help import RELEASE, Mirror

from goldsmith.host.jail import Jail, user_jail

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Holds the release and its updates, empty."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = made.files.get(self.path, 404)
            if isinstance(content, int):
                self.send_error(content)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Mirror(f"http://127.0.0.1:{server.server_port}")
        for suite in (RELEASE, f"{RELEASE}-updates"):
            made.publish(suite, {})
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def jail() -> Iterator[Jail]:
    """A jail of a plain user: enough to be root over one's own files."""
    with user_jail(ENVIRONMENT) as made:
        yield made
