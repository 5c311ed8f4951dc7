"""Kinds that look at a tree: file, absent, package."""

from __future__ import annotations

import re
import stat
from typing import Annotated, Self

from pydantic import Field, model_validator

from goldsmith.errors import HarnessError
from goldsmith.verify.compare import Comparators, Finding, Regex, Strict
from goldsmith.verify.tree import Tree

#: how many of the things found a verdict shows
_SHOWN_ITEMS = 20

AbsolutePath = Annotated[str, Field(pattern=r"^/")]


class FileAssertion(Strict):
    """A file, folder or link of the tree."""

    path: AbsolutePath
    exists: bool = Field(default=True, description="false: nothing has this name")
    mode: str | None = Field(default=None, pattern=r"^0?[0-7]{3,4}$", description="Permissions, in quotes: '0644'")
    owner: str | None = Field(default=None, pattern=r"^[^:]+(:[^:]+)?$", description="user or user:group, by name")
    symlink: str | None = Field(default=None, description="It is a symbolic link, and this is written in it")
    content: Comparators | None = None

    @model_validator(mode="after")
    def _absent_has_nothing(self) -> Self:
        if not self.exists and any((self.mode, self.owner, self.symlink, self.content)):
            raise ValueError("exists: false cannot stand with mode, owner, symlink or content")
        return self


class ContentPattern(Strict):
    """A text that must not stand in any of the files."""

    glob: AbsolutePath
    pattern: Regex


class AbsentAssertion(Strict):
    """What must not be in the tree; a verdict shows what was found."""

    paths: tuple[AbsolutePath, ...] = Field(
        default=(), description="Globs; * matches hidden names too, ** any number of folders"
    )
    content: tuple[ContentPattern, ...] = ()

    @model_validator(mode="after")
    def _something_is_named(self) -> Self:
        if not self.paths and not self.content:
            raise ValueError("names nothing: give paths or content")
        return self


class PackageAssertion(Strict):
    """A package of dpkg's database."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9+.-]*$")
    installed: bool = True


def file(assertion: FileAssertion, tree: Tree) -> list[Finding]:
    path = assertion.path
    if not assertion.exists:
        return [Finding(f"{path} does not exist", f"{path} exists")] if tree.exists(path) else []
    if not tree.exists(path):
        return [Finding(f"{path} exists", "nothing of this name")]
    findings = []
    if assertion.symlink is not None:
        target = tree.readlink(path) if tree.is_symlink(path) else None
        if target != assertion.symlink:
            seen = "no symbolic link" if target is None else f"a link to {target}"
            findings.append(Finding(f"{path} is a symbolic link to {assertion.symlink}", seen))
    if assertion.mode is None and assertion.owner is None and assertion.content is None:
        return findings
    entry = tree.stat(path)
    if entry is None:
        return [*findings, Finding(f"{path} leads to a file", "a link that leads nowhere")]
    if assertion.mode is not None and entry.permissions != f"{int(assertion.mode, 8):04o}":
        findings.append(Finding(f"{path} has mode {int(assertion.mode, 8):04o}", entry.permissions))
    if assertion.owner is not None:
        owner = tree.user_name(entry.uid)
        if ":" in assertion.owner:
            owner += ":" + tree.group_name(entry.gid)
        if owner != assertion.owner:
            findings.append(Finding(f"{path} belongs to {assertion.owner}", owner))
    if assertion.content is not None:
        if stat.S_ISREG(entry.mode):
            findings += assertion.content.findings(path, tree.read(path).decode(errors="replace"))
        else:
            findings.append(Finding(f"{path} is a plain file", "something else"))
    return findings


def absent(assertion: AbsentAssertion, tree: Tree) -> list[Finding]:
    findings = []
    for pattern in assertion.paths:
        if found := tree.glob(pattern):
            findings.append(Finding(f"nothing matches {pattern}", listed(found)))
    for content in assertion.content:
        regex = re.compile(content.pattern, re.MULTILINE)
        hits = []
        for path, text in tree.contents(content.glob):
            if match := regex.search(text.decode(errors="replace")):
                hits.append(f"{path}: {_line_around(match)}")
        if hits:
            findings.append(Finding(f"no file of {content.glob} holds {content.pattern!r}", listed(sorted(hits))))
    return findings


def listed(items: list[str]) -> str:
    """What was found, one a line, bounded."""
    more = len(items) - _SHOWN_ITEMS
    return "\n".join([*items[:_SHOWN_ITEMS], *([f"... and {more} more"] if more > 0 else [])])


def _line_around(match: re.Match[str]) -> str:
    start = match.string.rfind("\n", 0, match.start()) + 1
    end = match.string.find("\n", match.end())
    return match.string[start : None if end < 0 else end].strip()[:200]


def package(assertion: PackageAssertion, tree: Tree) -> list[Finding]:
    status = _dpkg_status(tree, assertion.name)
    if _is_installed(status) == assertion.installed:
        return []
    wanted = "is installed" if assertion.installed else "is not installed"
    return [Finding(f"package {assertion.name} {wanted}", status or "unknown to dpkg")]


def _dpkg_status(tree: Tree, name: str) -> str | None:
    """The Status field of /var/lib/dpkg/status (man 5 deb-control), None where the package is not listed."""
    database = "/var/lib/dpkg/status"
    if tree.stat(database) is None:
        raise HarnessError("there is no database of dpkg to look at", where=database)
    text = tree.read(database).decode(errors="replace")
    found = None
    for stanza in re.split(r"\n\n+", text):
        # A package of several architectures has a stanza for each.
        if re.search(rf"^Package: {re.escape(name)}$", stanza, re.MULTILINE):
            status = re.search(r"^Status: (.+)$", stanza, re.MULTILINE)
            if status and not _is_installed(found):
                found = status.group(1).strip()
    return found


def _is_installed(status: str | None) -> bool:
    """The Status field's last word is the state; "hold ok installed" is installed, too."""
    return status is not None and status.split()[-1:] == ["installed"]
