"""What an offline bake costs, against virt-customize doing the same edits: `make bench`.

Each round applies the four Linux elements to one image of a Debian built elsewhere, twice: by `goldsmith build`,
and by one virt-customize on an overlay, with the same scripts and files, followed by the same compression.  Both run
under the same accelerator.  The figures are medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from goldsmith.bake.disk import compression
from goldsmith.bake.offline import selection
from goldsmith.boot.accelerator import choose
from goldsmith.host.files import file_digest
from goldsmith.recipe.loader import load
from goldsmith.recipe.model import Base
from goldsmith.recipe.plan import make_plan
from goldsmith.settings import PROJECT_ROOT, Settings, from_environment

sys.path.insert(0, str(PROJECT_ROOT / "tests" / "system"))

from foreign_images import ForeignImages
from test_linux_offline import ELEMENTS, PACKAGES

#: at most, of virt-customize
PROMISE = 0.5
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


def by_goldsmith(recipe: Path) -> float:
    """Seconds of `goldsmith build`; its own steps go to stderr."""
    goldsmith = Path(sys.executable).parent / "goldsmith"
    started = time.monotonic()
    subprocess.run([goldsmith, "build", "--again", recipe], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - started


def by_virt_customize(recipe: Path, base: Path, folder: Path, settings: Settings) -> float:
    """Seconds of one virt-customize with the same payload, and of the same compression."""
    plan = make_plan(load(recipe, settings), settings)
    chosen = selection.select(plan, settings)
    payload = selection.payload(plan, chosen, Base(distribution="debian", release="trixie"))
    archive = folder / "payload.tar.gz"
    archive.write_bytes(payload.archive)
    packages = selection.packages(plan, chosen, Base(distribution="debian", release="trixie"))
    environment = {**os.environ, **choose(settings).libguestfs_environment}
    overlay, target = folder / "overlay.qcow2", folder / "customised.qcow2"
    started = time.monotonic()
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, overlay]
    subprocess.run(create, check=True)
    unpack = f"mkdir -p {HOOKS} && tar -C {HOOKS} -xzf /tmp/payload.tar.gz && rm /tmp/payload.tar.gz"
    argv = ["virt-customize", "--quiet", "--no-network", "-a", overlay, "--upload", f"{archive}:/tmp/payload.tar.gz"]
    argv += ["--run-command", unpack]
    argv += ["--run-command", " ".join([f"{HOOKS}/run", *packages])]
    subprocess.run([*argv, "--delete", HOOKS], check=True, env=environment)
    subprocess.run(compression(overlay, "qcow2", target, reproducible=False), check=True)
    seconds = time.monotonic() - started
    for path in (overlay, target):
        path.unlink()
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="every round's figures as JSON")
    args = parser.parse_args()
    if shutil.which("virt-customize") is None:
        print("virt-customize is not there to compare with: install guestfs-tools", file=sys.stderr)
        return 3
    settings = from_environment()
    with tempfile.TemporaryDirectory(prefix="goldsmith-bench-") as name:
        folder = Path(name)
        base = ForeignImages(folder, release="trixie", packages=()).make("elsewhere", PACKAGES)
        recipe = recipe_for(base, folder)
        # What is looked up once for good must not fall on the first round.
        by_goldsmith(recipe)
        rounds = []
        for number in range(args.rounds):
            ours, theirs = by_goldsmith(recipe), by_virt_customize(recipe, base, folder, settings)
            rounds.append({"goldsmith build": ours, "virt-customize": theirs})
            print(f"round {number + 1}: goldsmith {ours:.1f} s, virt-customize {theirs:.1f} s", file=sys.stderr)
    if args.json:
        print(json.dumps(rounds, indent=2))
        return 0
    ratio = statistics.median(each["goldsmith build"] / each["virt-customize"] for each in rounds)
    for row in rounds[0]:
        print(f"{row:<20} {statistics.median(each[row] for each in rounds):7.1f} s")
    print(f"{'ratio':<20} {ratio:9.2f}  at most {PROMISE}: {'kept' if ratio <= PROMISE else 'NOT KEPT'}")
    return 0 if ratio <= PROMISE else 1


if __name__ == "__main__":
    sys.exit(main())
