"""Two publishers of one name: the claim that was made first wins, and shows while its publisher works that he lives.

A claim is a record of its own, hidden and without data.  Not a property of the image that is uploaded: Glance
saves the whole record at a PATCH, so a sign of life could meet the end of an upload and take its status back.
Only the server's clock counts: created_at, updated_at and the Date of its answers.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from goldsmith.errors import GoldsmithError, HostError
from goldsmith.host.deadline import Deadline
from goldsmith.host.progress import Progress
from goldsmith.publish.glance import names, state
from goldsmith.publish.glance.service import Glance, Image


@dataclass(frozen=True)
class Lease:
    """Seconds: after ``silence`` without a sign of life, given every ``beat``, a publisher is taken for dead."""

    silence: float = 60
    beat: float = 15


@contextlib.contextmanager
def claimed(glance: Glance, name: str, lease: Lease, progress: Progress) -> Iterator[str]:
    """Claim a name for the body; gives the claim's id.

    Removes claims of the dead; waits for that, as long as the lease at the most.  Raises HostError where a living
    publisher was first.
    """
    document = {"name": f"{name}.claim", "visibility": "private", "os_hidden": True}
    own = str(glance.create({**document, names.NAME: name, names.CLAIM: uuid.uuid4().hex})["id"])
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(glance, own, lease, stop), daemon=True)
    thread.start()
    try:
        _wait_for_turn(glance, name, own, lease, progress)
        yield own
    finally:
        stop.set()
        thread.join()
        # One that stays is taken for dead by the next run.
        with contextlib.suppress(GoldsmithError):
            glance.delete(own)


def _beat(glance: Glance, own: str, lease: Lease, stop: threading.Event) -> None:
    for number in itertools.count(1):
        if stop.wait(lease.beat):
            return
        with contextlib.suppress(GoldsmithError):
            glance.patch(own, [{"op": "add", "path": f"/{names.BEAT}", "value": str(number)}])


def _wait_for_turn(glance: Glance, name: str, own: str, lease: Lease, progress: Progress) -> None:
    first: dict[str, str] = {}
    deadline = Deadline.after(lease.silence + 5)
    while older := _older(glance, name, own):
        for image in older:
            changed = first.setdefault(image["id"], image["updated_at"]) != image["updated_at"]
            if _silence(glance, image) >= lease.silence:
                glance.delete(image["id"])
            elif changed or deadline.passed:
                raise _busy(glance, name, image)
        progress.note(f"{glance.cloud}: seeing whether another publication of {name} is alive")
        time.sleep(min(1, lease.silence / 4))


def _older(glance: Glance, name: str, own: str) -> list[Image]:
    claims = state.claims(glance, name)
    if own not in [image["id"] for image in claims]:
        raise HostError("the claim was removed by another", where=f"cloud {glance.cloud}", hint="run it again")
    return list(itertools.takewhile(lambda image: image["id"] != own, claims))


def _silence(glance: Glance, image: Image) -> float:
    """Seconds since its last sign of life, by the server's clock."""
    assert glance.now is not None
    last = datetime.fromisoformat(image["updated_at"].replace("Z", "+00:00"))
    return (glance.now - last).total_seconds()


def _busy(glance: Glance, name: str, other: Image) -> HostError:
    return HostError(
        f"another publication of {name!r} is under way and was first (claim {other['id']}); nothing was changed",
        where=f"cloud {glance.cloud}",
        hint="let it end, then run this again",
    )


def require_turn(glance: Glance, name: str, own: str, lease: Lease) -> None:
    """Once more, before the switch: claims of one second are ordered by their ids, and one may have come since."""
    for image in _older(glance, name, own):
        if _silence(glance, image) < lease.silence:
            raise _busy(glance, name, image)
