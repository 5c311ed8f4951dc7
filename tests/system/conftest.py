"""Real builds and boots, shared as far as they go: three images, four boots."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from stack_runs import runs
from system_help import HERE, RECIPE, Result, Workshop

from goldsmith.bake.build import build
from goldsmith.boot.accelerator import Accelerator, choose
from goldsmith.host.progress import Progress
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.settings import PROJECT_ROOT, from_environment
from goldsmith.verify.report import Report
from goldsmith.verify.session import verify_image

__all__ = ["runs"]


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


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    # The cache stays between runs: images are kept by the digest of their inputs, so nothing stale is ever used.
    environment = {
        **os.environ,
        "GOLDSMITH_CACHE": str(PROJECT_ROOT / "build" / "test-cache"),
        "GOLDSMITH_IMAGES": str(tmp_path_factory.mktemp("images")),
        "CI": "true",
    }
    return Workshop(environment, from_environment(environment))


@pytest.fixture(scope="session")
def accelerator(workshop: Workshop) -> Accelerator:
    return choose(workshop.settings)


@pytest.fixture(scope="session")
def whole_host() -> threading.Lock:
    """Held by whoever builds or verifies while guests of the matrix may run: two of them at once starve all guests."""
    return threading.Lock()


@dataclass(frozen=True)
class Remains:
    """What was left a moment after a build was killed with SIGKILL while a line of its progress said ``during``."""

    during: str
    processes: list[str]
    mounts: list[str]
    loop_devices: list[str]
    images: list[str]


def _processes(cache: str) -> list[str]:
    """Processes of a build: all of them have its cache's path in their arguments or their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (folder / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if cache in words or cache in environment:
            found.append(words)
    return found


def _images(workshop: Workshop) -> set[str]:
    """What could be taken for an image, in the catalogue and in the store."""
    folders = [workshop.settings.images_dir, workshop.settings.cache_dir / "artefacts" / "image"]
    return {str(p) for folder in folders for p in folder.glob("*") if not p.name.startswith((".part-", ".lock-"))}


def _remains(workshop: Workshop, during: str, images_before: set[str]) -> Remains:
    cache = str(workshop.settings.cache_dir)
    deadline = time.monotonic() + 10
    while _processes(cache) and time.monotonic() < deadline:
        time.sleep(0.2)
    loops = subprocess.run(["losetup", "--list", "--output", "BACK-FILE"], capture_output=True, text=True).stdout
    return Remains(
        during,
        processes=_processes(cache),
        mounts=[line for line in Path("/proc/self/mountinfo").read_text().splitlines() if cache in line],
        loop_devices=[line for line in loops.splitlines() if cache in line],
        images=sorted(_images(workshop) - images_before),
    )


def _kill_while(workshop: Workshop, line: str, after: float) -> Remains:
    """Start a build, wait for a line of its progress and ``after`` seconds more, and kill it."""
    before = _images(workshop)
    process = subprocess.Popen(
        workshop.command("build", "--again", RECIPE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=workshop.environment,
        cwd=PROJECT_ROOT,
    )
    try:
        assert process.stderr is not None
        seen = []
        for text in process.stderr:
            seen.append(text)
            if "..." in text and line in text:
                break
        else:
            pytest.fail(f"the build never came to {line!r}:\n{''.join(seen)}")
        time.sleep(after)
        assert process.poll() is None, "the build had ended before it was killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return _remains(workshop, line, before)


@pytest.fixture(scope="session")
def killed(workshop: Workshop) -> list[Remains]:
    """Builds killed in the middle of DIB, and while the qcow2 is written."""
    return [_kill_while(workshop, "tree (diskimage-builder)", 15), _kill_while(workshop, "compressed qcow2", 0.5)]


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
