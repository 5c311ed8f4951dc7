"""What verification costs, against a bare boot of the same image: `make bench`.

Each round measures, one after another on the same host and under the same accelerator: a boot of the image until the
login prompt stands on its serial console, with nothing asked; `goldsmith verify` of all its checks with one firmware;
the example suite of docs/ with a guest that it boots and saves; and the same suite on the saved guest.  The figures
are medians of the rounds, the ratios are to the bare boot of the same round.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from goldsmith.boot.accelerator import Accelerator, choose
from goldsmith.boot.channel import Channel
from goldsmith.boot.instance import Instance, make_nics
from goldsmith.host.deadline import Deadline
from goldsmith.settings import PROJECT_ROOT, Settings, from_environment
from goldsmith.verify.boots import BOOT_SECONDS
from goldsmith.verify.machines import NETWORKS, BootPlan, lab_machine
from goldsmith.verify.settle import LOGIN_PROMPT

SUITE = PROJECT_ROOT / "docs" / "example-suite"
#: rows of the table, and the most that each may be of a bare boot; none where nothing was promised
ROWS = {"bare boot to login": None, "all checks": 1.15, "suite, first run": None, "suite, saved guest": 0.15}
PASSIVE = Channel("credential", "nothing is asked")


def bare_boot(image: Path, settings: Settings, accelerator: Accelerator) -> float:
    """Seconds from before the networks are made until a login prompt stands on ttyS0."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="goldsmith-bench-") as folder:
        plan = BootPlan(image, "qcow2", "bios", Path(folder), settings, accelerator, PASSIVE)
        with lab_machine(plan, NETWORKS, Instance(str(uuid.uuid4()), "bench", make_nics(NETWORKS))) as (machine, _):
            deadline = Deadline.after(BOOT_SECONDS * machine.scale)
            deadline.wait_for(
                lambda: re.search(LOGIN_PROMPT, machine.console.text(), re.MULTILINE), "a login prompt", interval=0.1
            )
            return time.monotonic() - started


def timed(*argv: str | Path) -> float:
    """Seconds that a command takes, from start to end; its output where it fails."""
    started = time.monotonic()
    done = subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, argv))}\n{done.stdout}")
    return time.monotonic() - started


def one_round(recipe: Path, image: Path, settings: Settings, accelerator: Accelerator) -> dict[str, float]:
    """Seconds of each row."""
    python = Path(sys.executable)
    suite = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", SUITE, "--goldsmith-image", image]
    with tempfile.TemporaryDirectory(prefix="goldsmith-bench-") as folder:
        suite += ["--goldsmith-artefacts", Path(folder), SUITE]
        return {
            "bare boot to login": bare_boot(image, settings, accelerator),
            "all checks": timed(python.parent / "goldsmith", "verify", recipe, "--firmware", "bios", "--again"),
            "suite, first run": timed(*suite, "--goldsmith-fresh"),
            "suite, saved guest": timed(*suite),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=PROJECT_ROOT / "recipes" / "debian-13.yaml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="every round's figures as JSON")
    args = parser.parse_args()
    settings = from_environment()
    accelerator = choose(settings)
    goldsmith = Path(sys.executable).parent / "goldsmith"
    built = subprocess.run([goldsmith, "build", "--json", args.recipe], stdout=subprocess.PIPE, text=True, check=True)
    image = Path(json.loads(built.stdout)["recipes"][0]["image"])
    # Facts of the host and the image that are looked up once for good must not fall on whoever comes first.
    timed(goldsmith, "verify", args.recipe, "--firmware", "bios", "--check", "goldsmith/settled")
    rounds = []
    for number in range(args.rounds):
        rounds.append(one_round(args.recipe, image, settings, accelerator))
        print(f"round {number + 1}: {', '.join(f'{k} {v:.1f} s' for k, v in rounds[-1].items())}", file=sys.stderr)
    if args.json:
        print(json.dumps(rounds, indent=2))
        return 0
    print(f"{image.name}, BIOS, {accelerator.name}, {args.rounds} rounds")
    kept = True
    for row, most in ROWS.items():
        seconds = statistics.median(each[row] for each in rounds)
        ratio = statistics.median(each[row] / each["bare boot to login"] for each in rounds)
        promise = "" if most is None else f"  at most {most}: {'kept' if ratio <= most else 'NOT KEPT'}"
        kept = kept and (most is None or ratio <= most)
        print(f"{row:<20} {seconds:7.1f} s  {ratio:5.2f}{promise}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
