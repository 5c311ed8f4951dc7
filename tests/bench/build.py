"""What a build costs, against plain disk-image-create and mkosi making the same Debian: `make bench`.

Each round measures, one after another on the same host: disk-image-create of the recipe's elements and packages to a
qcow2 (one file system without partitions and boot loader, which it can make everywhere), without mmdebstrap, as its
documentation installs it, and with it; mkosi installing the same packages; `goldsmith build` of the recipe from an
empty cache, with nothing changed, with one file of an element changed, with one parameter changed; and of several
recipes that share a base, from an empty cache.  All keep downloaded packages from a first round that is not counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from measure import Usage, watched
from mkosi_disk import INCREMENTAL, MKOSI, Mkosi
from results import Promise, Row
from suite import RECIPE, Job, Round, Suite, Workshop, main

from goldsmith.errors import HarnessError
from goldsmith.host.jail import root_jail
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.settings import PROJECT_ROOT, Settings, from_environment

sys.path.insert(0, str(PROJECT_ROOT / "tests" / "system"))

from plain_dib import disk_image_create

CHANGED = "single-default-route/static/usr/lib/single-default-route/prepare"
DEBOOTSTRAP, MMDEBSTRAP = "disk-image-create with debootstrap", "disk-image-create with mmdebstrap"
COLD, NOTHING, FILE, PARAMETER = (
    f"goldsmith, {change}" for change in ("cold", "nothing changed", "one file changed", "one parameter changed")
)
#: debootstrap's, by release
SCRIPTS = Path("/usr/share/debootstrap/scripts")
#: recipes that share a base
GROWTH = {count: f"goldsmith, {count} recipes" for count in (2, 4, 8)}
COLD_SCENE, FILE_SCENE, NOTHING_SCENE = "Cold: downloads alone are kept", "One fix changed", "Nothing changed"
SCENES = (COLD_SCENE, FILE_SCENE, NOTHING_SCENE)


def _row(name: str, what: str, *scenes: str, ours: bool = True, recipes: int = 0) -> Row:
    return Row("build", name, what, ours, scenes, recipes)


ROWS = (
    _row(DEBOOTSTRAP, "one ext4 without partitions and boot loader, as a compressed qcow2; builds all again whatever "
         "changed", *SCENES, ours=False),
    _row(MMDEBSTRAP, "the same where mmdebstrap is installed", *SCENES, ours=False),
    _row(MKOSI, "the same packages without the fixes, a GPT with one ext4 and no boot loader, as a compressed qcow2",
         COLD_SCENE, ours=False),
    _row(INCREMENTAL, "the same, from its own copy of the disk with the packages", FILE_SCENE, NOTHING_SCENE,
         ours=False),
    _row(COLD, "the recipe, bootable with BIOS and UEFI, as a compressed qcow2", COLD_SCENE, recipes=1),
    _row(FILE, "one file of one element is another", FILE_SCENE),
    _row(PARAMETER, "one parameter of one element is another", FILE_SCENE),
    _row(NOTHING, "finds that there is nothing to do", NOTHING_SCENE),
    *(
        _row(name, "which differ in a parameter and share a base, from an empty cache", recipes=count)
        for count, name in GROWTH.items()
    ),
)  # fmt: skip
PROMISES = (
    Promise("build", COLD, 0.6, DEBOOTSTRAP),
    Promise("build", COLD, 0.6, MMDEBSTRAP),
    Promise("build", FILE, 0.08, DEBOOTSTRAP),
    Promise("build", FILE, 0.08, MMDEBSTRAP),
    Promise("build", NOTHING, 1.0),
    Promise("build", GROWTH[8], 2.0, COLD),
)


class Bench:
    """Caches and recipes in the workshop; ``elements`` is a copy, in which a file can change."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.folder = workshop.folder / "build"
        self.elements = self.folder / "elements"
        shutil.copytree(PROJECT_ROOT / "elements", self.elements)
        self.plain_cache = self.folder / "plain-cache"
        self.plain_cache.mkdir()
        self.settings = from_environment({**os.environ, "ELEMENTS_PATH": str(self.elements)})

    def plan(self) -> tuple[Plan, Settings]:
        return make_plan(load(RECIPE, self.settings), self.settings), self.settings

    def goldsmith(self, *recipes: Path, built: bool = True) -> Usage:
        environment = {"ELEMENTS_PATH": str(self.elements)}
        return self.workshop.build(*recipes, built=built, env=environment)[0]

    def forget(self) -> None:
        """All of goldsmith's cache but what was downloaded, which the others keep too."""
        for path in self.settings.cache_dir.iterdir():
            if path.is_dir() and path.name != "dib":
                shutil.rmtree(path)

    def plain(self, *, mmdebstrap: bool) -> Usage:
        """disk-image-create; its own tmpfs is in its namespace, and is seen nevertheless."""
        plan, settings = self.plan()
        work = self.folder / "plain"
        work.mkdir()
        environment = dict(settings.base_environment)
        if not mmdebstrap:
            # It takes mmdebstrap wherever it finds it, but not where debootstrap's script is named; this is the usual.
            environment["DIB_DEBIAN_DEBOOTSTRAP_SCRIPT"] = str(SCRIPTS / plan.environment["DIB_RELEASE"])
        with watched(self.folder) as watch, root_jail(environment) as jail:
            try:
                image = disk_image_create(jail, plan, settings, work, "qcow2", self.plain_cache, int(time.time()))
                watch.stop()
                if not image.exists():
                    raise HarnessError("disk-image-create made no image")
                said: list[str | Path] = ["grep", "mmdebstrap is installed; use it", work / "plain.log"]
                if (jail.run(said, deadline=30, check=False).returncode == 0) != mmdebstrap:
                    raise HarnessError("disk-image-create took the other bootstrap")
            finally:
                jail.run(["rm", "-rf", work], deadline=300)
        return watch.usage

    def change_file(self, number: int) -> None:
        with (self.elements / CHANGED).open("a") as stream:
            stream.write(f"# {number}\n")

    def recipe(self, name: str, **parameters: dict[str, Any]) -> Path:
        """The recipe with other parameters of some elements."""
        document = yaml.safe_load(RECIPE.read_text())
        names = [next(iter(each)) if isinstance(each, dict) else each for each in document["elements"]]
        document["name"] = name
        document["elements"] = [
            {element: parameters[element]} if element in parameters else each
            for element, each in zip(names, document["elements"], strict=True)
        ]
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def recipes(self, count: int) -> list[Path]:
        """Recipes that differ in what goes over the base."""
        addresses = [[{"interface": "ens4", "address": f"10.30.0.{number + 2}/24"}] for number in range(count)]
        return [self.recipe(f"bench-{number}", networkd={"addresses": each}) for number, each in enumerate(addresses)]


