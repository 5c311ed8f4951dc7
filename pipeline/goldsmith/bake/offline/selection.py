"""Which elements of a plan are applied to a finished image, with all that they bring; all that is wrong at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import cast

from goldsmith.bake.offline import manner
from goldsmith.errors import InputError, Problem
from goldsmith.recipe import element_packages
from goldsmith.recipe.elements import Element, find
from goldsmith.recipe.hooks import PHASES, Phase
from goldsmith.recipe.model import Base
from goldsmith.recipe.payload import Entry, Payload, element_entries, install_packages, joined, pack, variables
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings

#: what diskimage-builder's own elements of these names do in a build is done here by other means
SUPPLIED = frozenset({"package-installs", "install-static", "pkg-map", "dib-init-system", "dib-python", "manifests"})
_DEPENDENCIES = "element-deps"


@dataclass(frozen=True)
class Selection:
    """The elements that are applied, in no order: diskimage-builder orders scripts, not elements.

    ``left_out`` maps an element's name to why.
    """

    applied: tuple[Element, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def select(plan: Plan, settings: Settings) -> Selection:
    """Raises InputError with every element that cannot be applied to a finished image, and why."""
    problems: list[Problem] = []
    applied: list[Element] = []
    left_out: dict[str, str] = {}
    for element in _with_dependencies([planned.element for planned in plan.elements], settings):
        said = manner.read(element)
        if said.offline == "left-out":
            left_out[element.name] = said.why or ""
        else:
            problems += manner.problems_of(element)
            applied.append(element)
    if problems:
        raise InputError(problems=problems)
    return Selection(tuple(applied), left_out)


def _with_dependencies(elements: Iterable[Element], settings: Settings) -> list[Element]:
    """The elements and what their element-deps name, through all levels."""
    found = {element.name: element for element in elements}
    waiting = list(found.values())
    while waiting:
        for name in dependencies(waiting.pop()):
            if name not in found and name not in SUPPLIED:
                found[name] = find(name, settings)
                waiting.append(found[name])
    return list(found.values())


def dependencies(element: Element) -> list[str]:
    """The elements that ``element`` names in element-deps."""
    path = element.folder / _DEPENDENCIES
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def packages(plan: Plan, selection: Selection, base: Base) -> list[str]:
    """What must be installed, in the distribution's own names, sorted.  Raises InputError."""
    of_elements = (name for element in selection.applied for name in element_packages.needed(element, base))
    return sorted({*of_elements, *plan.recipe.packages})


def payload(
    plan: Plan,
    selection: Selection,
    base: Base,
    *,
    outside: Sequence[str] = (),
    below: str = "",
    more: Mapping[str, str] | None = None,
) -> Payload:
    """The hooks folder that diskimage-builder mounts at /tmp/in_target.d, with what runs them.

    ``base`` is what was found in the image; ``outside`` are phases that somebody else runs; ``below`` are assignments
    of shell variables that those of the plan and ``more`` go over.  Raises InputError where two elements bring the
    same file.
    """
    phases = (*PHASES, *outside)
    entries = joined((element.name, element_entries(element, phases)) for element in selection.applied)
    own = {element.name for element in selection.applied}
    of_elements = {
        variable: value
        for planned in plan.elements
        if planned.element.name in own
        for variable, value in planned.variables.items()
    }
    environment = {**(more or {}), **plan.recipe.environment, **of_elements}
    facts = [
        Entry("variables", (below + variables(environment, base)).encode()),
        Entry("install_packages.sh", install_packages().encode()),
        Entry("scripts", "".join(f"{name}\n" for name in in_order(entries)).encode()),
        Entry("run", resources.files("goldsmith.bake.offline").joinpath("run.sh").read_bytes(), executable=True),
    ]
    return pack({**entries, **{entry.name: entry for entry in facts}}, b"")


def in_order(names: Iterable[str]) -> list[str]:
    """The scripts of all phases among a payload's ``names``, as dib-run-parts orders them: by ``sort -n``."""

    def place(name: str) -> tuple[int, int, str]:
        phase, _, script = name.partition("/")
        number = re.match(r"[0-9]+", script)
        return [*PHASES].index(cast(Phase, phase)), int(number[0]) if number else 0, script

    return sorted((name for name in names if name.partition("/")[0] in PHASES), key=place)
