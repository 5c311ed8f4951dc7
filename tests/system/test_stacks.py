"""Every fix on every guest that goldsmith builds, whatever its networks do: `make matrix`.

Each recipe is built and booted with both firmwares as `make image` does it, then taken through the scenario of
stack_scenario.py; and so that this can be seen to fail, through as much of it as that takes without
single-default-route, and with the hook that everybody knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from stack_runs import DHCLIENT, ELEMENT, RECIPES, wrong
from stack_scenario import STEPS, Step
from system_help import claim_all

pytestmark = pytest.mark.matrix


def _guests(paths: Iterable[Path]) -> list[object]:
    return [pytest.param(path, id=path.stem) for path in paths]


@pytest.mark.parametrize("recipe", _guests(RECIPES))
def test_every_check_passes_with_both_firmwares(runs, proves, recipe: Path) -> None:
    published = runs(recipe).published
    claim_all(published, proves)
    assert published.returncode == 0, published.stderr[-6000:]


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("recipe", _guests(RECIPES))
def test_one_default_route_on_the_first_nic(runs, proves, recipe: Path, name: str) -> None:
    proves(ELEMENT, recipe.stem, "bios")
    steps = runs(recipe).steps["fixed"]
    assert name in steps, f"not reached: the scenario ended in {list(steps)[-1]!r}"
    step = steps[name]
    if step.skipped:
        pytest.skip(step.skipped)
    assert not step.problems, "\n".join([*step.problems, step.view])


@pytest.mark.parametrize("recipe", _guests(RECIPES))
def test_the_same_boot_without_the_element_fails(runs, proves, recipe: Path) -> None:
    proves(ELEMENT, recipe.stem, "bios")
    _must_fail(runs(recipe).steps["without"])


@pytest.mark.parametrize("recipe", _guests(DHCLIENT))
def test_the_hook_that_everybody_knows_fails(runs, proves, recipe: Path) -> None:
    proves(ELEMENT, recipe.stem, "bios")
    _must_fail(runs(recipe).steps["naive"])


def _must_fail(steps: dict[str, Step]) -> None:
    """The image's fault and not the harness's: the guest answered, and its routes or its units are wrong."""
    last = steps[list(steps)[-1]]
    assert "the step" not in last.findings, last.problems
    assert wrong(last), last.view
