"""Which fix is proven on which guest, from what the tests did: README's table is made of it, by `make support`.

A test says what it proves, by the fixture ``proves`` (system tests, which know it when they have run) or the marker
``fixture_tested(element, *guests)`` (tests that run an element's scripts on files of a guest, and no guest).  A run
leaves its results in build/support.json, beside those of the tests that did not run; ``make support`` keeps them in
docs/support.json and writes the table.  A cell is as good as the worst of its tests.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build" / "support.json"
KEPT = ROOT / "docs" / "support.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- support: made by `make support` -->\n", "<!-- end of support -->"
#: the user property that a test's claims travel in
PROPERTY = "support"
BOOT, FIXTURE = "boot-tested", "fixture-tested"
#: columns that a table of a page has room for, in the order of a boot
ELEMENTS = ("hybrid-boot", "network", "single-default-route", "text-console", "metadata-frugal", "generalize")
NETWORK = ("networkd", "netplan", "networkmanager", "ifupdown")

#: test's id to its claims: [{"guest", "firmware", "element", "level", "passed"}]
Results = dict[str, list[dict[str, Any]]]


def claim(element: str, guest: str, firmware: str, level: str = BOOT) -> dict[str, str]:
    """``guest`` is the name of a recipe, ``firmware`` bios, uefi, or "" where nothing is booted."""
    return {"element": element, "guest": guest, "firmware": firmware, "level": level}


def read(path: Path) -> Results:
    return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]


def merge(path: Path, results: Results) -> None:
    """Put the results of a run over those of earlier ones.

    A test that claimed nothing stays in the file with nothing, so that it takes back what is kept elsewhere, too.
    """
    if results:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(read(path) | results, indent=1, sort_keys=True) + "\n")


def keep(path: Path, results: Results) -> None:
    """The same for the file that is committed, which holds claims only."""
    kept = {test: claims for test, claims in (read(path) | results).items() if claims}
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def _cell(claims: Iterable[Mapping[str, Any]], element: str, guest: str, firmware: str) -> str:
    names = NETWORK if element == "network" else (element,)
    mine = [each for each in claims if each["guest"] == guest and each["element"] in names]
    booted = [each["passed"] for each in mine if each["level"] == BOOT and each["firmware"] == firmware]
    if booted:
        return BOOT if all(booted) else "no"
    on_files = [each["passed"] for each in mine if each["level"] == FIXTURE]
    return FIXTURE if on_files and all(on_files) else "no"


def table(results: Results, guests: Iterable[str]) -> str:
    """A row for each guest and firmware."""
    claims = [each for mine in results.values() for each in mine]
    lines = [f"| guest | firmware | {' | '.join(ELEMENTS)} |", "| --- " * (len(ELEMENTS) + 2) + "|"]
    for guest in guests:
        for firmware in ("bios", "uefi"):
            cells = [_cell(claims, element, guest, firmware) for element in ELEMENTS]
            lines.append(f"| [{guest}](recipes/{guest}.yaml) | {firmware.upper()} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def guests() -> list[str]:
    """Names of the recipes of guests that are built here; of an image that somebody brings nothing is known."""
    built = (path for path in (ROOT / "recipes").glob("*.yaml") if "\n  image:" not in path.read_text())
    return sorted(path.stem for path in built)


def written(readme: str, results: Results) -> str:
    """README with the table between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"README.md must hold the lines {BEGIN.strip()!r} and {END!r}")
    return f"{before}{BEGIN}\n{table(results, guests())}\n{END}{after}"


def main() -> int:
    if not RESULTS.exists():
        sys.stderr.write("no results: run `make test`, and `make matrix` for the other guests\n")
        return 2
    keep(KEPT, read(RESULTS))
    README.write_text(written(README.read_text(), read(KEPT)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
