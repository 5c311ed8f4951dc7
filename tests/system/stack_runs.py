"""What each guest of the matrix goes through, beside whatever else is tested: most of it is waiting."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from stack_scenario import STEPS, Step, as_documents, run_scenario
from system_help import Result

from goldsmith.bake.build import build
from goldsmith.boot.channel import GuestFile
from goldsmith.host.files import write_json
from goldsmith.host.progress import Progress
from goldsmith.recipe.loader import load
from goldsmith.recipe.model import Recipe
from goldsmith.recipe.plan import make_plan
from goldsmith.settings import PROJECT_ROOT

#: the recipes that can be built where only Debian's packages are at hand
RECIPES = sorted((PROJECT_ROOT / "recipes").glob("debian-*.yaml"))
DHCLIENT = [path for path in RECIPES if path.stem in ("debian-11", "debian-12")]
ELEMENT = "single-default-route"
#: the steps that a guest without the element goes through until one goes wrong.  The ifupdown of one that starts its
#: NICs one after another gets the first boot right by luck, and loses the choice when the first NIC loses its lease.
CONTROL_STEPS = ("first boot", "server away")
#: the well-known hook; the NIC's name is the one that the first slot gives
NAIVE = GuestFile(
    "/etc/dhcp/dhclient-enter-hooks.d/no-default-route",
    b'case "$reason" in BOUND|REBOOT) [ "$interface" = ens3 ] || unset new_routers ;; esac\n',
)


def wrong(step: Step) -> list[str]:
    """What is wrong with the IPv4 routes, or the units: an ifupdown guest can pay with a failed networking.service.

    IPv6 does not count: what everybody knows is about IPv4.
    """
    return [text for what, texts in step.findings.items() if "IPv4" in what or what == "units" for text in texts]


@dataclass(frozen=True)
class Run:
    """What a guest went through: `goldsmith run` of its recipe, and its steps by variant: fixed, without, naive."""

    published: Result
    steps: dict[str, dict[str, Step]]


def _without_element(recipe: Recipe) -> Recipe:
    kept = tuple(use for use in recipe.elements if use.name != ELEMENT)
    assert len(kept) == len(recipe.elements) - 1, f"{recipe.name} is no recipe with {ELEMENT}"
    return recipe.model_copy(update={"elements": kept, "name": f"{recipe.name}-without"})


@pytest.fixture(scope="session")
def runs(request, workshop, accelerator, whole_host: threading.Lock) -> Iterator[Callable[[Path], Run]]:
    """Takes all guests of this session through everything, three at a time, of which one is built and verified.

    A scenario is mostly waiting for leases to end; a verification keeps the whole host busy.
    """
    settings = workshop.settings

    def walk(path: Path, variant: str, image: Path) -> dict[str, Step]:
        folder = settings.cache_dir / "reports" / f"{path.stem}-{variant}"
        steps = {}
        course = run_scenario(
            image,
            settings,
            accelerator,
            folder,
            steps=STEPS if variant == "fixed" else CONTROL_STEPS,
            guest_files=[NAIVE] if variant == "naive" else [],
        )
        with contextlib.closing(course):
            for step in course:
                steps[step.name] = step
                # Minutes lie between two steps: whoever waits can read how far it is.
                write_json(folder / "steps.json", {"recipe": path.stem, "steps": as_documents(steps.values())})
                if variant != "fixed" and wrong(step):
                    break
        return steps

    def run(path: Path) -> Run:
        with whole_host:
            published = workshop.goldsmith("run", path)
            if "recipes" not in published.document:
                return Run(published, {})
            without = build(make_plan(_without_element(load(path, settings)), settings), settings, Progress()).image
        steps = {"fixed": walk(path, "fixed", Path(published.document["recipes"][0]["image"]))}
        steps["without"] = walk(path, "without", without)
        if path in DHCLIENT:
            steps["naive"] = walk(path, "naive", without)
        return Run(published, steps)

    asked = {item.callspec.params["recipe"] for item in request.session.items if "runs" in item.fixturenames}
    with ThreadPoolExecutor(max_workers=3) as pool:
        futures = {path: pool.submit(run, path) for path in sorted(asked, reverse=True)}
        yield lambda path: futures[path].result()
