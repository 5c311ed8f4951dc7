"""Two publishers of one name: the record that was created first wins, and says while it works that it is alive.

Only the server's clock counts: created_at, updated_at and the Date of its answers.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from goldsmith.errors import GoldsmithError, HostError
from goldsmith.host.deadline import Deadline
from goldsmith.host.progress import Progress
from goldsmith.publish.glance import names
from goldsmith.publish.glance.service import Glance, Image
from goldsmith.publish.glance.state import look


@dataclass(frozen=True)
class Lease:
    """Seconds: after ``silence`` without a sign of life, given every ``beat``, a publisher is taken for dead."""

    silence: float = 60
    beat: float = 15


def sweep(glance: Glance, name: str, sha512: str, lease: Lease, progress: Progress) -> Image | None:
    """Remove what dead publishers began, but for an active image of these very bytes, which is returned.

    Waits, as long as the lease at the most, to see whether somebody lives.  Raises HostError where one does.
    """
    seen: dict[str, str] = {}
    deadline = Deadline.after(lease.silence + 5)
    for turn in itertools.count():
        begun = look(glance, name).begun
        living = [image for image in begun if _silence(glance, image) < lease.silence]
        alive = [image for image in living if seen.get(image["id"], image["updated_at"]) != image["updated_at"]]
        if alive or (living and deadline.passed):
            raise busy(glance, name, (alive or living)[0])
        if not living:
            return _remains(glance, begun, sha512)
        if turn == 0:
            progress.note(f"{glance.cloud}: waiting to see whether another publication of {name} is alive")
        seen |= {image["id"]: image["updated_at"] for image in living if image["id"] not in seen}
        time.sleep(min(1, lease.silence / 4))
    raise AssertionError("unreachable")


def _remains(glance: Glance, begun: tuple[Image, ...], sha512: str) -> Image | None:
    kept = None
    for image in begun:
        if kept is None and image["status"] == "active" and image.get("os_hash_value") == sha512:
            kept = image
        else:
            glance.delete(image["id"])
    return kept


def _silence(glance: Glance, image: Image) -> float:
    """Seconds since its last sign of life, by the server's clock."""
    assert glance.now is not None
    last = datetime.fromisoformat(image["updated_at"].replace("Z", "+00:00"))
    return (glance.now - last).total_seconds()


def busy(glance: Glance, name: str, other: Image) -> HostError:
    return HostError(
        f"another publication of {name!r} is under way and was first (image {other['id']}); nothing was changed",
        where=f"cloud {glance.cloud}",
        hint="let it end, then run this again",
    )


def require_turn(glance: Glance, name: str, own: str, lease: Lease) -> None:
    """Raises HostError where a living record of the name is older than ``own``."""
    for image in look(glance, name).begun:
        if image["id"] == own:
            return
        if _silence(glance, image) < lease.silence:
            raise busy(glance, name, image)
    raise HostError(
        f"image {own} was removed by another", where=f"cloud {glance.cloud}", hint="run it again when that is done"
    )


@contextlib.contextmanager
def alive(glance: Glance, image_id: str, lease: Lease) -> Iterator[None]:
    """Say every ``beat`` seconds that the publisher of an image lives."""
    stop = threading.Event()

    def beat() -> None:
        for number in itertools.count(1):
            if stop.wait(lease.beat):
                return
            with contextlib.suppress(GoldsmithError):
                said = f"{number} {format_datetime(glance.now) if glance.now else ''}".strip()
                glance.patch(image_id, [{"op": "add", "path": f"/{names.BEAT}", "value": said}])

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
