"""What a build costs, against plain disk-image-create of the same elements and packages: `make bench`.

Each round measures, one after another on the same host: disk-image-create to a qcow2 (on one file system without
partitions and boot loader, which it can make everywhere); `goldsmith build` of the same recipe with an empty cache,
with nothing changed, with one file of one element changed; and of eight recipes that share a base, from an empty cache.
Both keep their downloaded packages from a first round that is not counted.  The figures are medians of the rounds,
the ratios are to disk-image-create (for eight recipes, to one cold build) in the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from goldsmith.host.jail import root_jail
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import make_plan
from goldsmith.settings import PROJECT_ROOT, from_environment

sys.path.insert(0, str(PROJECT_ROOT / "tests" / "system"))

from plain_dib import disk_image_create

RECIPE = PROJECT_ROOT / "recipes" / "debian-13.yaml"
CHANGED = "single-default-route/static/usr/lib/single-default-route/prepare"
RECIPES = 8
#: row -> the row it is compared with, and at most what part of it; no more than seconds where there is no such row
PROMISES: dict[str, tuple[str | None, float]] = {
    "cold": ("disk-image-create", 0.6),
    "nothing changed": (None, 1.0),
    "one file of a fix changed": ("disk-image-create", 0.08),
    f"{RECIPES} recipes, one base": ("cold", 2.0),
}


class Bench:
    """Caches and recipes in a folder of its own; ``elements`` is a copy, in which a file can change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.elements = folder / "elements"
        shutil.copytree(PROJECT_ROOT / "elements", self.elements)
        self.cache = folder / "cache"
        self.plain_cache = folder / "plain-cache"

    def goldsmith(self, *recipes: Path) -> float:
        """Seconds of `goldsmith build`; its own steps go to stderr."""
        environment = {**os.environ, "GOLDSMITH_CACHE": str(self.cache), "ELEMENTS_PATH": str(self.elements)}
        words = [Path(sys.executable).parent / "goldsmith", "build", *recipes]
        started = time.monotonic()
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True, env=environment)
        return time.monotonic() - started

    def forget(self) -> None:
        """Everything but the downloaded packages, which plain disk-image-create keeps too."""
        for name in ("artefacts", "recipes"):
            shutil.rmtree(self.cache / name, ignore_errors=True)

    def plain(self) -> float:
        environment = {**os.environ, "GOLDSMITH_CACHE": str(self.cache), "ELEMENTS_PATH": str(self.elements)}
        settings = from_environment(environment)
        plan = make_plan(load(RECIPE, settings), settings)
        work = self.folder / "plain"
        work.mkdir()
        self.plain_cache.mkdir(exist_ok=True)
        with root_jail(settings.base_environment) as jail:
            started = time.monotonic()
            disk_image_create(jail, plan, settings, work, "qcow2", self.plain_cache, int(time.time()))
            seconds = time.monotonic() - started
            jail.run(["rm", "-rf", work], deadline=300)
        return seconds

    def change(self, number: int) -> None:
        with (self.elements / CHANGED).open("a") as stream:
            stream.write(f"# {number}\n")

    def recipes(self) -> list[Path]:
        """Recipes that differ in what goes over the base."""
        made = []
        for number in range(RECIPES):
            document = yaml.safe_load(RECIPE.read_text())
            document["name"] = f"bench-{number}"
            document["elements"] = [
                {"networkd": {"addresses": [{"interface": "ens4", "address": f"10.30.0.{number + 2}/24"}]}}
                if isinstance(each, dict) and "networkd" in each
                else each
                for each in document["elements"]
            ]
            path = self.folder / f"bench-{number}.yaml"
            path.write_text(yaml.safe_dump(document))
            made.append(path)
        return made

    def one_round(self, number: int) -> dict[str, float]:
        rows = {"disk-image-create": self.plain()}
        self.forget()
        rows["cold"] = self.goldsmith(RECIPE)
        rows["nothing changed"] = self.goldsmith(RECIPE)
        self.change(number)
        rows["one file of a fix changed"] = self.goldsmith(RECIPE)
        self.forget()
        rows[f"{RECIPES} recipes, one base"] = self.goldsmith(*self.recipes())
        return rows


def _kept(row: str, medians: dict[str, float], rounds: list[dict[str, float]]) -> tuple[str, bool]:
    """What a row says of its promise, and whether it is kept."""
    against, most = PROMISES[row]
    if against is None:
        return f"at most {most:.0f} s: {'kept' if medians[row] <= most else 'NOT KEPT'}", medians[row] <= most
    ratio = statistics.median(each[row] / each[against] for each in rounds)
    said = f"{ratio:.2f} of {against}, at most {most}: {'kept' if ratio <= most else 'NOT KEPT'}"
    return said, ratio <= most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="every round's figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="goldsmith-bench-") as name:
        bench = Bench(Path(name))
        bench.plain()
        bench.goldsmith(RECIPE)
        rounds = []
        for number in range(args.rounds):
            rounds.append(bench.one_round(number))
            said = ", ".join(f"{row} {seconds:.1f} s" for row, seconds in rounds[-1].items())
            print(f"round {number + 1}: {said}", file=sys.stderr)
    if args.json:
        print(json.dumps(rounds, indent=2))
        return 0
    medians = {row: statistics.median(each[row] for each in rounds) for row in rounds[0]}
    verdicts = {row: _kept(row, medians, rounds) for row in PROMISES}
    for row, seconds in medians.items():
        print(f"{row:<28} {seconds:7.1f} s  {verdicts[row][0] if row in verdicts else ''}".rstrip())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"{'largest process':<28} {peak / 1024:7.0f} MiB")
    return 0 if all(kept for _, kept in verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
