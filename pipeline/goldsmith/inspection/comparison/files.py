"""Every file of what is mounted in an appliance, with attributes and digest, by few questions for many files each."""

from __future__ import annotations

import re
import stat
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from goldsmith.boot import guestfs

_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
)
#: what sha256sum writes for a character that would end its line, and for the one that begins these
_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\\": "\\"}


@dataclass(frozen=True)
class File:
    """A file of any kind.  ``modified`` in nanoseconds, ``size`` in bytes, of plain files alone."""

    kind: str
    #: permissions, with set-id bits
    mode: int
    uid: int
    gid: int
    size: int
    modified: int
    #: of a plain file
    digest: str = ""
    #: of a symbolic link
    target: str = ""
    #: of a device: its number, as st_rdev has it
    device: int = 0
    #: name to value in hex; ACLs, capabilities and SELinux's labels are among them
    xattrs: Mapping[str, str] = field(default_factory=dict)
    #: the other names of the same plain file, sorted
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """Files by their absolute paths; ``unasked`` are names that are no UTF-8, which libguestfs cannot be asked for."""

    files: Mapping[str, File]
    unasked: tuple[str, ...] = ()


def listing(handle: Any) -> Listing:
    """All that is mounted, / first; ``handle`` is a ``guestfs.GuestFS``.  Reads every byte.  Raises HarnessError."""
    by_folder, unasked = _names(handle)
    digests = checksums(handle)
    files: dict[str, File] = {"/": _file(_ask(handle, "lstatnslist", "/", ["."])[0], _xattrs(handle, "/", ["."])[0])}
    inodes: dict[tuple[int, int], list[str]] = defaultdict(list)
    for folder, names in by_folder.items():
        found = _ask(handle, "lstatnslist", folder or "/", names)
        links = [name for name, each in zip(names, found, strict=True) if stat.S_ISLNK(each["st_mode"])]
        targets = dict(zip(links, _ask(handle, "readlinklist", folder or "/", links) if links else [], strict=True))
        xattrs = _xattrs(handle, folder or "/", names)
        for name, each, own in zip(names, found, xattrs, strict=True):
            path = f"{folder}/{name}"
            files[path] = _file(each, own, targets.get(name, ""), digests.get(path, ""))
            if files[path].kind == "file" and each["st_nlink"] > 1:
                inodes[each["st_dev"], each["st_ino"]].append(path)
    for paths in inodes.values():
        for path in paths:
            others = tuple(sorted(set(paths) - {path}))
            files[path] = File(**{**vars(files[path]), "links": others})
    return Listing(files, tuple(unasked))


def checksums(handle: Any) -> dict[str, str]:
    """The sha256 of every plain file that is mounted, by its absolute path.  Raises HarnessError."""
    with tempfile.NamedTemporaryFile(prefix="goldsmith-") as file:
        guestfs.call(lambda: handle.checksums_out("sha256", "/", file.name), "checksums")
        lines = Path(file.name).read_text(errors="surrogateescape").split("\n")
    return dict(_checksum(line) for line in lines if line)


def _checksum(line: str) -> tuple[str, str]:
    """Path and digest; sha256sum escapes some names, and says so by a backslash before the digest."""
    digest, _, path = line.partition("  ")
    if digest.startswith("\\"):
        digest, path = digest[1:], re.sub(r"\\[nr\\]", lambda match: _ESCAPES[match[0]], path)
    return path.removeprefix("."), digest


def _names(handle: Any) -> tuple[dict[str, list[str]], list[str]]:
    """Names by their folders, "" being the root, and those that are no UTF-8."""
    with tempfile.NamedTemporaryFile(prefix="goldsmith-") as file:
        guestfs.call(lambda: handle.find0("/", file.name), "/")
        found = Path(file.name).read_bytes().split(b"\0")
    by_folder: dict[str, list[str]] = defaultdict(list)
    unasked = []
    for each in found:
        if not each:
            continue
        path = f"/{each.decode(errors='surrogateescape')}"
        folder, _, name = path.rpartition("/")
        if path.isascii() or path.encode(errors="replace").decode() == path:
            by_folder[folder].append(name)
        else:
            unasked.append(path)
    return by_folder, unasked


def _ask(handle: Any, question: str, folder: str, names: Sequence[str]) -> list[Any]:
    return list(guestfs.call(partial(getattr(handle, question), folder, names), folder))


def _xattrs(handle: Any, folder: str, names: Sequence[str]) -> list[Mapping[str, str]]:
    """Of each name; libguestfs gives one list, in which an entry without a name says how many follow."""
    flat = iter(_ask(handle, "lxattrlist", folder, names))
    return [
        {own["attrname"]: bytes(own["attrval"]).hex() for own in (next(flat) for _ in range(_count(head["attrval"])))}
        for head in flat
    ]


def _count(value: bytes) -> int:
    return int(bytes(value).rstrip(b"\0") or b"0")


def _file(found: Mapping[str, int], xattrs: Mapping[str, str], target: str = "", digest: str = "") -> File:
    mode = found["st_mode"]
    kind = next((name for test, name in _KINDS if test(mode)), "unknown")
    return File(
        kind=kind,
        mode=stat.S_IMODE(mode),
        uid=found["st_uid"],
        gid=found["st_gid"],
        size=found["st_size"] if kind == "file" else 0,
        modified=found["st_mtime_sec"] * 10**9 + found["st_mtime_nsec"],
        digest=digest,
        target=target,
        device=found["st_rdev"] if kind.endswith("device") else 0,
        xattrs=xattrs,
        links=(),
    )
