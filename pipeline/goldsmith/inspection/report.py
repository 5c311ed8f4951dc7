"""An inspection as a document and as a table."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from goldsmith.inspection.facts import plain
from goldsmith.inspection.look import Inspection, Seen
from goldsmith.inspection.table import Row, disk_rows, system_rows
from goldsmith.verify.residue.rules import SEVERITIES, Rule
from goldsmith.verify.residue.search import Residue, printable

#: a rule that finds more is shown with so many paths; the document has all
_MOST_PATHS = 8


def document(inspection: Inspection) -> dict[str, Any]:
    """For --json.  ``residue`` is null for a system that was not searched, ``clean`` where it is not known.

    A fact that could not be found out is an object whose only key is ``unknown``, with the reason.
    """
    image = inspection.image
    searched = [seen for seen in inspection.systems if seen.residue is not None]
    return {
        "image": str(image.path),
        "format": image.format,
        "size": image.size,
        "sha256": image.sha256,
        "clean": not inspection.residue if searched else None,
        "rules": [rule.id for rule in inspection.rules],
        "disk": plain(inspection.disk),
        "systems": [_system(seen) for seen in inspection.systems],
    }


def _system(seen: Seen) -> dict[str, Any]:
    system = seen.system
    return {
        "root": system.root,
        "type": system.type,
        "distribution": system.distribution,
        "name": system.name,
        "version": system.version,
        "architecture": system.architecture,
        "mounts": dict(system.mounts),
        "unread": list(seen.unread),
        "separate_boot": system.mounts.get("/boot"),
        "firmware": plain(seen.firmware),
        "facts": plain(seen.facts),
        "properties": {each.name: {"value": each.value, "reason": each.reason} for each in seen.properties},
        "residue": None if seen.residue is None else [_residue(each) for each in seen.residue],
    }


def _residue(residue: Residue) -> dict[str, Any]:
    rule = residue.rule
    return {
        "severity": rule.severity,
        "rule": rule.id,
        "what": rule.what,
        "why": rule.says,
        "path": residue.path,
        "name": residue.name,
    }


def as_text(inspection: Inspection) -> str:
    """What the image is, what was found in each system by severity, and a line that sums it up."""
    image = inspection.image
    lines = [f"{image.path}: {image.format}, {image.size / 2**20:.0f} MiB", f"sha256 {image.sha256}"]
    if len(inspection.systems) > 1:
        lines.append(f"{len(inspection.systems)} operating systems are in it")
    if inspection.disk:
        lines += _rows(disk_rows(inspection.disk))
    for seen in inspection.systems:
        lines += ["", *_about(seen)]
    return "\n".join([*lines, "", _summary(inspection)])


def _about(seen: Seen) -> Iterator[str]:
    system = seen.system
    yield printable(f"{system.name} ({system.type}, {system.architecture}), root file system {system.root}")
    mounts = [f"{folder} on {device}" for folder, device in sorted(system.mounts.items()) if folder != "/"]
    if mounts:
        yield printable(f"  also {', '.join(mounts)}")
    if seen.unread:
        yield printable(f"  not looked at, cannot be mounted: {', '.join(seen.unread)}")
    if seen.facts:
        yield from _rows(system_rows(seen))
    if seen.residue is None:
        yield f"  version {printable(system.version)}; residue is not searched for: the rules are about Linux"
        return
    for severity, meaning in SEVERITIES.items():
        found = [residue for residue in seen.residue if residue.rule.severity == severity]
        if found:
            yield ""
            yield f"  {severity}: {meaning}"
            yield from _table(found)


def _rows(rows: Iterable[Row]) -> Iterator[str]:
    """Rows with their left side in a column; long lines are wrapped beside it."""
    columns = max(80, shutil.get_terminal_size((120, 24)).columns)
    for label, lines in rows:
        for number, line in enumerate(lines):
            left = label if number == 0 else ""
            wrapped = textwrap.wrap(printable(line), columns - 19, subsequent_indent="  ") or [""]
            yield f"  {left:<16} {wrapped[0]}".rstrip()
            yield from (f"  {'':<16} {rest}" for rest in wrapped[1:])


def _table(found: Sequence[Residue]) -> Iterator[str]:
    rules = list(dict.fromkeys(residue.rule for residue in found))
    shown = {rule: _paths(rule, found) for rule in rules}
    width = min(max(len(path) for paths in shown.values() for path in paths), 60)
    columns = max(80, shutil.get_terminal_size((120, 24)).columns)
    for rule in rules:
        lead = " " * (width + 6)
        why = textwrap.wrap(f"{rule.what} ({rule.id}): {rule.says}", max(columns - len(lead), 30))
        paths = shown[rule]
        # A path that is wider than its column keeps a line for itself.
        for number in range(max(len(paths), len(why))):
            path = paths[number] if number < len(paths) else ""
            words = why[number] if number < len(why) else ""
            if len(path) > width and words:
                yield f"    {path}"
                path = ""
            yield f"    {path:<{width}}  {words}".rstrip()


def _paths(rule: Rule, found: Sequence[Residue]) -> list[str]:
    paths = [str(residue) for residue in found if residue.rule is rule]
    more = len(paths) - _MOST_PATHS
    return [*paths[:_MOST_PATHS], *([f"... and {more} more"] if more > 0 else [])]


def _summary(inspection: Inspection) -> str:
    searched = [seen for seen in inspection.systems if seen.residue is not None]
    if not searched:
        return "residue: not searched for"
    found = inspection.residue
    if not found:
        return f"residue: none, by {len(inspection.rules)} rules"
    counts = {severity: sum(each.rule.severity == severity for each in found) for severity in SEVERITIES}
    parts = ", ".join(f"{count} {severity}" for severity, count in counts.items() if count)
    return f"residue: {len(found)} found ({parts}), by {len(inspection.rules)} rules"
