"""Everything that can be known of a recipe before work starts, with all that is wrong in it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import clock, dib, image_base, requirements, windows
from goldsmith.recipe.element_schema import X_DIB, JoinError, fill, variable_text, variables_of
from goldsmith.recipe.elements import CHECKS, PROPERTIES, Element, available, load_folder
from goldsmith.recipe.model import Base, ElementUse, ImageBase, Recipe
from goldsmith.recipe.nova_vocabulary import fault
from goldsmith.recipe.problems import did_you_mean, dotted, nearest, schema_problems
from goldsmith.recipe.releases import DISTRIBUTIONS, judge
from goldsmith.recipe.substitute import SubstitutionError, expand, substitute
from goldsmith.settings import Settings

#: variables that another part of the recipe sets
_RESERVED = {
    "DIB_RELEASE": "base.release",
    "DIB_DISTRIBUTION_MIRROR": "mirror.url",
    "DIB_DEBIAN_DISTRIBUTION_MIRROR": "mirror.url",
    "DIB_DEBIAN_SECURITY_MIRROR": "mirror.security_url",
}


@dataclass(frozen=True)
class PlannedElement:
    """An element as this image uses it: parameters with defaults filled in, and the variables they become."""

    element: Element
    parameters: dict[str, Any]
    variables: dict[str, str]


@dataclass(frozen=True)
class PlannedCheck:
    """One check: ``spec`` has its parameters substituted, and neither ``for_each`` nor ``when``."""

    element: str
    id: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Draft:
    """The parts of a recipe that could be read, wrong or not; ``uses`` keeps each element's place in the list."""

    base: Base | ImageBase | None
    uses: tuple[tuple[int, ElementUse], ...]
    environment: Mapping[str, str]
    properties: Mapping[str, str]
    #: dotted path -> file to name
    file_of: Callable[[str], str]
    #: dotted keys of ``packages``, ``mirror`` and ``disk`` that the recipe has
    given: frozenset[str] = frozenset()

    @classmethod
    def of(cls, recipe: Recipe) -> Draft:
        uses = tuple(enumerate(recipe.elements))
        given = {f"disk.{name}" for name in recipe.disk.model_fields_set}
        given |= {name for name in ("packages", "mirror") if getattr(recipe, name)}
        return cls(recipe.base, uses, recipe.environment, recipe.properties, recipe.file_of, frozenset(given))


@dataclass
class Findings:
    """What ``examine`` found; complete only if ``problems`` is empty."""

    elements: list[PlannedElement] = field(default_factory=list)
    #: the same elements, and those whose parameters are wrong
    loaded: list[Element] = field(default_factory=list)
    dib_elements: tuple[str, ...] = ()
    #: every element of the build, through element-deps: name -> folder
    build: dict[str, Path] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    checks: list[PlannedCheck] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    #: property -> who says so: "element NAME" or "the recipe"
    origins: dict[str, str] = field(default_factory=dict)
    registry: list[windows.PlannedEntry] = field(default_factory=list)
    ini: list[windows.PlannedIni] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def examine(draft: Draft, settings: Settings) -> Findings:
    """Resolve a recipe against its elements.  Raises nothing: what is wrong is in the findings."""
    found = Findings()

    def blame(path: str, message: str, suggestion: str | None = None) -> None:
        found.problems.append(Problem(draft.file_of(path), path, message, suggestion))

    system = _system_element(draft, blame)
    places = _elements(draft, settings, system, found, blame)
    _build(draft, settings, system, found, places, blame)
    _environment(draft, found, places, blame)
    if found.build:
        _required_variables(draft, found, places, blame)
    _checks_and_properties(draft, found, blame)
    for name, message, suggestion in windows.judge(found.loaded, onto_image=not isinstance(draft.base, Base)):
        blame(places.get(name, "elements"), message, suggestion)
    _windows(found, places, blame)
    return found


Blame = Callable[..., None]


def _system_element(draft: Draft, blame: Blame) -> str | None:
    if draft.base is None:
        return None
    if isinstance(draft.base, ImageBase):
        for path, message, suggestion in image_base.judge(draft.base, draft.file_of):
            blame(path, message, suggestion)
        for path, message, suggestion in image_base.judge_rest(draft.base, draft.given):
            blame(path, message, suggestion)
        return None
    wrong = judge(draft.base.distribution, draft.base.release, draft.base.architecture)
    for name, message, suggestion in wrong:
        blame(f"base.{name}", message, suggestion)
    known = DISTRIBUTIONS.get(draft.base.distribution)
    return known.element if known else None


