"""A workplace with its own elements folder, and a root to boot in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from render_help import Root, Workplace

from goldsmith.settings import from_environment


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    elements = tmp_path / "elements"
    elements.mkdir()
    settings = from_environment({"HOME": str(tmp_path), "PATH": "/usr/bin"})
    return Workplace(tmp_path, replace(settings, elements_path=(elements,)))


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")
