"""Kinds that look at files: file, absent."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from goldsmith.verify.compare import Comparators, Finding, Regex, Strict
from goldsmith.verify.tree import Entry, Tree

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


@dataclass(frozen=True)
class Facts:
    """One path, as the tree or the running guest has it."""

    #: what is written in the link that it is; None where it is none
    target: str | None
    #: what it is or leads to; None where that is nothing
    entry: Entry | None
    #: names of the entry's user and group
    user: Callable[[], str]
    group: Callable[[], str]
    #: the bytes of a plain file
    content: Callable[[], bytes]


def file(assertion: FileAssertion, tree: Tree) -> list[Finding]:
    path = assertion.path
    if not tree.exists(path):
        return compared(assertion, None)
    entry = tree.stat(path)
    facts = Facts(
        target=tree.readlink(path) if tree.is_symlink(path) else None,
        entry=entry,
        user=lambda: tree.user_name(entry.uid) if entry else "",
        group=lambda: tree.group_name(entry.gid) if entry else "",
        content=lambda: tree.read(path),
    )
    return compared(assertion, facts)


def compared(assertion: FileAssertion, facts: Facts | None) -> list[Finding]:
    """What does not hold of a path; ``facts`` None: nothing has its name."""
    path = assertion.path
    if not assertion.exists:
        return [Finding(f"{path} does not exist", f"{path} exists")] if facts else []
    if facts is None:
        return [Finding(f"{path} exists", "nothing of this name")]
    findings = []
    if assertion.symlink is not None and facts.target != assertion.symlink:
        seen = "no symbolic link" if facts.target is None else f"a link to {facts.target}"
        findings.append(Finding(f"{path} is a symbolic link to {assertion.symlink}", seen))
    if assertion.mode is None and assertion.owner is None and assertion.content is None:
        return findings
    entry = facts.entry
    if entry is None:
        return [*findings, Finding(f"{path} leads to a file", "a link that leads nowhere")]
    if assertion.mode is not None and entry.permissions != f"{int(assertion.mode, 8):04o}":
        findings.append(Finding(f"{path} has mode {int(assertion.mode, 8):04o}", entry.permissions))
    if assertion.owner is not None:
        owner = facts.user()
        if ":" in assertion.owner:
            owner += ":" + facts.group()
        if owner != assertion.owner:
            findings.append(Finding(f"{path} belongs to {assertion.owner}", owner))
    if assertion.content is not None:
        if stat.S_ISREG(entry.mode):
            findings += assertion.content.findings(path, facts.content().decode(errors="replace"))
        else:
            findings.append(Finding(f"{path} is a plain file", "something else"))
    return findings


def absent(assertion: AbsentAssertion, tree: Tree) -> list[Finding]:
    return found_of(assertion, tree.glob, tree.contents)


def found_of(
    assertion: AbsentAssertion,
    glob: Callable[[str], list[str]],
    contents: Callable[[str], Iterable[tuple[str, bytes]]],
) -> list[Finding]:
    """What is there and must not be; ``glob`` and ``contents`` are those of a Tree."""
    findings = []
    for pattern in assertion.paths:
        if found := glob(pattern):
            findings.append(Finding(f"nothing matches {pattern}", listed(found)))
    for content in assertion.content:
        regex = re.compile(content.pattern, re.MULTILINE)
        hits = []
        for path, text in contents(content.glob):
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
