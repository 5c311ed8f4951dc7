"""An image's bytes into a record of Glance, checked on both sides."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from goldsmith.errors import CheckFailedError, HarnessError, HostError, InputError
from goldsmith.host.deadline import Deadline
from goldsmith.host.progress import Progress
from goldsmith.publish.glance.service import SIGNATURE_HINT, Glance, Image
from goldsmith.publish.signatures import SIGNATURE

Method = Literal["put", "import"]
#: bytes read at once: few calls, and less than a socket holds, so that the server works while a block is hashed
_BLOCK = 2**20


class Body:
    """A file as requests streams it: with its length, in blocks, hashed as it goes.

    No ``read``: urllib3 would ask it for 16 KiB at a time (its util/request.py, body_to_chunks).
    """

    def __init__(self, path: Path, stop: threading.Event) -> None:
        self._stop = stop
        self._stream = path.open("rb", buffering=0)
        self._size = path.stat().st_size
        self.sha512, self.md5 = hashlib.sha512(), hashlib.md5(usedforsecurity=False)
        self.sent = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while block := self._stream.read(_BLOCK):
            require_going(self._stop, "upload")
            self.sha512.update(block)
            self.md5.update(block)
            self.sent += len(block)
            yield block

    def close(self) -> None:
        self._stream.close()


def require_going(stop: threading.Event, where: str) -> None:
    """Raises HostError where ``stop`` is set."""
    if stop.is_set():
        raise HostError("interrupted before anything was shown", where=where, hint="run it again")


@dataclass(frozen=True)
class Sent:
    """What was read from the file while it was sent."""

    size: int
    sha512: str
    md5: str


def upload(
    glance: Glance,
    image_id: str,
    path: Path,
    method: Method,
    deadline: Deadline,
    progress: Progress,
    stop: threading.Event,
) -> tuple[Image, Sent]:
    """Send the bytes and wait until the image is active.

    Raises as ``Glance.request``, HostError where ``stop`` is set meanwhile, DeadlineError where it stays importing, and
    HarnessError where an import failed.
    """
    place = "stage" if method == "import" else "file"
    sent = _send(glance, f"/images/{image_id}/{place}", path, progress, stop)
    if method == "import":
        glance.request("POST", f"/images/{image_id}/import", json={"method": {"name": "glance-direct"}})
    hint = "Glance's log says why; the record is removed"
    image = deadline.wait_for(
        lambda: _settled(glance, image_id, stop), f"image {image_id} on cloud {glance.cloud} is active", hint=hint
    )
    return image, sent


def _send(glance: Glance, path: str, file: Path, progress: Progress, stop: threading.Event) -> Sent:
    for last in (False, True):
        body = Body(file, stop)
        total = max(len(body), 1)
        with progress.step(
            f"upload to {glance.cloud}",
            lambda body=body, total=total: f"{100 * body.sent // total} %",  # type: ignore[misc]
        ):
            headers = {"Content-Type": "application/octet-stream", "Accept": ""}
            # keystoneauth would send again what is left of the stream, which is nothing.
            once = {"allow_reauth": False, "connect_retries": 0, "status_code_retries": 0}
            try:
                reply = glance.request("PUT", path, data=body, headers=headers, ok=() if last else (401,), **once)
            finally:
                body.close()
        if reply.status_code != 401:
            return Sent(body.sent, body.sha512.hexdigest(), body.md5.hexdigest())
        glance.connection.session.invalidate()
    raise AssertionError("unreachable")


def _settled(glance: Glance, image_id: str, stop: threading.Event) -> Image | None:
    require_going(stop, f"image {image_id}")
    image = glance.image(image_id)
    if image is None:
        raise HarnessError(f"image {image_id} is gone", where=f"cloud {glance.cloud}", hint="run it again")
    if failed := image.get("os_glance_failed_import"):
        # Of a signature that does not fit, Glance's log alone tells: its task ends with "Internal Error".
        cause = SIGNATURE_HINT if SIGNATURE in image else "run it again"
        raise HarnessError(
            f"the import of image {image_id} failed in {failed}",
            where=f"cloud {glance.cloud}",
            hint=f"Glance's log says why; {cause}, or use --method put",
        )
    if image["status"] in ("killed", "deleted", "pending_delete", "deactivated"):
        raise HarnessError(f"image {image_id} is {image['status']}", where=f"cloud {glance.cloud}", hint="run it again")
    return image if image["status"] == "active" else None


def verify(image: Image, sent: Sent, sha512: str, where: str) -> None:
    """Raises InputError where the file is not its manifest's, CheckFailedError where the cloud holds other bytes."""
    if sent.sha512 != sha512:
        raise InputError("the file is not the image of its manifest", where=where, hint="build the image again")
    pairs: dict[str, tuple[Any, Any]] = {"size": (image["size"], sent.size), "md5": (image.get("checksum"), sent.md5)}
    if image.get("os_hash_algo") in ("sha512", None):
        pairs["sha512"] = (image.get("os_hash_value"), sent.sha512)
    # A FIPS host or an old release keeps no MD5; the sha512 is what counts.
    wrong = [f"{name} {a}, sent {b}" for name, (a, b) in pairs.items() if a != b and not (name == "md5" and a is None)]
    if wrong:
        raise CheckFailedError(f"the cloud holds other bytes: {'; '.join(wrong)}", where=where, hint="run it again")
