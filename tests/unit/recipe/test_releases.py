"""Which bases can be built, and what is said of those that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldsmith.recipe import dib
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import make_plan
from goldsmith.recipe.releases import DISTRIBUTIONS, judge
from goldsmith.settings import PROJECT_ROOT, from_environment

SETTINGS = from_environment({"HOME": "/nonexistent", "PATH": "/usr/bin"})


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_dib_has_the_element_and_it_knows_the_releases(name: str) -> None:
    distribution = DISTRIBUTIONS[name]
    folder = dib.elements_folder() / distribution.element
    assert folder.is_dir()
    containers = folder / "containerfiles"
    if containers.is_dir():
        assert set(distribution.releases) <= {path.name for path in containers.iterdir()}


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (("debian", "bullseye", "amd64"), None),
        (("ubuntu", "noble", "amd64"), None),
        (("rocky", "9", "amd64"), None),
        (("ubuntu", "24.04", "amd64"), ("release", "did you mean `noble`")),
        (("ubuntu", "trixie", "amd64"), ("release", None)),
        (("rocky", "9.6", "amd64"), ("release", None)),
        (("rocy", "9", "amd64"), ("distribution", "did you mean `rocky`")),
        (("ubuntu", "noble", "amd63"), ("architecture", "did you mean `amd64`")),
    ],
)
def test_judgement(base: tuple[str, str, str], said: tuple[str, str | None] | None) -> None:
    found = judge(*base)
    assert [(field, hint) for field, _, hint in found if said and said[1]] == ([said] if said and said[1] else [])
    assert [field for field, _, _ in found] == ([said[0]] if said else [])


@pytest.mark.parametrize(
    ("recipe", "element", "properties"),
    [
        ("ubuntu-24.04", "ubuntu-minimal", {"os_distro": "ubuntu", "os_version": "24.04"}),
        ("rocky-9", "rocky-container", {"os_distro": "rocky", "os_version": "9"}),
    ],
)
def test_the_recipes(recipe: str, element: str, properties: dict[str, str]) -> None:
    plan = make_plan(load(Path(PROJECT_ROOT / "recipes" / f"{recipe}.yaml"), SETTINGS), SETTINGS)
    assert plan.dib_elements[0] == element
    assert plan.environment["DIB_RELEASE"] == plan.recipe.base.release
    assert plan.environment["DIB_CLOUD_INIT_DATASOURCES"] == "ConfigDrive, OpenStack"
    assert properties.items() <= plan.properties.items()
