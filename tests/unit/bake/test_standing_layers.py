"""Which layers a plan says are kept: held against what builds leave in the store."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import test_bake
from bake_help import EPOCH, make_plan
from test_bake import Oven

from goldsmith.bake import build as bake
from goldsmith.bake.archive import Archive
from goldsmith.bake.build import Standing
from goldsmith.bake.standing_layers import standing_layers
from goldsmith.host.progress import Progress
from goldsmith.recipe.plan import Plan

pytestmark = test_bake.pytestmark
oven = test_bake.oven
NOW = Archive({"suite": "a" * 64}, EPOCH, "amd64")
LATER = Archive({"suite": "b" * 64}, EPOCH + 86400, "amd64")
NAMES = ("base tree", "initramfs", "base disk", "elements")


@pytest.fixture
def built(oven: Oven, monkeypatch: pytest.MonkeyPatch) -> Oven:
    """Whose store has what a build leaves there."""
    monkeypatch.setattr(bake, "require_space", lambda *words: None)
    monkeypatch.setattr(bake, "look", lambda *words: Standing(None, ("because",), NOW))
    bake.build(make_plan(), oven.settings, Progress(quiet=True))
    return oven


def kept(oven: Oven, plan: Plan, archive: Archive | None = NOW) -> tuple[bool, ...]:
    layers = standing_layers(plan, archive, oven.settings)
    assert tuple(layer.name for layer in layers) == NAMES
    return tuple(layer.kept for layer in layers)


def test_of_an_empty_store_nothing_is_kept(oven: Oven) -> None:
    assert kept(oven, make_plan()) == (False, False, False, False)
    assert not (oven.settings.cache_dir / "artefacts").exists()


@pytest.mark.parametrize(
    ("differs", "archive", "expected"),
    [
        ({"an_elements_file": "2"}, NOW, (True, True, True, False)),
        ({"recipe": {"disk": {"size": "2GiB"}}, "disk": "2"}, NOW, (True, True, False, False)),
        ({"code:bake/ext4.py": "2"}, NOW, (True, True, False, False)),
        ({"code:bake/initramfs.sh": "2"}, NOW, (True, False, True, False)),
        ({"tool:mke2fs": "2"}, NOW, (False, False, False, False)),
        ({"environment": {"DIB_OF_MINE": "1"}, "parameters": "2"}, NOW, (False, False, False, False)),
        ({}, LATER, (False, False, False, False)),
        ({"an_elements_file": "2"}, None, (False, False, False, False)),
        # The very image is there.
        ({}, NOW, (True, True, True, True)),
    ],
)
def test_what_differs_decides_which_layers_are_kept(
    built: Oven, differs: Mapping[str, Any], archive: Archive | None, expected: tuple[bool, ...]
) -> None:
    assert kept(built, make_plan(**differs), archive) == expected


@pytest.mark.parametrize("differs", [{"an_elements_file": "2"}, {"tool:mke2fs": "2"}])
def test_a_build_makes_what_was_said(built: Oven, differs: Mapping[str, Any]) -> None:
    plan = make_plan(**differs)
    store = built.settings.cache_dir / "artefacts"
    before = set(store.glob("*/[0-9a-f]*"))
    tree, started, disk, _ = kept(built, plan)
    bake.build(plan, built.settings, Progress(quiet=True))
    made = [path.parent.name for path in store.glob("*/[0-9a-f]*") if path not in before]
    assert tuple(kind not in made for kind in ("tree", "initramfs", "disk")) == (tree, started, disk)
    assert kept(built, plan) == (True, True, True, True)


def test_what_went_is_not_kept(built: Oven) -> None:
    (tree,) = (built.settings.cache_dir / "artefacts/tree").glob("[0-9a-f]*")
    shutil.rmtree(tree)
    assert kept(built, make_plan(an_elements_file="2")) == (False, True, True, False)


def test_a_base_that_is_an_image_has_no_such_layers(oven: Oven, tmp_path: Path) -> None:
    plan = make_plan(recipe={"base": {"image": "x.qcow2", "sha256": "a" * 64}})
    assert standing_layers(plan, None, oven.settings) == ()
