"""What is read off a cloud's images, and the operations that follow: without a cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from goldsmith.errors import InputError
from goldsmith.publish.glance import names, state
from goldsmith.publish.glance.service import Image


class StandIn:
    """Images as Glance lists them, by equal attributes."""

    cloud = "stand-in"

    def __init__(self, *images: Image) -> None:
        self._images = images

    def images(self, *, hidden: Sequence[bool] = (False, True), **query: str) -> list[Image]:
        return [
            image
            for image in self._images
            if image["os_hidden"] in hidden and all(image.get(key) == value for key, value in query.items())
        ]


def _image(image_id: str, second: int = 0, **more: Any) -> Image:
    facts = {"name": "web", "os_hidden": False, "status": "active", "created_at": f"2026-01-01T00:00:{second:02}Z"}
    return {"id": image_id, **facts, names.NAME: "web", **more}


def _look(*images: Image) -> state.State:
    return state.look(StandIn(*images), "web")  # type: ignore[arg-type]


def _ids(images: tuple[Image, ...]) -> list[str]:
    return [image["id"] for image in images]


def test_nothing_is_there() -> None:
    assert _look(_image("other", name="else", **{names.NAME: "else"})) == state.State(None, (), (), ())


def test_each_kind_is_told_by_its_marks() -> None:
    found = _look(
        _image("former", os_hidden=True, name="web.replaced-1"),
        _image("unfinished", os_hidden=True, status="queued"),
        _image("begun", os_hidden=True, name="web.staged-1", status="queued", **{names.STAGED: "claim"}),
        _image("claim", os_hidden=True, name="web.claim", status="queued", **{names.CLAIM: "x"}),
        _image("current"),
    )
    assert found.current is not None and found.current["id"] == "current"
    kinds = (_ids(found.former), _ids(found.begun), _ids(found.claims))
    assert kinds == (["former"], ["begun"], ["claim"])


def test_an_image_of_the_name_that_others_uploaded_is_current() -> None:
    foreign = _image("foreign")
    del foreign[names.NAME]
    assert _look(foreign).current == foreign


def test_former_ones_are_sorted_the_newest_first_after_the_previous_one() -> None:
    former = [_image(name, second, os_hidden=True) for name, second in (("b", 2), ("a", 1), ("d", 3), ("c", 3))]
    assert _ids(_look(*former).former) == ["d", "c", "b", "a"]
    current = _image("now", 9, **{names.PREVIOUS: "a"})
    assert _ids(_look(current, *former).former) == ["a", "d", "c", "b"]


def test_claims_are_sorted_the_oldest_first_and_of_one_second_by_id() -> None:
    claims = [
        _image(name, second, os_hidden=True, **{names.CLAIM: name}) for name, second in (("z", 1), ("b", 2), ("a", 2))
    ]
    assert _ids(_look(*claims).claims) == ["z", "a", "b"]


def test_two_visible_ones_are_nobodys_to_choose() -> None:
    with pytest.raises(InputError, match="2 images are called 'web': one, two") as caught:
        _look(_image("one"), _image("two"))
    assert caught.value.where == "cloud stand-in"


def test_compare_without_an_image_adds_all() -> None:
    changes = state.compare(None, {"os_type": "linux"})
    assert (changes.add, changes.change, changes.remove) == ({"os_type": "linux"}, {}, {})
    assert changes


def test_compare_tells_adding_from_changing_from_removing() -> None:
    image = _image("one", os_type="windows", hw_disk_bus="virtio", department="physics", os_glance_stage_host="x")
    wanted = {names.NAME: "web", "os_type": "linux", "hw_disk_bus": "virtio", "os_distro": "debian"}
    changes = state.compare(image, wanted)
    assert changes.add == {"os_distro": "debian"}
    assert changes.change == {"os_type": ("windows", "linux")}
    assert changes.remove == {"department": "physics"}


def test_compare_leaves_provenance_to_who_made_the_image() -> None:
    image = _image("one", goldsmith_build="old")
    assert not state.compare(image, {})
    assert state.compare(image, {"goldsmith_build": "new"}).change == {"goldsmith_build": ("old", "new")}


def test_operations_are_one_patch_to_exactly_what_is_wanted() -> None:
    image = _image("one", os_type="windows", zebra="1", department="physics", os_glance_stage_host="x")
    wanted = {names.NAME: "web", "os_type": "linux", "os_distro": "debian"}
    assert state.operations(image, wanted, os_hidden=True, name="web") == [
        {"op": "replace", "path": "/os_type", "value": "linux"},
        {"op": "add", "path": "/os_distro", "value": "debian"},
        {"op": "replace", "path": "/os_hidden", "value": True},
        {"op": "remove", "path": "/department"},
        {"op": "remove", "path": "/zebra"},
    ]
    assert (
        state.operations(image, {names.NAME: "web", "os_type": "windows", "zebra": "1", "department": "physics"}) == []
    )
