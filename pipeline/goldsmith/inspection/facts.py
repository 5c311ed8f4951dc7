"""What is known of an image, and what could not be found out and why."""

from __future__ import annotations

import dataclasses
import stat
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from goldsmith.errors import HarnessError
from goldsmith.verify.residue.search import printable
from goldsmith.verify.tree import HEAD_LIMIT, Tree

T = TypeVar("T")

#: a text from an image that is longer is cut: it goes on a terminal
_LONGEST = 300


@dataclass(frozen=True)
class Unknown:
    """In the place of a fact: why it could not be found out."""

    why: str

    def __str__(self) -> str:
        return f"unknown: {self.why}"


def found(look: Callable[[], T]) -> T | Unknown:
    """What ``look`` returns; Unknown where the image, whose content is anybody's, does not let itself be read."""
    try:
        return look()
    except HarnessError as error:
        return Unknown(shown(f"{error.where}: {error.message}" if error.where else error.message))
    except (ValueError, LookupError, TypeError, AttributeError, OSError, RecursionError, struct.error) as error:
        return Unknown(shown(f"cannot be understood ({type(error).__name__}: {error})"))


def known(fact: T | Unknown) -> T | None:
    """The fact, None where it is not known."""
    return None if isinstance(fact, Unknown) else fact


def unknowns(facts: object) -> list[Unknown]:
    """Every Unknown in a tree of dataclasses, mappings and tuples."""
    if isinstance(facts, Unknown):
        return [facts]
    if dataclasses.is_dataclass(facts):
        return [each for field in dataclasses.fields(facts) for each in unknowns(getattr(facts, field.name))]
    if isinstance(facts, Mapping):
        return [each for value in facts.values() for each in unknowns(value)]
    if isinstance(facts, (tuple, list)):
        return [each for value in facts for each in unknowns(value)]
    return []


def plain(facts: object) -> Any:
    """Facts as JSON has them: dataclasses as objects, an Unknown as ``{"unknown": why}``."""
    if isinstance(facts, Unknown):
        return {"unknown": facts.why}
    if dataclasses.is_dataclass(facts) and not isinstance(facts, type):
        return {field.name: plain(getattr(facts, field.name)) for field in dataclasses.fields(facts)}
    if isinstance(facts, Mapping):
        return {str(name): plain(value) for name, value in facts.items()}
    if isinstance(facts, (tuple, list)):
        return [plain(value) for value in facts]
    return facts


def shown(text: str) -> str:
    """Text from an image as it may be printed: on one line, cut, and with what does not print escaped."""
    return printable(text[:_LONGEST] + ("..." if len(text) > _LONGEST else ""))


def text_of(tree: Tree, path: str) -> str | None:
    """A plain file's first MiB as text; None where there is no such plain file."""
    entry = tree.stat(path)
    if entry is None or not stat.S_ISREG(entry.mode):
        return None
    return tree.head(path, HEAD_LIMIT).decode(errors="replace") if entry.size else ""


def is_file(tree: Tree, path: str) -> bool:
    entry = tree.stat(path)
    return entry is not None and stat.S_ISREG(entry.mode)


def is_executable(tree: Tree, path: str) -> bool:
    """As ``test -x`` says for root: anybody may execute it; a link that leads nowhere is none."""
    entry = tree.stat(path)
    return entry is not None and bool(entry.mode & 0o111)


def settings_of(text: str) -> dict[str, str]:
    """KEY=VALUE lines of a file that a shell may source, without quotes; the last of a name counts."""
    values = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name.replace("_", "").isalnum():
            values[name] = value.strip().strip("\"'")
    return values
