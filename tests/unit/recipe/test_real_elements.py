"""The project's own elements and recipes are well-formed."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldsmith.recipe.elements import load_folder
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import make_plan
from goldsmith.settings import PROJECT_ROOT, from_environment

ELEMENTS = sorted(path for path in (PROJECT_ROOT / "elements").iterdir() if path.is_dir())
RECIPES = sorted((PROJECT_ROOT / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("folder", ELEMENTS, ids=lambda path: path.name)
def test_element(folder: Path) -> None:
    element = load_folder(folder)
    assert element.schema.get("summary"), "schema.yaml with a summary is missing"
    assert (folder / "README.rst").is_file()
    if element.checks:
        assert all(check.get("says") for check in element.checks)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_recipe(path: Path) -> None:
    settings = from_environment({"HOME": "/nonexistent", "PATH": "/usr/bin"})
    plan = make_plan(load(path, settings), settings)
    assert plan.checks


def test_the_recipe_in_the_documentation(tmp_path: Path) -> None:
    text = (PROJECT_ROOT / "docs" / "recipes.md").read_text()
    recipe = tmp_path / "web-13.yaml"
    recipe.write_text(text.split("```yaml\n")[1].split("```")[0])
    settings = from_environment({"HOME": "/nonexistent", "PATH": "/usr/bin"})
    assert make_plan(load(recipe, settings), settings).recipe.published_name == "Web 13"
