"""How a benchmark runs: a folder of its own, rounds, what failed said and passed over; and what all programs share."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import results
from measure import Usage, measured
from results import Promise, Report, Row

from goldsmith.boot.accelerator import choose
from goldsmith.errors import HarnessError
from goldsmith.settings import PROJECT_ROOT, from_environment

RECIPE = PROJECT_ROOT / "recipes" / "debian-13.yaml"
GOLDSMITH = Path(sys.executable).parent / "goldsmith"
ROUNDS = 3
#: mkosi starts the first python3 in PATH, and needs the distribution's
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Workshop:
    """An empty folder on a disk, for all suites of a run; goldsmith's cache is in it."""

    folder: Path
    args: argparse.Namespace

    def build(
        self, *recipes: Path, again: bool = False, built: bool = True, env: Mapping[str, str] | None = None
    ) -> tuple[Usage, Path]:
        """`goldsmith build`, with something to do or nothing (``built``); what it took, and the first image."""
        argv: list[str | Path] = [GOLDSMITH, "build", "--json", *(["--again"] if again else []), *recipes]
        usage, done = measured(argv, self.folder, env=env)
        found = json.loads(done.stdout)["recipes"]
        if [each["built"] for each in found] != [built] * len(recipes):
            # It was another work than the row says.
            raise HarnessError(f"built: {[each['built'] for each in found]}, and not {built}")
        return usage, Path(found[0]["image"])


#: measures one row
Job = Callable[[], Usage]
#: of a round's number (0, 1 ...) the rows that it measures, in their order; what lies between them is not measured
Round = Callable[[int], Iterator[tuple[str, Job]]]


@dataclass(frozen=True)
class Suite:
    """A program of the benchmark: its rows without figures, what is promised of them, and the work."""

    rows: tuple[Row, ...]
    promises: tuple[Promise, ...]
    #: prepares, measures nothing
    opened: Callable[[Workshop], AbstractContextManager[Round]]

    @property
    def name(self) -> str:
        return self.rows[0].suite

    def had(self, had: Mapping[tuple[str, str], Row]) -> tuple[Row, ...]:
        """Its rows, if all of them were measured before."""
        found = [had.get((row.suite, row.name)) for row in self.rows]
        return tuple(row for row in found if row) if all(found) else ()

    def run(self, workshop: Workshop, rounds: int) -> tuple[Row, ...]:
        """The rows with their figures; whatever fails is said in its row, and the others go on."""
        figures: dict[str, list[Usage]] = {row.name: [] for row in self.rows}
        failed: dict[str, str] = {}
        try:
            with self.opened(workshop) as one_round:
                for number in range(rounds):
                    for name, job in one_round(number):
                        try:
                            figures[name].append(job())
                            print(f"round {number + 1}: {name} {figures[name][-1].seconds:.1f} s", file=sys.stderr)
                        except Exception as error:
                            failed.setdefault(name, _said(error, name))
        except Exception as error:
            reason = _said(error, "preparation")
            failed = {name: failed.get(name, reason) for name, found in figures.items() if len(found) < rounds} | failed
        return tuple(
            dataclasses.replace(row, failed=failed[row.name])
            if row.name in failed
            else dataclasses.replace(row, rounds=tuple(figures[row.name]))
            for row in self.rows
        )


def _said(error: Exception, what: str) -> str:
    traceback.print_exception(error)
    reason = results.reason(error)
    print(f"{what} could not run: {reason}", file=sys.stderr)
    return reason


def run(
    suites: Sequence[Suite], description: str | None, arguments: Sequence[str] | None = None
) -> tuple[Report, argparse.Namespace]:
    """Parse the command line and run; the report, and the arguments."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often everything is measured")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on which disk (10 GiB)")
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of the image that is uploaded")
    parser.add_argument("--method", choices=("put", "import"), default="put", help="how goldsmith uploads it")
    parser.add_argument("--json", action="store_true", help="every round's figures as JSON")
    parser.add_argument(
        "--have", type=Path, action="append", default=[], help="take what is in this JSON, and measure only the rest"
    )
    names = [suite.name for suite in suites]
    parser.add_argument("--only", choices=names, action="append", default=[], help="leave the other programs out")
    args = parser.parse_args(arguments)
    suites = [suite for suite in suites if suite.name in (args.only or names)]
    before = [results.from_document(json.loads(file.read_text())) for file in args.have]
    had = {(row.suite, row.name): row for report in before for row in report.rows}
    with _own_folder(args.folder) as folder, _own_cache(folder):
        workshop = Workshop(folder, args)
        hosts = [report.host for report in before] if any(suite.had(had) for suite in suites) else []
        if not all(suite.had(had) for suite in suites):
            hosts.append(host_facts(args.rounds))
        rows = tuple(row for suite in suites for row in suite.had(had) or suite.run(workshop, args.rounds))
        return Report(merged(hosts), rows, tuple(p for suite in suites for p in suite.promises)), args


def merged(hosts: Sequence[Mapping[str, str | int]]) -> dict[str, str | int]:
    """What is known of where and when it was measured; of what is not the same in all, every value."""
    found: dict[str, str | int] = {}
    for name in dict.fromkeys(name for host in hosts for name in host):
        values = list(dict.fromkeys(host[name] for host in hosts if name in host))
        found[name] = values[0] if len(values) == 1 else ", ".join(map(str, values))
    return found


def main(suite: Suite, description: str | None) -> int:
    """Of a program that runs one suite."""
    report, args = run([suite], description)
    print(json.dumps(results.as_document(report), indent=2) if args.json else results.as_text(report), end="")
    return report.exit_code


@contextlib.contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """Removed at the end, but for what is mounted in it: a bootstrap that was killed leaves the host's /proc there."""
    folder = Path(tempfile.mkdtemp(prefix="goldsmith-bench-", dir=parent))
    try:
        yield folder
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", folder], check=False)


@contextlib.contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """goldsmith's is in the folder: what the user has stays, and does not help."""
    name = "GOLDSMITH_CACHE"
    before = os.environ.get(name)
    os.environ[name] = str(folder / "cache")
    memory = from_environment().memory_dir
    # So that what was begun is cleared away.
    handler = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        if memory:
            shutil.rmtree(memory, ignore_errors=True)
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def host_facts(rounds: int) -> dict[str, str | int]:
    """What the figures depend on."""
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    model = re.search(r"^model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _first_line("git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty"),
        "rounds": rounds,
        "cores": len(os.sched_getaffinity(0)),
        "processor": model[1] if model else "unknown",
        "memory MiB": int(memory[1]) // 1024 if memory else 0,
        "kernel": platform.release().split("-")[0],
        "distribution": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "accelerator": choose(from_environment()).name,
        "diskimage-builder": version("diskimage-builder"),
        "debootstrap": _first_line("debootstrap", "--version"),
        "mmdebstrap": _first_line("mmdebstrap", "--version"),
        "mkosi": _first_line("mkosi", "--version"),
        "virt-customize": _first_line("virt-customize", "--version"),
        "QEMU": _first_line("qemu-img", "--version"),
        "python-openstackclient": _first_line(str(PROJECT_ROOT / ".venv-services" / "bin" / "openstack"), "--version"),
    }


def _first_line(*argv: str) -> str:
    """Without the program's own name and whose it is."""
    with contextlib.suppress(OSError):
        environment = {**os.environ, "PATH": SYSTEM_PATH}
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
        if done.returncode == 0 and done.stdout:
            line = done.stdout.splitlines()[0]
            found = re.search(r"\d[\w.+~-]*", line)
            return line if argv[0] == "git" or not found else found[0]
    return "not there"
