"""A comparison as a document and as text."""

from __future__ import annotations

import shutil
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from goldsmith.inspection.comparison.compare import Comparison, Explained, Subject
from goldsmith.inspection.comparison.files import File
from goldsmith.verify.residue.search import printable

#: a cause with more paths is shown with so many; the document has all
_MOST_PATHS = 5
_LONGEST_VALUE = 40
#: kinds of causes in the order in which they are shown: what was looked into first
ORDER = (
    *("lines", "bytes", "not-read", "time", "gzip-time", "pyc-time", "order", "identifier", "packing", "residue"),
    *("disk-identifier", "attributes", "target", "kind", "entries", "element", "only"),
    *("package-only", "package-version", "package-database"),
)
_SIGNS = {"a": "-", "b": "+", None: "~"}


def document(comparison: Comparison) -> dict[str, Any]:
    """For --json.  ``in`` is "a", "b" or "both"; of what is secret only the path is there."""
    return {
        "a": _subject(comparison.a),
        "b": _subject(comparison.b),
        "verdict": comparison.verdict,
        "same": comparison.verdict != "different",
        "inputs": list(comparison.inputs),
        "disk": [{"about": each.about, "a": each.a, "b": each.b, "why": each.why} for each in comparison.below],
        "files": [_file(each) for each in comparison.files],
        "unread": list(comparison.unread),
        "compared": comparison.compared,
    }


def _subject(subject: Subject) -> dict[str, Any]:
    image, manifest = subject.image, subject.manifest
    return {
        "image": str(image.path),
        "format": image.format,
        "size": image.size,
        "sha256": image.sha256,
        "recipe": manifest.name if manifest else None,
    }


def _file(each: Explained) -> dict[str, Any]:
    return {
        "path": each.path,
        "in": each.difference.only or "both",
        "what": list(each.difference.what),
        "a": _attributes(each.difference.a),
        "b": _attributes(each.difference.b),
        "package": each.package or None,
        "cause": each.cause.kind,
        "why": each.cause.says,
        "shows": each.cause.shows or None,
    }


def _attributes(file: File | None) -> dict[str, Any] | None:
    """What a file is, without anything that stands in it: a digest of few bytes gives them away."""
    if file is None:
        return None
    return {
        "kind": file.kind,
        "mode": f"{file.mode:04o}",
        "uid": file.uid,
        "gid": file.gid,
        "size": file.size,
        "modified": file.modified / 10**9,
        "target": file.target or None,
        "xattrs": sorted(file.xattrs),
    }


def as_text(comparison: Comparison, *, everything: bool = False) -> str:
    """A line that sums it up, what was compared, and the differences by their causes."""
    lines = [summary(comparison)]
    for name, subject in (("A", comparison.a), ("B", comparison.b)):
        image = subject.image
        lines.append(
            printable(
                f"  {name}  {image.path}: {image.format}, {image.size / 2**20:.0f} MiB, sha256 {image.sha256[:16]}"
            )
        )
    for title, section in (
        ("inputs of the images", [f"  {each}" for each in comparison.inputs]),
        ("not compared", [f"  {printable(each)}" for each in comparison.unread]),
        ("disk", list(_below(comparison))),
        ("files: - in A only, + in B only, ~ not the same", list(_groups(comparison.files, everything))),
    ):
        if section:
            lines += ["", title, *section]
    return "\n".join(lines)


def summary(comparison: Comparison) -> str:
    """One line."""
    match comparison.verdict:
        case "file":
            return "the same: both files have the same bytes"
        case "disk":
            formats = {comparison.a.image.format, comparison.b.image.format}
            of = formats.pop() if len(formats) == 1 else "file"
            return f"the same content, other bytes of the {of}: a guest reads the same from both"
        case "content":
            return (
                f"the same content, other bytes where no file lies: {comparison.compared} paths, the partition table "
                "and the boot areas are the same"
            )
    parts = [f"{len(comparison.files)} of {comparison.compared} paths"]
    if comparison.below:
        parts.append(f"{_counted(comparison.below, 'fact')} of the disk")
    if comparison.unread:
        parts.append(f"{_counted(comparison.unread, 'thing')} could not be compared")
    return f"different: {', '.join(parts)}"


def _counted(found: Sequence[object], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"


def _columns() -> int:
    return max(80, min(160, shutil.get_terminal_size((120, 24)).columns))


def _below(comparison: Comparison) -> Iterator[str]:
    for each in comparison.below:
        yield from _wrapped(f"{each.about}: {_cut(each.a)} -> {_cut(each.b)}", "  ")
        if each.why:
            yield from _wrapped(each.why, "      ")


def _cut(value: str) -> str:
    return printable(value if len(value) <= _LONGEST_VALUE else f"{value[:16]}...") or "none"


def _groups(files: Sequence[Explained], everything: bool) -> Iterator[str]:
    groups: dict[tuple[int, str], list[Explained]] = defaultdict(list)
    for each in files:
        groups[ORDER.index(each.cause.kind), each.cause.says].append(each)
    for (_, says), listed in sorted(groups.items()):
        yield from _wrapped(f"{len(listed)}  {says}", "  ")
        most = len(listed) if everything else _MOST_PATHS
        for each in listed[:most]:
            yield f"    {_SIGNS[each.difference.only]} {printable(each.path)}"
            if each.cause.shows:
                yield from _wrapped(each.cause.shows, "        ")
        if len(listed) > most:
            yield f"      and {len(listed) - most} more (--all shows them)"


def _wrapped(text: str, lead: str) -> list[str]:
    return textwrap.wrap(
        printable(text), _columns(), initial_indent=lead, subsequent_indent=f"{lead}  ", break_on_hyphens=False
    )
