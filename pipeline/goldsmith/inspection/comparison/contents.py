"""Why the bytes of two files differ, by the bytes alone: the most that can be said without knowing what wrote them."""

from __future__ import annotations

import datetime
import itertools
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from goldsmith.inspection.facts import shown

Kind = Literal[
    "disk-identifier", "gzip-time", "packing", "pyc-time", "order", "time", "identifier", "lines", "bytes", "not-read"
]

#: a file that is larger is not read as a whole
LIMIT = 4 * 2**20
_LONGEST_LINE = 72
_SECRET_LINE = re.compile(rb"pass(word|wd|phrase)|secret|token|api_?key|\$[0-9a-z]{1,2}\$", re.IGNORECASE)
#: of a file that holds such a one nothing is shown
_KEY = b"PRIVATE KEY"

_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_CLOCK = rb"\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:AM|PM))?"
_ZONE = rb"(?: ?(?:Z|UTC|GMT|CES?T|[+-]\d\d:?\d\d))?"
_TIMES = re.compile(
    rb"(?<![\w.])(?:"
    rb"(?:19|20)\d\d([-/.])\d\d\1\d\d(?:[T _]" + _CLOCK + _ZONE + rb")?"
    rb"|(?:" + _DAY + rb" +)?" + _MONTH + rb" +\d{1,2},?(?: +" + _CLOCK + _ZONE + rb")?(?: +(?:19|20)\d\d)?"
    rb"|(?:" + _DAY + rb" +)?\d{1,2} +" + _MONTH + rb",? +(?:19|20)\d\d(?: +" + _CLOCK + _ZONE + rb")?"
    rb"|" + _CLOCK + _ZONE + rb""
    rb"|(?:19|20)\d\d[01]\d[0-3]\d(?:T?\d{6}Z?)?"
    rb"|1[0-9]{9}(?:\.\d+)?"
    rb")(?!\w)"
)
_IDENTIFIERS = re.compile(
    rb"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{16,})(?![0-9A-Za-z])"
)
#: how a file begins -> what it is
_MAGIC = (
    (b"07070", "an archive (cpio)"),
    (b"PK\x03\x04", "an archive (zip)"),
    (b"!<arch>\n", "an archive (ar)"),
    (b"hsqs", "an archive (squashfs)"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"\xfd7zXZ\0", "packed by xz"),
    (b"\x1f\x8b", "packed by gzip"),
    (b"BZh", "packed by bzip2"),
    (b"\x04\x22\x4d\x18", "packed by lz4"),
    (b"\x02\x21\x4c\x18", "packed by lz4"),
    (b"\x7fELF", "a program or library (ELF)"),
    (b"MZ", "a program (PE)"),
    (b"SQLite format 3\0", "a database (SQLite)"),
)
#: a number of four bytes is taken for a time between these (2005 and 2038), where both sides are not ten years apart
_FIRST_TIME, _LAST_TIME, _APART = 1_100_000_000, 2**31, 10 * 366 * 86400


@dataclass(frozen=True)
class Content:
    """What was read of a file of ``size`` bytes: all of it, or its first bytes."""

    head: bytes
    size: int

    @property
    def is_whole(self) -> bool:
        return len(self.head) == self.size


@dataclass(frozen=True)
class Reason:
    """``shows`` is text out of the files, "" where there is none that helps; a caller may have to keep it back."""

    kind: Kind
    says: str
    shows: str = ""


def reason(a: Content, b: Content, identifiers: Mapping[str, str]) -> Reason:
    """Why two plain files differ.

    ``identifiers`` are those of the first disk's parts, each with that of its counterpart on the other.
    """
    if not (a.is_whole and b.is_whole):
        why = f"larger than {LIMIT // 2**20} MiB" if max(a.size, b.size) > LIMIT else "many others were read"
        return Reason("not-read", f"{why}: {_what(a.head) or 'not looked at'}")
    return _reason(a.head, b.head, identifiers)


def _reason(a: bytes, b: bytes, identifiers: Mapping[str, str]) -> Reason:
    if a.startswith(b"\x1f\x8b") and b.startswith(b"\x1f\x8b"):
        return _gzip(a, b, identifiers)
    if _is_pyc(a) and _is_pyc(b) and (a[:8], a[12:]) == (b[:8], b[12:]):
        return Reason("pyc-time", "the time of the source, in a .pyc", _times(a, b, 8, "<I"))
    if identifiers and _renamed(a, identifiers) == b:
        return Reason("disk-identifier", "identifiers of the disk and its file systems, which differ")
    is_text = b"\0" not in a and b"\0" not in b
    if is_text and sorted(a.splitlines()) == sorted(b.splitlines()):
        return Reason("order", "the same lines in another order", _first_line(a, b))
    for kind, says, normal in (
        ("time", "a date or time stamp", _without_times),
        ("identifier", "a UUID, digest or random identifier", _without_identifiers),
        ("identifier", "time stamps and identifiers", lambda text: _without_times(_without_identifiers(text))),
    ):
        if normal(a) == normal(b):
            return Reason(kind, says, _first_line(a, b) if is_text else _place(a, b))  # type: ignore[arg-type]
    if is_text:
        return Reason("lines", "other lines", _first_line(a, b))
    if stamp := _number_of_time(a, b):
        return Reason("time", "a number that reads as a time", stamp)
    what = _what(a) or _what(b)
    return Reason("bytes", f"other bytes in {what}" if what else "other bytes", _place(a, b))


