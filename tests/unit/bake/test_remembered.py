"""The pointer from a recipe to its image: kept, and forgotten where it is damaged."""

import json
from pathlib import Path

import pytest
from bake_help import make_plan

from goldsmith.bake.remembered import Pointer, recall, remember
from goldsmith.settings import Settings, from_environment

KEY = "a" * 64


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return from_environment({"HOME": str(tmp_path)})


def _file(settings: Settings) -> Path:
    return settings.cache_dir / "recipes/test.json"


def test_what_was_remembered_is_recalled(settings: Settings) -> None:
    plan = make_plan()
    assert recall(plan, settings) is None
    remember(plan, settings, KEY, {"http://mirror.example/debian/dists/trixie": "1"})
    assert recall(plan, settings) == Pointer(
        key=KEY,
        plan_digest=plan.digest,
        inputs=plan.inputs,
        suites={"http://mirror.example/debian/dists/trixie": "1"},
    )


def test_the_last_one_counts_whatever_its_inputs_were(settings: Settings) -> None:
    old, new = make_plan(packages="1"), make_plan(packages="2")
    remember(old, settings, KEY, {})
    remember(new, settings, "b" * 64, {})
    for plan in (old, new):
        pointer = recall(plan, settings)
        assert pointer is not None
        assert (pointer.key, pointer.plan_digest) == ("b" * 64, new.digest)
        assert pointer.inputs["packages"] == "2"


def test_each_recipe_has_its_own(settings: Settings) -> None:
    remember(make_plan("one"), settings, KEY, {})
    assert recall(make_plan("two"), settings) is None


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"{}", b"\xff\xfe",
        json.dumps({"key": KEY, "plan_digest": "d", "inputs": {}}).encode(),
        json.dumps({"key": KEY, "plan_digest": "d", "inputs": {}, "suites": None}).encode(),
        json.dumps({"key": KEY, "plan_digest": "d", "inputs": {}, "suites": {}, "other": 1}).encode(),
        json.dumps({"key": "../../etc", "plan_digest": "d", "inputs": {}, "suites": {}}).encode(),
        json.dumps({"key": 7, "plan_digest": "d", "inputs": {}, "suites": {}}).encode(),
    ],
)  # fmt: skip
def test_a_damaged_pointer_points_nowhere(settings: Settings, content: bytes) -> None:
    _file(settings).parent.mkdir(parents=True)
    _file(settings).write_bytes(content)
    assert recall(make_plan(), settings) is None
    remember(make_plan(), settings, KEY, {})
    assert recall(make_plan(), settings) is not None


def test_a_folder_in_its_place(settings: Settings) -> None:
    _file(settings).mkdir(parents=True)
    assert recall(make_plan(), settings) is None
