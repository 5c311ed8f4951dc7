"""Nova as far as a publication asks it: which servers were made from an image.  A real one cannot run here."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cloud_services import Cloud


@dataclass
class Compute:
    """``servers`` are ids of images that have servers; ``own`` those with servers of the asking project alone.

    ``status`` is what it answers instead, where that is not 200; ``admins_only`` refuses to look at all projects.
    """

    servers: set[str] = field(default_factory=set)
    status: int = 200
    admins_only: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, url: str) -> tuple[int, dict[str, object]]:
        parts = urlsplit(path)
        if not parts.path.endswith("/servers"):
            version = {"id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1"}
            return 200, {"version": {**version, "links": [{"rel": "self", "href": f"{url}/v2.1/"}]}}
        self.asked.append(path)
        query = parse_qs(parts.query)
        if self.status != 200:
            return self.status, {"error": {"message": "as the test wants it"}}
        if self.admins_only and "all_tenants" in query:
            return 403, {"forbidden": {"message": "all_tenants is for administrators", "code": 403}}
        found = [{"id": "a-server"}] if query["image"][0] in self.servers else []
        return 200, {"servers": found}


@contextlib.contextmanager
def compute_of(cloud: Cloud) -> Iterator[Compute]:
    """In the cloud's catalogue for the body, and gone after it."""
    compute = Compute()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = compute.answer(self.path, url)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        root = cloud.connect("root")
        service = root.identity.create_service(name="nova", type="compute")
        for interface in ("public", "internal", "admin"):
            root.identity.create_endpoint(
                service_id=service.id, interface=interface, url=f"{url}/v2.1", region_id="RegionOne"
            )
        try:
            yield compute
        finally:
            root.identity.delete_service(service)
            server.shutdown()
            thread.join()