def _plan_element(
    element: Element, given: Mapping[str, Any], where: tuple[str | int, ...], file: str
) -> tuple[PlannedElement | None, list[Problem]]:
    schema = element.parameters
    if problems := schema_problems(schema, dict(given), file, where, noun="parameter"):
        return None, problems
    parameters = fill(schema, dict(given))
    variables: dict[str, str] = {}
    for variable, name in variables_of(schema).items():
        try:
            text = variable_text(schema["properties"][name][X_DIB], parameters[name])
        except JoinError as error:
            problems.append(Problem(file, dotted((*where, name)), str(error)))
            continue
        if text is not None:
            variables[variable] = text
    return PlannedElement(element, parameters, variables), problems


def _elements(draft: Draft, settings: Settings, system: str | None, found: Findings, blame: Blame) -> dict[str, str]:
    """Plan the recipe's elements; returns where each stands in the recipe."""
    known = available(settings)
    places: dict[str, str] = {}
    for index, use in draft.uses:
        path = f"elements[{index}]"
        if use.name in places:
            blame(path, f"the element `{use.name}` is there twice", f"it is at {places[use.name]} already")
            continue
        if use.name == system:
            blame(path, f"`{use.name}` comes with the base", "leave it out")
            continue
        if use.name not in known:
            blame(path, f"unknown element `{use.name}`", did_you_mean(use.name, known))
            continue
        if isinstance(draft.base, ImageBase) and image_base.makes_system(known[use.name]):
            blame(path, f"`{use.name}` makes a system, and the image has one", "leave it out")
            continue
        places[use.name] = path
        _plan_into(found, known[use.name], use.parameters, ("elements", index, use.name), draft.file_of(path))
    return places


def _plan_into(
    found: Findings, folder: Path, given: Mapping[str, Any], where: tuple[str | int, ...], file: str
) -> None:
    try:
        element = load_folder(folder, own=folder.parent != dib.elements_folder())
    except InputError as error:
        found.problems.extend(error.problems)
        return
    found.loaded.append(element)
    planned, problems = _plan_element(element, given, where, file)
    found.problems.extend(problems)
    if planned:
        found.elements.append(planned)


def _build(
    draft: Draft, settings: Settings, system: str | None, found: Findings, places: dict[str, str], blame: Blame
) -> None:
    """The elements of the whole build; those of ours that only element-deps bring in are planned with defaults."""
    onto_image = isinstance(draft.base, ImageBase)
    if system is None and not onto_image:
        return
    found.dib_elements = (*((system,) if system else ()), *places)
    try:
        expand = dib.expand_onto_image if onto_image else dib.expand
        found.build = expand(found.dib_elements, settings.elements_path)
    except dib.DependencyError as error:
        blame("elements", str(error))
        return
    if onto_image:
        for name, message, suggestion in image_base.judge_elements(found.build):
            blame(places.get(name, "elements"), message, suggestion)
    own_folders = {name: path for name, path in found.build.items() if path.parent != dib.elements_folder()}
    for name in sorted(set(own_folders) - set(places)):
        # Their required parameters can only be given in the recipe, so that is where a missing one is blamed.
        _plan_into(found, own_folders[name], {}, ("elements", name), draft.file_of("elements"))
    for element in found.loaded:
        path = places.get(element.name, "elements")
        for name in element.needs:
            if name not in found.build:
                blame(path, f"`{element.name}` needs the element `{name}`", f"add `- {name}` to elements")
        for name in element.conflicts:
            if name in found.build:
                blame(path, f"`{element.name}` and `{name}` cannot be in one image", "leave one of them out")
        if element.base == ("bootstrapped" if onto_image else "image"):
            blame(path, *_WRONG_BASE[element.base](element.name))


_WRONG_BASE: Mapping[str, Callable[[str], tuple[str, str]]] = {
    "bootstrapped": lambda name: (f"`{name}` is for a base that is built, not for an image", "leave it out"),
    "image": lambda name: (f"`{name}` is for a base that is an image", "write base: {image: FILE or https URL}"),
}