@contextlib.contextmanager
def opened(workshop: Workshop) -> Iterator[Round]:
    """Downloads everything once, for each in its own cache."""
    bench = Bench(workshop)
    _, image = workshop.build(RECIPE, env={"ELEMENTS_PATH": str(bench.elements)})
    names = [each["name"] for each in json.loads((image.parent / "manifest.json").read_text())["packages"]]
    mkosi = Mkosi(bench.folder / "mkosi", names, *bench.plan())
    bench.plain(mmdebstrap=True)
    yield lambda number: one_round(bench, mkosi, number)


def one_round(bench: Bench, mkosi: Mkosi, number: int) -> Iterator[tuple[str, Job]]:
    yield DEBOOTSTRAP, lambda: bench.plain(mmdebstrap=False)
    yield MMDEBSTRAP, lambda: bench.plain(mmdebstrap=True)
    yield MKOSI, mkosi.cold
    yield INCREMENTAL, mkosi.incremental
    bench.forget()
    yield COLD, lambda: bench.goldsmith(RECIPE)
    yield NOTHING, lambda: bench.goldsmith(RECIPE, built=False)
    bench.change_file(number)
    yield FILE, lambda: bench.goldsmith(RECIPE)
    other = bench.recipe(RECIPE.stem, **{"metadata-frugal": {"max_wait": 61 + number}})
    yield PARAMETER, lambda: bench.goldsmith(other)
    for count, name in GROWTH.items():
        # Of those that nothing is promised of, one round shows how it grows.
        if number and count < max(GROWTH):
            continue
        bench.forget()
        recipes = bench.recipes(count)
        yield name, lambda recipes=recipes: bench.goldsmith(*recipes)  # type: ignore[misc]


SUITE = Suite(ROWS, PROMISES, opened)

if __name__ == "__main__":
    sys.exit(main(SUITE, __doc__))
