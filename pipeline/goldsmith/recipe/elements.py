"""Elements: finding them, and reading the files that goldsmith adds to diskimage-builder's own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import dib, registry, yamlfile
from goldsmith.recipe.element_schema import close, parameter_problems
from goldsmith.recipe.nova_vocabulary import fault
from goldsmith.recipe.problems import did_you_mean, dotted, kind_of, schema_problems
from goldsmith.recipe.substitute import lint
from goldsmith.settings import Settings

#: files of ours; they describe an element and its proof and never reach the image
SCHEMA, PROPERTIES, CHECKS = "schema.yaml", "properties.yaml", "checks.yaml"
#: how it is applied to a finished image; read by goldsmith.bake.offline
OFFLINE = "offline.yaml"

_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}

_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": True}
_SCHEMA_FILE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["summary"],
    "properties": {
        "summary": {"type": "string", "minLength": 1},
        "parameters": {"type": "object"},
        "requires": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "elements": _NAMES,
                "conflicts": _NAMES,
                "base": {"enum": ["bootstrapped", "image"]},
            },
        },
    },
}
_PROPERTIES_FILE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["properties"],
    "properties": {"properties": {"type": "object", "additionalProperties": {"type": "string"}}},
}
#: what only a Linux guest, or a build of one, can do with an element
_LINUX = (
    "root.d",
    "extra-data.d",
    "pre-install.d",
    "install.d",
    "post-install.d",
    "post-root.d",
    "block-device.d",
    "pre-finalise.d",
    "finalise.d",
    "cleanup.d",
    "environment.d",
    "boot.d",
    "static",
    "element-deps",
    "package-installs.yaml",
)
#: the assertion itself is goldsmith.verify's to judge
_CHECKS_FILE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["checks"],
    "properties": {
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string", "pattern": r"^[a-z0-9$]([a-zA-Z0-9._${}-]*)$"}},
            },
        },
    },
}


@dataclass(frozen=True)
class Element:
    """One folder: ``own`` says that it is not diskimage-builder's.

    ``schema`` is schema.yaml with its parameters closed; ``checks``, ``properties`` and ``registry`` (None without a
    registry.yaml) are raw, ``${parameter}`` not yet replaced.
    """

    name: str
    folder: Path
    own: bool
    schema: dict[str, Any] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    registry: dict[str, list[dict[str, Any]]] | None = None

    @property
    def windows(self) -> bool:
        """Whether it is for Windows."""
        return self.registry is not None

    @property
    def linux(self) -> str | None:
        """The first of its files that only a Linux, or its build, can use; None without."""
        return next((name for name in _LINUX if (self.folder / name).exists()), None)

    @property
    def parameters(self) -> dict[str, Any]:
        """The closed JSON Schema of the parameters."""
        schema: dict[str, Any] = self.schema.get("parameters", _NO_PARAMETERS)
        return schema

    @property
    def needs(self) -> tuple[str, ...]:
        """Elements that must be in the build too."""
        return tuple(self.schema.get("requires", {}).get("elements", ()))

    @property
    def conflicts(self) -> tuple[str, ...]:
        """Elements that must not be in the build."""
        return tuple(self.schema.get("requires", {}).get("conflicts", ()))

    @property
    def base(self) -> Literal["bootstrapped", "image"] | None:
        """The only kind of base that it is for; None if it is for both."""
        kind: Literal["bootstrapped", "image"] | None = self.schema.get("requires", {}).get("base")
        return kind


def available(settings: Settings) -> dict[str, Path]:
    """Every element that a recipe can name: name -> folder; earlier folders of the search path win."""
    found: dict[str, Path] = {}
    for folder in (*settings.elements_path, dib.elements_folder()):
        if folder.is_dir():
            for each in sorted(folder.iterdir()):
                if each.is_dir() and re.match(r"[A-Za-z0-9]", each.name):
                    found.setdefault(each.name, each)
    return found


def find(name: str, settings: Settings) -> Element:
    """The element ``name``.  Raises InputError: unknown, or a file of it is wrong."""
    known = available(settings)
    if name not in known:
        hint = did_you_mean(name, known)
        raise InputError(problems=[Problem(name, "", f"unknown element `{name}`", hint)])
    folder = known[name]
    return load_folder(folder, own=folder.parent != dib.elements_folder())


def load_folder(folder: Path, *, own: bool = True) -> Element:
    """Read one element.  Raises InputError with all that is wrong in its schema, checks and properties."""
    problems: list[Problem] = []
    schema = _document(folder / SCHEMA, _SCHEMA_FILE, problems) or {}
    parameters = schema.get("parameters")
    if isinstance(parameters, dict):
        wrong = parameter_problems(parameters, str(folder / SCHEMA))
        problems.extend(wrong)
        parameters = _NO_PARAMETERS if wrong else close(parameters)
        schema = {**schema, "parameters": parameters}
    checks = _document(folder / CHECKS, _CHECKS_FILE, problems) or {}
    properties = _document(folder / PROPERTIES, _PROPERTIES_FILE, problems) or {}
    values = _document(folder / registry.FILE, registry.json_schema(), problems)
    if not problems:
        element = Element(
            name=folder.name,
            folder=folder,
            own=own,
            schema=schema,
            checks=checks.get("checks", []),
            properties=properties.get("properties", {}),
            registry=values,
        )
        problems = [*_check_problems(element), *_property_problems(element), *_registry_problems(element)]
        if not problems:
            return element
    raise InputError(problems=problems)


def _document(path: Path, schema: dict[str, Any], problems: list[Problem]) -> dict[str, Any] | None:
    """The document in ``path``, None where there is no such file or it is wrong (then said in ``problems``)."""
    if not path.exists():
        return None
    try:
        document = yamlfile.read(path)
    except InputError as error:
        problems.extend(error.problems)
        return None
    if not isinstance(document, dict):
        problems.append(Problem(str(path), "", f"must be a mapping, found {kind_of(document)}"))
        return None
    wrong = schema_problems(schema, document, str(path))
    problems.extend(wrong)
    return None if wrong else document


def _check_problems(element: Element) -> list[Problem]:
    file = str(element.folder / CHECKS)
    found = []
    seen: set[str] = set()
    for index, check in enumerate(element.checks):
        path = ("checks", index)
        if check["id"] in seen:
            found.append(Problem(file, dotted((*path, "id")), f"the id `{check['id']}` is there twice"))
        seen.add(check["id"])
        for error in lint(check, element.parameters):
            found.append(Problem(file, dotted((*path, *error.path)), str(error), error.suggestion))
    return found


def _property_problems(element: Element) -> list[Problem]:
    file = str(element.folder / PROPERTIES)
    found = [
        Problem(file, dotted(("properties", *error.path)), str(error), error.suggestion)
        for error in lint(element.properties, element.parameters)
    ]
    for name, value in element.properties.items():
        if "${" not in value and (wrong := fault(name, value)):
            found.append(Problem(file, f"properties.{name}", *wrong))
    return found


def _registry_problems(element: Element) -> list[Problem]:
    if element.registry is None:
        return []
    file = str(element.folder / registry.FILE)
    found = []
    if element.linux:
        message = f"an element is for Windows or for Linux, and this one has {element.linux} too"
        found.append(Problem(file, "", message, "make it two elements"))
    for part in ("entries", "ini"):
        for index, raw in enumerate(element.registry.get(part, [])):
            for error in lint(raw, element.parameters):
                found.append(Problem(file, dotted((part, index, *error.path)), str(error), error.suggestion))
    return found
