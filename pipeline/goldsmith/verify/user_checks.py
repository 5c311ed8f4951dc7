"""A user's own file of checks: as an element's checks.yaml, but with nothing for a plan to put in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import yamlfile
from goldsmith.recipe.problems import did_you_mean, dotted
from goldsmith.store.manifest import BUILT_IN
from goldsmith.verify.model import Check, read

_KEY = "checks"
#: an id is selected by "element/id", so the first part has no slash and no space
_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: what a plan resolves, and no plan looks at this file
_OF_PLANS = ("when", "for_each")


@dataclass(frozen=True)
class UserCheck:
    """A check of a user's file, as a plan's: ``verify_image`` takes both.  ``element`` is the file's stem."""

    element: str
    id: str
    spec: Mapping[str, Any]
    source: Path


def load(path: Path) -> tuple[UserCheck, ...]:
    """The checks of one file.  Raises InputError with all that is wrong with it."""
    return load_all([path])


def load_all(paths: Iterable[Path], elements: Collection[str] = ()) -> tuple[UserCheck, ...]:
    """The checks of several files.  Raises one InputError with all that is wrong with any of them.

    ``elements`` are names that verdicts have already: those of the recipe's elements.
    """
    problems: list[Problem] = []
    found: list[UserCheck] = []
    sources: dict[str, Path] = {}
    for path in paths:
        problems += _name_problems(path, sources, elements)
        sources.setdefault(path.stem, path)
        try:
            found += _load(path)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems=problems)
    return tuple(found)


def _name_problems(path: Path, sources: Mapping[str, Path], elements: Collection[str]) -> list[Problem]:
    stem, file = path.stem, str(path)
    rename = "rename the file: its name without .yaml stands before the id of each of its checks"
    if not _STEM.fullmatch(stem):
        return [Problem(file, "", f"`{stem}` has characters other than letters, digits, dot, _ and -", rename)]
    if stem == BUILT_IN or stem in elements:
        return [Problem(file, "", f"`{stem}` is the name of other checks", rename)]
    if stem in sources:
        return [Problem(file, "", f"has the name of {sources[stem]}", rename)]
    return []


def _load(path: Path) -> list[UserCheck]:
    file = str(path)
    document = yamlfile.read(path)
    if not isinstance(document, dict):
        raise InputError(problems=[Problem(file, "", f"must be a mapping with the key `{_KEY}`")])
    problems = [Problem(file, key, "is not known here", did_you_mean(key, [_KEY])) for key in document if key != _KEY]
    entries = document.get(_KEY)
    if not isinstance(entries, list) or not entries:
        raise InputError(problems=[*problems, Problem(file, _KEY, "must be a list of checks, at least one")])
    checks: dict[str, UserCheck] = {}
    for index, entry in enumerate(entries):
        place = dotted([_KEY, index])
        try:
            check = _check(entry, file, place)
        except InputError as error:
            problems += error.problems
            continue
        if check.id in checks:
            problems.append(Problem(file, f"{place}.id", f"two checks have the id `{check.id}`"))
        checks[check.id] = UserCheck(path.stem, check.id, entry, path)
    if problems:
        raise InputError(problems=problems)
    return list(checks.values())


def _check(entry: object, file: str, place: str) -> Check:
    if not isinstance(entry, dict):
        raise InputError(problems=[Problem(file, place, "must be a mapping with id, says and one assertion")])
    problems = [
        Problem(file, f"{place}.{key}", "goes with an element's parameters, and this file has none")
        for key in _OF_PLANS
        if key in entry
    ]
    try:
        check = read({key: value for key, value in entry.items() if key not in _OF_PLANS}, file, place)
    except InputError as error:
        raise InputError(problems=[*problems, *error.problems]) from error
    if problems:
        raise InputError(problems=problems)
    return check
