"""Which elements go together on a Windows, and what their parameters mean as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from goldsmith.errors import Problem
from goldsmith.recipe import clock, registry
from goldsmith.recipe.elements import Element
from goldsmith.recipe.problems import dotted
from goldsmith.recipe.substitute import SubstitutionError

#: name of the element, message, suggestion
Finding = tuple[str, str, str | None]


@dataclass(frozen=True)
class PlannedEntry:
    """A value of a registry that an element sets."""

    element: str
    entry: registry.Entry


@dataclass(frozen=True)
class PlannedIni:
    """An option of an ini file that an element sets, where the file exists."""

    element: str
    option: registry.IniOption


def judge(elements: Iterable[Element], *, onto_image: bool) -> Iterator[Finding]:
    """What is wrong with these elements on one base; ``onto_image`` says that it is an image, not made by DIB."""
    listed = list(elements)
    windows = [each.name for each in listed if each.windows]
    if not windows:
        return
    if not onto_image:
        for name in windows:
            yield (
                name,
                f"`{name}` is for Windows, which diskimage-builder cannot build",
                "write base: {image: FILE or https URL}",
            )
        return
    for each in listed:
        if not each.windows:
            yield (
                each.name,
                f"`{each.name}` is for Linux (it has {each.linux or 'no registry.yaml'}), `{windows[0]}` for Windows",
                "leave one of them out",
            )


def judge_clock(parameters: Mapping[str, Any], properties: Mapping[str, str]) -> Iterator[tuple[str, str, str | None]]:
    """What is wrong with the clock of a recipe: path in it, message, suggestion.

    ``parameters`` are those of windows-clock, ``properties`` the recipe's result.
    """
    hosts: clock.Hosts = parameters["hosts"]
    given = parameters.get("universal")
    os_type = properties.get("os_type")
    if os_type != "windows":
        reason = clock.refusal(hosts, os_type, hosts == "utc")
        yield (
            "properties.os_type",
            f"a Windows needs os_type=windows: {reason}",
            "write os_type: windows, or leave it out",
        )
    elif given is not None and (reason := clock.refusal(hosts, os_type, given)):
        right = "false" if given else "true"
        yield "universal", reason, f"write universal: {right}, or leave it out"


def resolve(
    element: Element, parameters: Mapping[str, Any], others: Sequence[PlannedEntry]
) -> tuple[list[PlannedEntry | PlannedIni], list[Problem]]:
    """What an element sets with these parameters, and what is wrong with it; ``others`` are set by other elements."""
    file = str(element.folder / registry.FILE)
    raw = element.registry or {}
    found: list[PlannedEntry | PlannedIni] = []
    problems: list[Problem] = []
    for part in ("entries", "ini"):
        for index, each in enumerate(raw.get(part, [])):
            here = dotted((part, index))
            try:
                resolved = list((registry.entries_of if part == "entries" else registry.ini_of)(each, parameters))
            except SubstitutionError as error:
                problems.append(Problem(file, dotted((part, index, *error.path)), str(error), error.suggestion))
                continue
            for one in resolved:
                if isinstance(one, registry.Wrong):
                    problems.append(Problem(file, f"{here}.{one.path}" if one.path else here, one.message))
                elif isinstance(one, registry.IniOption):
                    found.append(PlannedIni(element.name, one))
                else:
                    mine = [planned for planned in found if isinstance(planned, PlannedEntry)]
                    problems.extend(_clashes(one, [*others, *mine], file, here))
                    found.append(PlannedEntry(element.name, one))
    return found, problems


def _clashes(entry: registry.Entry, others: Iterable[PlannedEntry], file: str, place: str) -> Iterator[Problem]:
    for other in others:
        same = (other.entry.key.upper(), other.entry.value.upper()) == (entry.key.upper(), entry.value.upper())
        if same and (other.entry.type, other.entry.data) != (entry.type, entry.data):
            message = f"`{entry.value}` of {entry.key} is set by `{other.element}` too, to something else"
            yield Problem(file, place, message, "leave one of them out")
