"""Whose turn it is, from claims as Glance lists them and by its clock alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goldsmith.errors import HostError
from goldsmith.host.progress import Progress
from goldsmith.publish.glance import claim, names
from goldsmith.publish.glance.claim import Lease
from goldsmith.publish.glance.service import Image

#: another century than the host's clock says
START = datetime(2199, 1, 1, tzinfo=UTC)
LEASE = Lease(silence=0.2, beat=60)
QUIET = Progress(quiet=True)


def _at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class StandIn:
    """Claims, by id: when each was made, and when it last gave a sign of life, in seconds of the server's clock."""

    cloud = "stand-in"

    def __init__(self, now: float, **claims: tuple[float, float]) -> None:
        self.now = START + timedelta(seconds=now)
        self.claims = claims
        self.deleted: list[str] = []
        self.beating: set[str] = set()
        self.listings = 0

    def images(self, **query: str) -> list[Image]:
        if "name" in query:
            return []
        self.listings += 1
        return [self._image(name, made, seen) for name, (made, seen) in self.claims.items()]

    def _image(self, name: str, made: float, seen: float) -> Image:
        seen += self.listings if name in self.beating else 0
        facts: dict[str, Any] = {"os_hidden": True, "status": "queued", names.NAME: "web", names.CLAIM: name}
        return {"id": name, "created_at": _at(made), "updated_at": _at(seen), **facts}

    def delete(self, image_id: str) -> None:
        self.deleted.append(image_id)
        del self.claims[image_id]


def _wait(glance: StandIn, own: str) -> None:
    claim._wait_for_turn(glance, "web", own, LEASE, QUIET)  # type: ignore[arg-type]


def _require(glance: StandIn, own: str) -> None:
    claim.require_turn(glance, "web", own, LEASE)  # type: ignore[arg-type]


def test_alone_and_first_it_is_our_turn() -> None:
    glance = StandIn(5, own=(1, 1), later=(2, 2))
    _wait(glance, "own")
    _require(glance, "own")
    assert glance.deleted == []


def test_the_dead_before_us_are_removed_and_those_behind_us_left() -> None:
    glance = StandIn(100, dead=(1, 2), older=(0, 0), own=(50, 50), behind=(60, 60))
    _wait(glance, "own")
    assert sorted(glance.deleted) == ["dead", "older"]


def test_one_that_gives_a_sign_of_life_is_not_waited_for() -> None:
    glance = StandIn(0, living=(0, 0), own=(1, 1))
    glance.beating = {"living"}
    with pytest.raises(HostError, match=r"was first \(claim living\)"):
        _wait(glance, "own")
    assert glance.deleted == []


def test_of_one_second_the_lower_id_is_first() -> None:
    glance = StandIn(1, a=(1, 1), b=(1, 1))
    _require(glance, "a")
    with pytest.raises(HostError, match="claim a"):
        _require(glance, "b")


def test_the_dead_do_not_hold_the_switch_up() -> None:
    _require(StandIn(100, dead=(0, 0), own=(1, 1)), "own")


def test_whose_claim_was_removed_may_not_go_on() -> None:
    for ask in (_wait, _require):
        with pytest.raises(HostError, match="removed by another"):
            ask(StandIn(1, other=(0, 0)), "own")
