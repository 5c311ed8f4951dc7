"""docs/bench.json, .svg and .md: every number in them comes from a run, and .md and .svg from .json."""

from __future__ import annotations

import json
from pathlib import Path

import picture
import results
from results import UNITS, Report, Row

from goldsmith.host.files import write_json, write_text
from goldsmith.settings import PROJECT_ROOT

DOCS = PROJECT_ROOT / "docs"
_INTRODUCTION = """\
# Benchmark

Made by `make bench`, which measures everything one after another on an otherwise idle host (`ROUNDS=3`) and writes this
page, [bench.json](bench.json) with every round's figures, and the picture. What could not run says why. A part of it
alone, which writes nothing here, and the whole with what was measured so before:

    setup/prepare test bench root
    .venv/bin/python tests/bench/build.py --json > build.json       or verify.py, offline.py, upload.py
    .venv/bin/python tests/bench/everything.py --have build.json    with --only build nothing else is measured

![Seconds side by side, and how they grow with the number of recipes](bench.svg)

Seconds are the median of the rounds (2 and 4 recipes are measured in the first alone). Memory, disk and tmpfs are the
most that was seen in any round, above what there was before, by looking several times a second: memory of all
processes together (what they share counts once), space of disks, files in memory. Ratios are taken within each round,
and a promise is about their median.

"Cold" keeps downloaded packages and nothing else: goldsmith and mkosi keep theirs; disk-image-create has a folder for
them too, which its own script for Debian's base empties each time. It keeps nothing of a former image: its figure is
that of every change. mkosi installs the same packages and applies no fixes.
"""


def publish(report: Report, folder: Path = DOCS) -> None:
    """Write all three."""
    write_json(folder / "bench.json", results.as_document(report))
    # From what was written, so that both are the same when made of it again.
    kept = read(folder)
    write_text(folder / "bench.svg", picture.draw(kept))
    write_text(folder / "bench.md", markdown(kept))


def read(folder: Path = DOCS) -> Report:
    return results.from_document(json.loads((folder / "bench.json").read_text()))


def markdown(report: Report) -> str:
    """The page; a table a scene."""
    parts = [_INTRODUCTION]
    tables = {**report.scenes, picture.GROWTH: report.growth}
    for heading, rows in tables.items():
        if rows:
            parts.append(f"## {heading}\n\n{_table(rows)}")
    parts.append(f"## Promises\n\n{_promises(report)}")
    facts = "\n".join(f"| {name} | {value} |" for name, value in report.host.items())
    parts.append(f"## Measured on\n\n| | |\n| --- | --- |\n{facts}\n")
    return "\n".join(parts)


def _table(rows: list[Row]) -> str:
    lines = [
        "| | seconds | least-most | memory | disk | tmpfs | what |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        if row.failed:
            lines.append(f"| {row.name} | could not run | | | | | {_cell(row.failed)} |")
            continue
        taken = [each.seconds for each in row.rounds]
        spread = f"{min(taken):.1f}-{max(taken):.1f}" if len(taken) > 1 else ""
        figures = " | ".join(f"{row.figure(unit):.0f} {UNITS[unit]}" for unit in ("memory", "disk", "tmpfs"))
        lines.append(f"| {row.name} | {picture.seconds(row.figure())} | {spread} | {figures} | {_cell(row.what)} |")
    return "\n".join(lines) + "\n"


def _promises(report: Report) -> str:
    lines = ["| | of | |", "| --- | --- | --- |"]
    for promise in report.promises:
        lines.append(f"| {promise.row} | {promise.unit} | {report.verdict(promise).text} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
