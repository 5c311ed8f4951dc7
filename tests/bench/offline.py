"""What an offline bake costs, against virt-customize doing the same edits: `make bench`.

Each round applies the four Linux elements to one image of a Debian built elsewhere, twice: by `goldsmith build`,
and by one virt-customize on an overlay, with the same scripts and files, followed by the same compression.  Both run
under the same accelerator.  The figures are medians of the rounds.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from measure import DEADLINE, Usage, watched
from results import Promise, Row
from suite import Job, Round, Suite, Workshop, main

from goldsmith.bake.disk import compression
from goldsmith.bake.offline import selection
from goldsmith.boot.accelerator import choose
from goldsmith.host.files import file_digest
from goldsmith.host.run import run
from goldsmith.recipe.loader import load
from goldsmith.recipe.model import Base
from goldsmith.recipe.plan import make_plan
from goldsmith.settings import PROJECT_ROOT, Settings, from_environment

sys.path.insert(0, str(PROJECT_ROOT / "tests" / "system"))

from foreign_images import ForeignImages
from test_linux_offline import ELEMENTS, PACKAGES

OURS, THEIRS = "goldsmith, offline", "virt-customize"
SCENE = "An existing image, four fixes"
ROWS = (
    Row("offline", THEIRS, "the same scripts and files in an overlay, compressed alike", False, (SCENE,)),
    Row("offline", OURS, "goldsmith build of a recipe whose base is the image", True, (SCENE,)),
)
PROMISES = (Promise("offline", OURS, 0.5, THEIRS),)
HOOKS = "/tmp/in_target.d"


def recipe_for(base: Path, folder: Path) -> Path:
    recipe = folder / "bench-offline.yaml"
    document = {
        "name": "bench-offline",
        "base": {"image": str(base), "sha256": file_digest(base)},
        "elements": [element for element in ELEMENTS if element != "generalize"],
        "disk": {"firmware": ["bios"]},
    }
    recipe.write_text(yaml.safe_dump(document))
    return recipe


def by_virt_customize(recipe: Path, base: Path, folder: Path, settings: Settings) -> Usage:
    """One virt-customize with the same payload, and the same compression."""
    plan = make_plan(load(recipe, settings), settings)
    chosen = selection.select(plan, settings)
    payload = selection.payload(plan, chosen, Base(distribution="debian", release="trixie"))
    archive = folder / "payload.tar.gz"
    archive.write_bytes(payload.archive)
    packages = selection.packages(plan, chosen, Base(distribution="debian", release="trixie"))
    environment = choose(settings).libguestfs_environment
    overlay, target = folder / "overlay.qcow2", folder / "customised.qcow2"
    create: list[str | Path] = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, overlay]
    unpack = f"mkdir -p {HOOKS} && tar -C {HOOKS} -xzf /tmp/payload.tar.gz && rm /tmp/payload.tar.gz"
    argv: list[str | Path] = [
        "virt-customize",
        "--quiet",
        "--no-network",
        "-a",
        overlay,
        "--upload",
        f"{archive}:/tmp/payload.tar.gz",
    ]
    argv += ["--run-command", unpack]
    argv += ["--run-command", " ".join([f"{HOOKS}/run", *packages])]
    with watched(folder) as watch:
        run(create, deadline=60)
        run([*argv, "--delete", HOOKS], deadline=DEADLINE, env=environment, hint="setup/prepare bench")
        run(compression(overlay, "qcow2", target, reproducible=False), deadline=DEADLINE)
        watch.stop()
    for path in (overlay, target):
        path.unlink()
    return watch.usage


@contextlib.contextmanager
def opened(workshop: Workshop) -> Iterator[Round]:
    """Makes the image."""
    settings = from_environment()
    folder = workshop.folder / "offline"
    folder.mkdir()
    base = ForeignImages(folder, release="trixie", packages=()).make("elsewhere", PACKAGES)
    recipe = recipe_for(base, folder)
    # What is looked up once for good must not fall on the first round.
    workshop.build(recipe)

    def one_round(number: int) -> Iterator[tuple[str, Job]]:
        yield OURS, lambda: workshop.build(recipe, again=True)[0]
        yield THEIRS, lambda: by_virt_customize(recipe, base, folder, settings)

    yield one_round


SUITE = Suite(ROWS, PROMISES, opened)

if __name__ == "__main__":
    sys.exit(main(SUITE, __doc__))
