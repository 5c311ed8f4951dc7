"""Real builds and boots, shared as far as they go: three images, four boots."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cloud_services import between, cloud, member
from early_jobs import EarlyJobs
from killed_builds import Remains, kill_while
from stack_runs import runs
from system_help import HERE, RECIPE, Result, Workshop, workshop_in

from goldsmith.bake.build import build
from goldsmith.boot.accelerator import Accelerator, choose
from goldsmith.host.progress import Progress
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.verify.report import Report
from goldsmith.verify.session import verify_image

__all__ = ["between", "cloud", "member", "runs"]


#: of the guests that do not boot, the one that is done at once
_QUICK = "test_bad_guests.py::test_it_ends_in_time_and_leaves_nothing[no-qemu]"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The guests that do not boot are mostly waited for: they begin before all other tests, and are looked at later."""
    for item in [item for item in items if item.nodeid.endswith(_QUICK)]:
        items.remove(item)
        items.insert(0, item)


@pytest.fixture(scope="session", autouse=True)
def early_guests(request: pytest.FixtureRequest) -> None:
    """The guests of the matrix take the longest, so they start before whatever else is asked for."""
    if any("runs" in item.fixturenames for item in request.session.items if isinstance(item, pytest.Function)):
        request.getfixturevalue("runs")


@pytest.fixture(scope="session", autouse=True)
def early(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EarlyJobs]:
    """What modules begin early, in a cache that no other test looks into."""
    modules = {item.module for item in request.session.items if isinstance(item, pytest.Function)}
    beginners = sorted((m for m in modules if hasattr(m, "begin_early")), key=lambda module: module.__name__)
    workshop = workshop_in("early-cache", tmp_path_factory.mktemp("images"))
    jobs = EarlyJobs(workshop, tmp_path_factory.mktemp("early"))
    try:
        for module in beginners:
            module.begin_early(jobs)
        yield jobs
    finally:
        jobs.close()


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return workshop_in("test-cache", tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def accelerator(workshop: Workshop) -> Accelerator:
    return choose(workshop.settings)


@pytest.fixture(scope="session")
def whole_host() -> threading.Lock:
    """Held by whoever builds or verifies while guests of the matrix may run: two of them at once starve all guests."""
    return threading.Lock()


@pytest.fixture(scope="session")
def killed(workshop: Workshop) -> list[Remains]:
    """Builds killed in the middle of DIB, and while the qcow2 is written."""
    return [kill_while(workshop, "tree (diskimage-builder)", 15), kill_while(workshop, "compressed qcow2", 0.5)]


@pytest.fixture(scope="session")
def golden(workshop: Workshop, killed: list[Remains], whole_host: threading.Lock) -> Result:
    """The main job, as the operator runs it, after two runs that were killed."""
    with whole_host:
        return workshop.goldsmith("run", RECIPE)


@pytest.fixture(scope="session")
def golden_plan(workshop: Workshop) -> Plan:
    return make_plan(load(RECIPE, workshop.settings), workshop.settings)


@pytest.fixture(scope="session")
def golden_image(golden: Result) -> Path:
    assert golden.returncode == 0, golden.stderr
    return Path(golden.document["recipes"][0]["image"])


@pytest.fixture(scope="session")
def controls(workshop: Workshop, accelerator: Accelerator, golden_plan: Plan) -> dict[str, Report]:
    """The golden image's checks on images that lack the elements: name of the control to its report."""
    settings = dataclasses.replace(
        workshop.settings, elements_path=(HERE / "elements", *workshop.settings.elements_path)
    )

    def verify(name: str) -> Report:
        progress = Progress()
        plan = make_plan(load(HERE / "recipes" / f"{name}.yaml", settings), settings)
        return verify_image(
            build(plan, settings, progress).image,
            golden_plan.checks,
            ("bios",),
            settings,
            progress,
            accelerator=accelerator,
            artefacts=settings.cache_dir / "reports" / name,
            target=name,
        )

    names = ("control-bare", "control-network")
    # Side by side: one guest starts one processor at a time.
    with ThreadPoolExecutor(max_workers=2) as pool:
        return dict(zip(names, pool.map(verify, names), strict=True))
