"""The kind mount: what is mounted where, in the guest by its kernel, on the disk by /etc/fstab."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from goldsmith.errors import HarnessError
from goldsmith.verify.compare import Finding, Strict
from goldsmith.verify.kinds.files import AbsolutePath
from goldsmith.verify.subjects import LiveGuest
from goldsmith.verify.tree import Tree

_FSTAB = "/etc/fstab"
#: of PID 1: the probe could have a namespace of its own
_MOUNTINFO = "/proc/1/mountinfo"
_TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL")
_OCTAL = re.compile(r"\\([0-7]{3})")


class MountAssertion(Strict):
    """A mount point."""

    path: AbsolutePath
    mounted: bool = Field(default=True, description="false: nothing is mounted there; on a disk: fstab has no entry")
    source: str | None = Field(
        default=None, pattern=r"^\S+$", description="/dev/vda1, UUID=..., LABEL=..., tmpfs; on a disk as fstab has it"
    )
    fstype: str | None = Field(default=None, pattern=r"^\S+$")
    options: tuple[str, ...] = Field(default=(), description="Each stands there, such as ro or size=1g")
    absent_options: tuple[str, ...] = Field(default=(), description="None of these stands there")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.mounted and any((self.source, self.fstype, self.options, self.absent_options)):
            raise ValueError("mounted: false cannot stand with source, fstype or options")
        return self


@dataclass(frozen=True)
class _Mount:
    path: str
    source: str
    fstype: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.source} on {self.path} type {self.fstype} ({','.join(self.options)})"


def mount(assertion: MountAssertion, tree: Tree) -> list[Finding]:
    """The entry of /etc/fstab; the last one where a path has several, which is mounted over the others."""
    text = tree.read(_FSTAB).decode(errors="replace") if tree.stat(_FSTAB) is not None else ""
    return _compared(assertion, _fstab(text, assertion.path), f"entry of {_FSTAB}", {assertion.source})


def mount_live(assertion: MountAssertion, guest: LiveGuest) -> list[Finding]:
    """What is mounted now; of several on one path the last, which hides the others."""
    device = _device(assertion.source)
    resolve = f"readlink -f -- {shlex.quote(device)} || echo" if device else "echo"
    text = guest.output(f"{resolve}; cat {_MOUNTINFO}")
    resolved, _, table = text.partition("\n")
    # A device of the mapper is shown by its link, others by the name that the kernel gave them.
    return _compared(assertion, _mountinfo(table, assertion.path), "mount", {assertion.source, resolved})


def _compared(assertion: MountAssertion, found: _Mount | None, what: str, sources: set[str | None]) -> list[Finding]:
    path = assertion.path
    if not assertion.mounted:
        return [Finding(f"{path} has no {what}", str(found))] if found else []
    if found is None:
        return [Finding(f"{path} has a{'n' if what.startswith('e') else ''} {what}", "none")]
    seen, findings = str(found), []
    if assertion.source is not None and found.source not in sources:
        findings.append(Finding(f"{path} is mounted from {assertion.source}", seen))
    if assertion.fstype is not None and found.fstype != assertion.fstype:
        findings.append(Finding(f"{path} has file system {assertion.fstype}", seen))
    findings += [Finding(f"{path} has option {each}", seen) for each in assertion.options if each not in found.options]
    findings += [
        Finding(f"{path} does not have option {each}", seen)
        for each in assertion.absent_options
        if each in found.options
    ]
    return findings


def _device(source: str | None) -> str | None:
    """The path in /dev of a source that is one or names one by a tag (man 8 mount)."""
    if source is None:
        return None
    tag, equals, value = source.partition("=")
    if equals and tag in _TAGS:
        return f"/dev/disk/by-{tag.lower()}/{value}"
    return source if source.startswith("/") else None


def _fstab(text: str, path: str) -> _Mount | None:
    found = None
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        source, place, fstype = (_plain(field) for field in fields[:3])
        if _same(place, path):
            # Quotes around a tag's value are not part of it (man 5 fstab).
            options = tuple(_plain(fields[3]).split(",")) if len(fields) > 3 else ("defaults",)
            found = _Mount(place, source.replace('"', ""), fstype, options)
    return found


def _mountinfo(text: str, path: str) -> _Mount | None:
    """The last line for a path; fields as in man 5 proc."""
    found = None
    lines = text.splitlines()
    for line in lines:
        head, dash, tail = line.partition(" - ")
        fields, more = head.split(" "), tail.split(" ")
        if not dash or len(fields) < 6 or len(more) < 3:
            raise HarnessError(f"a line of the guest's table of mounts cannot be read: {line[:200]!r}")
        if _same(_plain(fields[4]), path):
            own, shared = fields[5].split(","), more[2].split(",")
            found = _Mount(path, _plain(more[1]), more[0], _options(own, shared))
    if not lines:
        raise HarnessError("the guest's table of mounts is empty", where=_MOUNTINFO)
    return found


def _options(own: list[str], shared: list[str]) -> tuple[str, ...]:
    """Those of the mount and of its file system; it can be written to only where both say so."""
    read_only = "ro" in own or "ro" in shared
    rest = [_plain(each) for each in dict.fromkeys([*own, *shared]) if each not in ("ro", "rw")]
    return ("ro" if read_only else "rw", *rest)


def _same(place: str, path: str) -> bool:
    return (place.rstrip("/") or "/") == (path.rstrip("/") or "/")


def _plain(text: str) -> str:
    r"""A field without its escapes, such as \040 for a space."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
