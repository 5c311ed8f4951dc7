"""One default route, whatever network stack the guest has and whatever its networks do: `make matrix`.

Each recipe recipes/stack-*.yaml is built and taken through the scenario, and so that the scenario can be seen to fail,
through its first step without the element, and with the hook that everybody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import pytest
from stack_scenario import STEPS, Step, as_documents, run_scenario

from goldsmith.bake.build import build
from goldsmith.boot.channel import GuestFile
from goldsmith.host.files import write_json
from goldsmith.host.progress import Progress
from goldsmith.recipe.loader import load
from goldsmith.recipe.model import Recipe
from goldsmith.recipe.plan import make_plan

pytestmark = pytest.mark.matrix

HERE = Path(__file__).parent
RECIPES = sorted((HERE / "recipes").glob("stack-*.yaml"))
ELEMENT = "single-default-route"
DHCLIENT = "isc-dhcp-client"
#: the well-known hook; the NIC's name is the one that the first slot gives
NAIVE = GuestFile(
    "/etc/dhcp/dhclient-enter-hooks.d/no-default-route",
    b'case "$reason" in BOUND|REBOOT) [ "$interface" = ens3 ] || unset new_routers ;; esac\n',
)


@dataclass(frozen=True)
class Run:
    """A stack's way through the scenario."""

    channel: str
    steps: dict[str, Step]


Runner = Callable[[Path, str], Run]


def _without_element(recipe: Recipe) -> Recipe:
    kept = tuple(use for use in recipe.elements if use.name != ELEMENT)
    assert len(kept) == len(recipe.elements) - 1, f"{recipe.name} is no recipe with {ELEMENT}"
    return recipe.model_copy(update={"elements": kept, "name": f"{recipe.name}-without"})


@pytest.fixture(scope="session")
def scenario(workshop, accelerator) -> Runner:
    """Runs a recipe through the scenario once, however many tests look at it; variants: fixed, without, naive."""
    settings = replace(workshop.settings, elements_path=(HERE / "elements", *workshop.settings.elements_path))

    @lru_cache
    def runner(path: Path, variant: str) -> Run:
        recipe = load(path, settings)
        fixed = variant == "fixed"
        plan = make_plan(recipe if fixed else _without_element(recipe), settings)
        image = build(plan, settings, Progress()).image
        folder = settings.cache_dir / "reports" / f"{recipe.name}-{variant}"
        channel, steps = run_scenario(
            image,
            settings,
            accelerator,
            folder,
            steps=STEPS if fixed else STEPS[:1],
            guest_files=[NAIVE] if variant == "naive" else [],
        )
        write_json(folder / "steps.json", {"recipe": recipe.name, "channel": channel, "steps": as_documents(steps)})
        return Run(channel, {step.name: step for step in steps})

    return runner


def _naive_recipes() -> list[Path]:
    return [path for path in RECIPES if DHCLIENT in path.read_text()]


def _names(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("recipe", RECIPES, ids=_names)
@pytest.mark.parametrize("name", STEPS)
def test_one_default_route_on_the_first_nic(scenario: Runner, recipe: Path, name: str) -> None:
    steps = scenario(recipe, "fixed").steps
    assert name in steps, f"not reached: the scenario ended in {list(steps)[-1]!r}"
    step = steps[name]
    if step.skipped:
        pytest.skip(step.skipped)
    assert not step.problems, "\n".join([*step.problems, step.view])


@pytest.mark.parametrize("recipe", RECIPES, ids=_names)
def test_the_same_boot_without_the_element_fails(scenario: Runner, recipe: Path) -> None:
    _must_fail(scenario(recipe, "without").steps["first boot"])


@pytest.mark.parametrize("recipe", _naive_recipes(), ids=_names)
def test_the_hook_that_everybody_knows_fails(scenario: Runner, recipe: Path) -> None:
    _must_fail(scenario(recipe, "naive").steps["first boot"])


def _must_fail(step: Step) -> None:
    """The image's fault and not the harness's: the guest answered, and its routes or its units are wrong.

    An ifupdown guest keeps one default route, and pays with a failed networking.service.
    """
    assert "the step" not in step.findings, step.problems
    assert step.findings["IPv4 default route"] or step.findings["units"], step.view
