"""A workplace with its own elements folder, so that nothing depends on the project's elements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from recipe_help import NETWORKD, Workplace

from goldsmith.settings import from_environment


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    elements = tmp_path / "elements"
    elements.mkdir()
    settings = from_environment({"HOME": str(tmp_path), "PATH": "/usr/bin"})
    return Workplace(tmp_path, replace(settings, elements_path=(elements,)))


@pytest.fixture
def networkd(work: Workplace) -> Path:
    """An element with a parameter of each kind."""
    return work.element("networkd", schema=NETWORKD)
