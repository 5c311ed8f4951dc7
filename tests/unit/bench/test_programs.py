"""The programs of the benchmark agree with themselves; nothing is measured here."""

from __future__ import annotations

import argparse
from pathlib import Path

import build
import everything
import pytest
from suite import Suite, Workshop

from goldsmith.errors import HostError
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import make_plan


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> build.Bench:
    monkeypatch.setenv("GOLDSMITH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return build.Bench(Workshop(tmp_path, argparse.Namespace()))


@pytest.mark.parametrize("suite", everything.SUITES, ids=lambda suite: suite.rows[0].suite)
def test_promises_are_about_rows_of_their_suite(suite: Suite) -> None:
    names = [row.name for row in suite.rows]
    assert len(set(names)) == len(names)
    assert len({row.suite for row in suite.rows} | {promise.suite for promise in suite.promises}) == 1
    assert {name for each in suite.promises for name in (each.row, each.against) if name} <= set(names)
    assert suite.promises


def test_a_round_of_builds_measures_every_row_once(bench: build.Bench) -> None:
    mkosi = build.Mkosi(bench.folder / "mkosi", ["bash"], *bench.plan())
    names = [name for name, _ in build.one_round(bench, mkosi, 0)]
    assert sorted(names) == sorted(row.name for row in build.ROWS)


def test_recipes_differ_and_are_good(bench: build.Bench) -> None:
    plans = [make_plan(load(path, bench.settings), bench.settings) for path in bench.recipes(8)]
    assert len({plan.recipe.name for plan in plans}) == 8
    assert len({str(plan.environment) for plan in plans}) == 8
    other = bench.recipe("debian-13", **{"metadata-frugal": {"max_wait": 99}})
    changed = make_plan(load(other, bench.settings), bench.settings)
    assert changed.environment["DIB_METADATA_FRUGAL_MAX_WAIT"] == "99"
    assert bench.plan()[0].environment["DIB_METADATA_FRUGAL_MAX_WAIT"] != "99"


def test_a_changed_file_is_the_copys(bench: build.Bench) -> None:
    own = build.PROJECT_ROOT / "elements" / build.CHANGED
    before = own.read_bytes()
    bench.change_file(7)
    assert own.read_bytes() == before
    assert (bench.elements / build.CHANGED).read_bytes() == before + b"# 7\n"
    assert bench.elements in bench.plan()[1].elements_path


def test_cold_keeps_downloads_alone(bench: build.Bench) -> None:
    cache = bench.settings.cache_dir
    for name in ("dib/apt", "artefacts/tree", "recipes", "of-tomorrow"):
        (cache / name).mkdir(parents=True)
    (cache / "dib.lock").touch()
    bench.forget()
    assert sorted(path.name for path in cache.iterdir()) == ["dib", "dib.lock"]
    assert (cache / "dib/apt").is_dir()


def test_a_mkosi_that_is_not_there_is_said(bench: build.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mkosi_disk.PROGRAM", Path("/nonexistent/mkosi"))
    mkosi = build.Mkosi(bench.folder / "mkosi", ["bash"], *bench.plan())
    with pytest.raises(HostError, match="mkosi is not installed"):
        mkosi.cold()
