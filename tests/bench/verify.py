"""What verification costs, against a bare boot of the same image: `make bench`.

Each round measures, one after another on the same host and under the same accelerator: a boot of the image until the
login prompt stands on its serial console, with nothing asked; `goldsmith verify` of all its checks with one firmware;
the example suite of docs/ with a guest that it boots and saves; and the same suite on the saved guest.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from measure import Usage, measured, watched
from results import Promise, Row
from suite import GOLDSMITH, RECIPE, Job, Round, Suite, Workshop, main

from goldsmith.boot.accelerator import Accelerator, choose
from goldsmith.boot.channel import Channel
from goldsmith.boot.instance import Instance, make_nics
from goldsmith.host.deadline import Deadline
from goldsmith.settings import PROJECT_ROOT, Settings, from_environment
from goldsmith.verify.boots import BOOT_SECONDS
from goldsmith.verify.machines import NETWORKS, BootPlan, lab_machine
from goldsmith.verify.settle import LOGIN_PROMPT

EXAMPLE = PROJECT_ROOT / "docs" / "example-suite"
BARE, CHECKS = "bare boot to login", "goldsmith verify"
FIRST, SAVED = "pytest suite, first run", "pytest suite, saved guest"
SCENE = "Proving an image"
ROWS = (
    Row("verify", BARE, "the image with BIOS on the lab's networks, nothing is asked", False, (SCENE,)),
    Row("verify", CHECKS, "all checks of the recipe, with BIOS", True, (SCENE,)),
    Row("verify", FIRST, "docs/example-suite, which boots a guest and saves it", True, (SCENE,)),
    Row("verify", SAVED, "the same tests again, on the guest that was saved", True, (SCENE,)),
)
PROMISES = (Promise("verify", CHECKS, 1.15, BARE), Promise("verify", SAVED, 0.15, BARE))
PASSIVE = Channel("credential", "nothing is asked")


def bare_boot(image: Path, settings: Settings, accelerator: Accelerator) -> Usage:
    """From before the networks are made until a login prompt stands on ttyS0."""
    with watched() as watch, tempfile.TemporaryDirectory(prefix="goldsmith-bench-") as folder:
        plan = BootPlan(image, "qcow2", "bios", Path(folder), settings, accelerator, PASSIVE)
        with lab_machine(plan, NETWORKS, Instance(str(uuid.uuid4()), "bench", make_nics(NETWORKS))) as (machine, _):
            deadline = Deadline.after(BOOT_SECONDS * machine.scale)
            deadline.wait_for(
                lambda: re.search(LOGIN_PROMPT, machine.console.text(), re.MULTILINE), "a login prompt", interval=0.1
            )
            watch.stop()
    return watch.usage


def one_round(image: Path, settings: Settings, accelerator: Accelerator) -> Iterator[tuple[str, Job]]:
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(EXAMPLE)]
    checks: list[str | Path] = [GOLDSMITH, "verify", RECIPE, "--firmware", "bios", "--again"]
    yield BARE, lambda: bare_boot(image, settings, accelerator)
    yield CHECKS, lambda: measured(checks, settings.cache_dir)[0]
    with tempfile.TemporaryDirectory(prefix="goldsmith-bench-") as folder:
        suite += ["--goldsmith-image", str(image), "--goldsmith-artefacts", folder, str(EXAMPLE)]
        yield FIRST, lambda: measured([*suite, "--goldsmith-fresh"], settings.cache_dir)[0]
        yield SAVED, lambda: measured(suite, settings.cache_dir)[0]


@contextlib.contextmanager
def opened(workshop: Workshop) -> Iterator[Round]:
    """Builds the image."""
    settings = from_environment()
    accelerator = choose(settings)
    _, image = workshop.build(RECIPE)
    # Facts of the host and the image that are looked up once for good must not fall on whoever comes first.
    measured([GOLDSMITH, "verify", RECIPE, "--firmware", "bios", "--check", "goldsmith/settled"])
    yield lambda number: one_round(image, settings, accelerator)


SUITE = Suite(ROWS, PROMISES, opened)

if __name__ == "__main__":
    sys.exit(main(SUITE, __doc__))