def _environment(draft: Draft, found: Findings, places: dict[str, str], blame: Blame) -> None:
    """Join the variables of base, parameters and ``environment``; each may come from one place only."""
    owners: dict[str, tuple[str, str]] = {}
    for element in found.loaded:
        name = element.name
        for variable, parameter in variables_of(element.parameters).items():
            if variable in owners:
                other = " of ".join(f"`{each}`" for each in owners[variable])
                blame(places.get(name, "elements"), f"{variable}: both {other} and `{parameter}` of `{name}` set it")
            owners.setdefault(variable, (parameter, name))
    for planned in found.elements:
        found.environment.update(planned.variables)
    for variable, value in draft.environment.items():
        path = f"environment.{variable}"
        if variable in owners:
            parameter, name = owners[variable]
            hint = f"set it there: - {name}: {{{parameter}: ...}}"
            blame(path, f"{variable} is set by the parameter `{parameter}` of `{name}`", hint)
        elif variable == "DIB_RELEASE" and isinstance(draft.base, ImageBase):
            blame(path, f"{variable} is what is found in the image", "leave it out")
        elif variable in _RESERVED:
            blame(path, f"{variable} is set by `{_RESERVED[variable]}`", "set it there")
        found.environment[variable] = value
    if isinstance(draft.base, Base):
        found.environment["DIB_RELEASE"] = draft.base.release


def _required_variables(draft: Draft, found: Findings, places: dict[str, str], blame: Blame) -> None:
    provided = {variable for folder in found.build.values() for variable in requirements.provided(folder)}
    # an element whose parameters are wrong has no variables yet; that is said already
    planned = {each.element.name for each in found.elements}
    for name, folder in sorted(found.build.items()):
        if name in places and name not in planned:
            continue
        for variable, words in requirements.required(name, folder).items():
            if variable in provided or variable in requirements.ALWAYS_SET or found.environment.get(variable):
                continue
            near = nearest(variable, (each for each in draft.environment if each not in provided))
            if variable in draft.environment:
                hint = "it is empty"
            elif near:
                hint = f"did you mean it by `{near}`"
            else:
                hint = f"add it to environment: {{{variable}: ...}}"
            what = f": {words}" if words else ""
            blame(f"environment.{variable}", f"the element `{name}` needs {variable}{what}", hint)


def _checks_and_properties(draft: Draft, found: Findings, blame: Blame) -> None:
    for planned in found.elements:
        found.problems.extend(_expand_checks(planned, found.checks))
        found.problems.extend(_fill_properties(planned, found, draft.properties))
    for name, value in draft.properties.items():
        if wrong := fault(name, value):
            blame(f"properties.{name}", *wrong)
        found.properties[name] = value
        found.origins[name] = "the recipe"


def _expand_checks(planned: PlannedElement, checks: list[PlannedCheck]) -> Iterator[Problem]:
    element = planned.element
    seen: set[str] = set()
    for index, raw in enumerate(element.checks):
        try:
            specs = expand(raw, planned.parameters)
        except SubstitutionError as error:
            place = dotted(("checks", index, *error.path))
            yield Problem(str(element.folder / CHECKS), place, str(error), error.suggestion)
            continue
        for spec in specs:
            name = str(spec["id"])
            if name in seen:
                place = dotted(("checks", index, "id"))
                yield Problem(str(element.folder / CHECKS), place, f"the id `{name}` is there twice once expanded")
            seen.add(name)
            checks.append(PlannedCheck(element.name, name, spec))


def _fill_properties(planned: PlannedElement, found: Findings, decided: Mapping[str, str]) -> Iterator[Problem]:
    """Add what the element implies; two elements may contradict each other only where the recipe has decided."""
    element, properties = planned.element, found.properties
    file = str(element.folder / PROPERTIES)
    for name, raw in element.properties.items():
        try:
            value = substitute(raw, planned.parameters)
        except SubstitutionError as error:
            yield Problem(file, f"properties.{name}", str(error), error.suggestion)
            continue
        if value is None:
            continue
        if isinstance(value, list | dict):
            yield Problem(file, f"properties.{name}", "a list or a mapping cannot be a property")
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        # What is wrong without a parameter has been said when the element was read.
        if "${" in str(raw) and (wrong := fault(name, text)):
            yield Problem(file, f"properties.{name}", *wrong)
        if name not in decided and properties.get(name, text) != text:
            message = f"`{text}` contradicts `{properties[name]}`, which another element implies"
            yield Problem(file, f"properties.{name}", message, "decide it in the recipe's properties")
        properties[name] = text
        found.origins[name] = f"element {element.name}"


def _windows(found: Findings, places: Mapping[str, str], blame: Blame) -> None:
    for planned in found.elements:
        resolved, problems = windows.resolve(planned.element, planned.parameters, found.registry)
        found.problems.extend(problems)
        found.registry += [each for each in resolved if isinstance(each, windows.PlannedEntry)]
        found.ini += [each for each in resolved if isinstance(each, windows.PlannedIni)]
        if planned.element.name == clock.ELEMENT:
            for path, message, suggestion in windows.judge_clock(planned.parameters, found.properties):
                blame(path if "." in path else f"{places[clock.ELEMENT]}.{clock.ELEMENT}.{path}", message, suggestion)
