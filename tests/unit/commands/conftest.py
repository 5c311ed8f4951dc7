"""Recipes whose bake and verification only pretend."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from work_standins import CHECKS, World

from goldsmith.bake import build as bake
from goldsmith.boot.accelerator import Accelerator
from goldsmith.commands import verification, work


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path)
    element = tmp_path / "elements/marked"
    element.mkdir(parents=True)
    (element / "schema.yaml").write_text("summary: A mark.\n")
    (element / "checks.yaml").write_text(CHECKS)
    monkeypatch.setenv("ELEMENTS_PATH", str(element.parent))
    monkeypatch.setenv("GOLDSMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GOLDSMITH_IMAGES", str(tmp_path / "images"))
    monkeypatch.setattr(bake, "build", made.build)
    monkeypatch.setattr(bake, "look", made.look)
    monkeypatch.setattr(work, "look", made.look)
    monkeypatch.setattr(work.doctor, "examine", lambda settings: made.findings)
    monkeypatch.setattr(verification, "verify_image", made.verify)
    monkeypatch.setattr(verification.accelerator, "choose", lambda settings: Accelerator("tcg", "because", {}, 1.0))
    yield made
