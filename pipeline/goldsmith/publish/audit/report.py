"""An audit as a document and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from goldsmith.publish.audit.run import Audit


def document(cloud: str, audit: Audit) -> dict[str, Any]:
    """For --json.  ``repair`` is the value that is sure, null where none is; ``failed`` why it was not taken."""
    return {
        "cloud": cloud,
        "images": audit.looked_at,
        "wrong": [
            {
                "id": each.image_id,
                "name": each.name,
                "owner": each.owner,
                "kind": each.kind,
                "failed": each.failed,
                "findings": [
                    {
                        "rule": finding.rule,
                        "property": finding.name,
                        "message": finding.message,
                        "repair": finding.value,
                        "fixed": finding.name in each.fixed,
                    }
                    for finding in each.findings
                ],
            }
            for each in audit.wrong
        ],
    }


def as_text(cloud: str, audit: Audit) -> str:
    return "\n".join(_lines(cloud, audit))


def _lines(cloud: str, audit: Audit) -> Iterator[str]:
    rows = [
        (
            "fixed" if finding.name in each.fixed else "fixable" if finding.value is not None else "by hand",
            finding.rule,
            finding.name,
            finding.message,
        )
        for each in audit.wrong
        for finding in each.findings
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    remaining = iter(rows)
    for each in audit.wrong:
        yield f"{each.image_id}  {each.name}  ({each.kind}, project {each.owner})"
        for _ in each.findings:
            *cells, message = next(remaining)
            padded = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            yield f"  {padded}  {message}"
        if each.failed:
            yield f"  not repaired: {each.failed}"
    fixed = sum(row[0] == "fixed" for row in rows)
    yield f"{cloud}: {audit.looked_at} images, {len(audit.wrong)} with findings: {len(rows)} found, {fixed} fixed"
