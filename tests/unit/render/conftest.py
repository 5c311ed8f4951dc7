"""A workplace with its own elements folder, and a root to boot in."""

from __future__ import annotations

from pathlib import Path

import pytest
from render_help import Root

from workplace import Workplace, workplace


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    return workplace(tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")
