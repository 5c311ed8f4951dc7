"""What came out of a benchmark: rows with every round's figures, promises and their verdicts, as text and JSON."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from measure import Usage

from goldsmith.errors import CommandFailedError

#: what a row is measured in, and the unit
UNITS = {"seconds": "s", "memory": "MiB", "disk": "MiB", "tmpfs": "MiB"}
#: of a reason why something could not run
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Row:
    """Something that was measured; one that could not run has no figures and says why."""

    #: the program that measured it: build, offline, upload, verify
    suite: str
    #: one of a kind in its suite
    name: str
    #: what it does, for a reader who knows none of the programs
    what: str
    #: whether it is goldsmith's own work, else what that is compared with
    ours: bool
    #: the headings under which it stands beside its like
    scenes: tuple[str, ...] = ()
    #: how many recipes it builds, where it is a point of the growth
    recipes: int = 0
    rounds: tuple[Usage, ...] = ()
    failed: str = ""

    def figure(self, unit: str = "seconds") -> float:
        """Seconds: the median of the rounds; of anything else the most of any round."""
        found = [getattr(each, unit) for each in self.rounds]
        return float(statistics.median(found) if unit == "seconds" else max(found))


@dataclass(frozen=True)
class Promise:
    """``row`` takes at most this part of what ``against`` takes; where that is "", at most so much of the unit."""

    suite: str
    row: str
    at_most: float
    against: str = ""
    unit: str = "seconds"


@dataclass(frozen=True)
class Verdict:
    """``kept`` is None where it cannot be judged, since a row could not run."""

    text: str
    kept: bool | None


@dataclass(frozen=True)
class Report:
    """All of a run; ``host`` is what the figures hold for, and when."""

    host: Mapping[str, str | int]
    rows: tuple[Row, ...]
    promises: tuple[Promise, ...]

    def row(self, suite: str, name: str) -> Row:
        (found,) = [row for row in self.rows if (row.suite, row.name) == (suite, name)]
        return found

    def verdict(self, promise: Promise) -> Verdict:
        """Ratios are taken in each round, and the promise is about their median."""
        row = self.row(promise.suite, promise.row)
        against = self.row(promise.suite, promise.against) if promise.against else None
        if missing := [each.name for each in (row, against) if each and not each.rounds]:
            return Verdict(f"not judged: {missing[0]} could not run", None)
        if against:
            pairs = zip(row.rounds, against.rounds, strict=True)
            value = statistics.median(getattr(a, promise.unit) / getattr(b, promise.unit) for a, b in pairs)
            said = f"{value:.2f} of {against.name}, at most {promise.at_most:g}"
        else:
            value = row.figure(promise.unit)
            unit, digits = UNITS[promise.unit], 2 if promise.unit == "seconds" else 0
            said = f"{value:.{digits}f} {unit}, at most {promise.at_most:g} {unit}"
        kept = value <= promise.at_most
        return Verdict(f"{said}: {'kept' if kept else 'NOT KEPT'}", kept)

    def promises_of(self, row: Row) -> list[Verdict]:
        return [self.verdict(each) for each in self.promises if (each.suite, each.row) == (row.suite, row.name)]

    @property
    def exit_code(self) -> int:
        """0 where all promises are kept, 1 where one is not, 3 where one cannot be judged or a row could not run."""
        kept = [self.verdict(promise).kept for promise in self.promises]
        if False in kept:
            return 1
        return 3 if None in kept or any(row.failed for row in self.rows) else 0

    @property
    def scenes(self) -> dict[str, list[Row]]:
        """Heading to rows, in their order."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            for scene in row.scenes:
                found.setdefault(scene, []).append(row)
        return found

    @property
    def growth(self) -> list[Row]:
        """By number of recipes."""
        return sorted((row for row in self.rows if row.recipes), key=lambda row: row.recipes)


def reason(error: BaseException) -> str:
    """One line that says why, without addresses: a package mirror's is nobody else's business."""
    if isinstance(error, CommandFailedError):
        said = f"the command {error.status}: {' / '.join(error.tail.splitlines()[-3:])}"
    else:
        said = " / ".join(line.strip() for line in str(error).splitlines() if line.strip()) or type(error).__name__
    said = re.sub(r"\b[a-z][a-z+]*://[^\s'\"]+", "(an address)", said)
    return said if len(said) <= _LONGEST_REASON else f"{said[:100]} ... {said[100 - _LONGEST_REASON :]}"


def as_text(report: Report) -> str:
    """A table for a terminal."""
    width = max(len(row.name) for row in report.rows)
    lines = [f"{'':<{width}}  {'seconds':>9}  {'memory':>9}  {'disk':>9}  {'tmpfs':>9}"]
    for row in report.rows:
        if row.failed:
            lines.append(f"{row.name:<{width}}  could not run: {row.failed}")
            continue
        figures = "  ".join(f"{row.figure(unit):>5.{unit == 'seconds':d}f} {UNITS[unit]:<3}" for unit in UNITS)
        lines.append(f"{row.name:<{width}}  {figures}")
        lines += [f"{'':<{width}}  {verdict.text}" for verdict in report.promises_of(row)]
    return "\n".join(lines) + "\n"


def as_document(report: Report) -> dict[str, Any]:
    """For JSON: every round's figures, and beside them what follows, which ``from_document`` leaves out."""
    rows = []
    for row in report.rows:
        figures = {"figures": {unit: round(row.figure(unit), 3) for unit in UNITS}} if row.rounds else {}
        rows.append({**_fields(row), "rounds": [_fields(each) for each in row.rounds], **figures})
    promises = [_fields(each) | dataclasses.asdict(report.verdict(each)) for each in report.promises]
    return {"host": dict(report.host), "rows": rows, "promises": promises}


def from_document(document: Mapping[str, Any]) -> Report:
    rows = []
    for each in document["rows"]:
        rounds = tuple(Usage(**usage) for usage in each["rounds"])
        rows.append(Row(**_own(Row, each) | {"scenes": tuple(each["scenes"]), "rounds": rounds}))
    promises = tuple(Promise(**_own(Promise, each)) for each in document["promises"])
    return Report(document["host"], tuple(rows), promises)


def _fields(item: Any) -> dict[str, Any]:
    found = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}


def _own(kind: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    names: Iterable[str] = (field.name for field in dataclasses.fields(kind))
    return {name: document[name] for name in names}
