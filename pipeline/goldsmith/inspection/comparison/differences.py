"""Two listings of files, compared path by path."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from goldsmith.inspection.comparison.files import File

Side = Literal["a", "b"]

#: what two files of the same kind are compared by, in the order in which it is told
ATTRIBUTES = ("content", "target", "device", "mode", "owner", "xattrs", "links", "time")


@dataclass(frozen=True)
class Difference:
    """A path that is not the same on both sides.  One of ``a`` and ``b`` is None where it is in the other only.

    ``what`` names "kind", or attributes of ATTRIBUTES; it is empty for what is on one side only.
    """

    path: str
    a: File | None
    b: File | None
    what: tuple[str, ...] = ()

    @property
    def only(self) -> Side | None:
        """The side that has it, None where both do."""
        return "b" if self.a is None else "a" if self.b is None else None


def differences(a: Mapping[str, File], b: Mapping[str, File]) -> list[Difference]:
    """All of them, by paths."""
    found = []
    for path in sorted(a.keys() | b.keys()):
        one, other = a.get(path), b.get(path)
        what = tuple(_what(one, other)) if one and other else ()
        if what or one is None or other is None:
            found.append(Difference(path, one, other, what))
    return found


def _what(a: File, b: File) -> Iterator[str]:
    if a.kind != b.kind:
        yield "kind"
        return
    for name in ATTRIBUTES:
        if _attribute(a, name) != _attribute(b, name):
            yield name


def _attribute(file: File, name: str) -> object:
    values: dict[str, object] = {
        "content": (file.digest, file.size),
        "owner": (file.uid, file.gid),
        "time": file.modified,
    }
    return values[name] if name in values else getattr(file, name)


def said(difference: Difference, name: str) -> str:
    """Both sides of an attribute in words, "" for what is told otherwise."""
    a, b = difference.a, difference.b
    if a is None or b is None:
        return ""
    match name:
        case "kind":
            return f"{a.kind} -> {b.kind}"
        case "target":
            return f"link to {a.target} -> {b.target}"
        case "device":
            return f"device {a.device:#x} -> {b.device:#x}"
        case "mode":
            return f"mode {a.mode:04o} -> {b.mode:04o}"
        case "owner":
            return f"owner {a.uid}:{a.gid} -> {b.uid}:{b.gid}"
        case "xattrs":
            names = sorted(key for key in a.xattrs.keys() | b.xattrs.keys() if a.xattrs.get(key) != b.xattrs.get(key))
            return f"xattrs {', '.join(names)}"
        case "links":
            return f"other names: {', '.join(a.links) or 'none'} -> {', '.join(b.links) or 'none'}"
        case "time":
            return f"time {_time(a.modified)} -> {_time(b.modified)}"
    return ""


def _time(nanoseconds: int) -> str:
    """As ISO 8601 has it, with the fraction where there is one."""
    seconds, rest = divmod(nanoseconds, 10**9)
    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"