def _gzip(a: bytes, b: bytes, identifiers: Mapping[str, str]) -> Reason:
    if (a[:4], a[8:]) == (b[:4], b[8:]):
        return Reason("gzip-time", "the time in a gzip's header", _times(a, b, 4, "<I"))
    inside = [_unpacked(each) for each in (a, b)]
    if inside[0] is None or inside[1] is None:
        return Reason("bytes", "other bytes in what gzip packed", _place(a, b))
    if inside[0] == inside[1]:
        return Reason("packing", "packed otherwise by gzip, the same inside")
    found = _reason(inside[0], inside[1], identifiers)
    return Reason(found.kind, f"packed by gzip, inside: {found.says}", found.shows)


def _unpacked(packed: bytes) -> bytes | None:
    """What gzip packed; None where it is damaged, or larger than what is looked at."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        content = unpacker.decompress(packed, LIMIT)
    except zlib.error:
        return None
    # Packed twice it is left alone: nobody should be able to make this go on.
    return content if unpacker.eof and not content.startswith(b"\x1f\x8b") else None


def _is_pyc(content: bytes) -> bool:
    """PEP 552: a magic number that ends a line, flags that say "by time", then the source's time and size."""
    return len(content) > 16 and content[2:4] == b"\r\n" and content[4:8] == bytes(4)


def _renamed(content: bytes, identifiers: Mapping[str, str]) -> bytes:
    names = sorted(identifiers, key=len, reverse=True)
    pattern = re.compile(b"|".join(re.escape(name.encode()) for name in names), re.IGNORECASE)
    by_name = {name.lower().encode(): other.encode() for name, other in identifiers.items()}
    return pattern.sub(lambda match: by_name[match[0].lower()], content)


def _without_times(content: bytes) -> bytes:
    return _TIMES.sub(b"<time>", content)


def _without_identifiers(content: bytes) -> bytes:
    # Both sides are of one length, and in one form: else it is something else.
    return _IDENTIFIERS.sub(lambda match: re.sub(rb"[0-9A-Fa-f]", b"x", match[0]), content)


def _what(content: bytes) -> str:
    if content[257:262] == b"ustar":
        return "an archive (tar)"
    return next((what for magic, what in _MAGIC if content.startswith(magic)), "")


def _differing(a: bytes, b: bytes) -> Iterator[int]:
    """Where they differ, by pieces first: a comparison of each byte takes a second for some MiB."""
    for start in range(0, min(len(a), len(b)), 4096):
        one, other = a[start : start + 4096], b[start : start + 4096]
        if one != other:
            yield from (start + at for at, (x, y) in enumerate(zip(one, other, strict=False)) if x != y)


def _place(a: bytes, b: bytes) -> str:
    first = next(_differing(a, b), None)
    if first is None:
        return f"{len(a)} bytes -> {len(b)} bytes, the shorter begins the longer"
    return f"from byte {first} on"


def _first_line(a: bytes, b: bytes) -> str:
    """The first line that differs, as it is on both sides; its number alone where it may hold a secret."""
    if any(_KEY in each for each in (a, b)):
        return ""
    one, other = a.splitlines(), b.splitlines()
    for number in range(max(len(one), len(other))):
        lines = [side[number] if number < len(side) else None for side in (one, other)]
        if lines[0] != lines[1]:
            if any(line is not None and _SECRET_LINE.search(line) for line in lines):
                return f"line {number + 1}"
            words = ["no line" if line is None else _quoted(line) for line in lines]
            return f"line {number + 1}: {words[0]} -> {words[1]}"
    return "line ends"


def _quoted(line: bytes) -> str:
    text = line.decode(errors="replace")
    return f'"{shown(text[:_LONGEST_LINE])}{"..." if len(text) > _LONGEST_LINE else ""}"'


def _number_of_time(a: bytes, b: bytes) -> str:
    """All that differs lies in four bytes, aligned, which read as a time on both sides; "" where it does not."""
    places = list(itertools.islice(_differing(a, b), 5)) if len(a) == len(b) else []
    if not places or places[0] // 4 != places[-1] // 4:
        return ""
    start = places[0] // 4 * 4
    words = [each[start : start + 4] for each in (a, b)]
    # Four letters are such a number, too.
    if len(words[0]) < 4 or any(word.isascii() and word.decode().isprintable() for word in words):
        return ""
    for form in ("<I", ">I"):
        one, other = (struct.unpack(form, word)[0] for word in words)
        if all(_FIRST_TIME <= each < _LAST_TIME for each in (one, other)) and abs(one - other) < _APART:
            return f"at byte {start}: {_times(a, b, start, form)}"
    return ""


def _times(a: bytes, b: bytes, at: int, form: str) -> str:
    moments = [datetime.datetime.fromtimestamp(struct.unpack_from(form, each, at)[0], datetime.UTC) for each in (a, b)]
    return " -> ".join(f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments)
