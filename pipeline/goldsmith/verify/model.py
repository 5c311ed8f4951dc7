"""Checks as elements write them in checks.yaml: one assertion each, named by its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Protocol, Self, get_args

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from goldsmith.errors import InputError, Problem
from goldsmith.store.manifest import Firmware, Layer
from goldsmith.verify.compare import OrOne, Strict, several
from goldsmith.verify.kinds import files, guest, logs, mounts, network, packages, ports, services
from goldsmith.verify.kinds import registry as registries
from goldsmith.verify.kinds import residue as residues
from goldsmith.verify.kinds import screen as screens

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TREE: tuple[Layer, ...] = ("offline", "shutdown")
_ALL: tuple[Layer, ...] = (*_TREE, "live")
#: the layers that each kind may stand in
LAYERS: dict[str, tuple[Layer, ...]] = {
    "file": _ALL,
    "absent": _ALL,
    "package": _ALL,
    # After a boot there is an identity, and there are logs.
    "residue": ("offline",),
    "registry": _TREE,
    "service": _ALL,
    "command": ("live",),
    "unit": ("live",),
    "kernel_argument": _ALL,
    "sysctl": _ALL,
    "route": ("live",),
    "address": ("live",),
    "port": ("live",),
    "mount": _ALL,
    "log_line": _ALL,
    "screen": ("screen",),
    "metadata": ("network",),
}
#: where a check says nothing, of the kinds for which that is not all of LAYERS
DEFAULTS: dict[str, tuple[Layer, ...]] = {
    "file": _TREE,
    "absent": _TREE,
    "package": _TREE,
    "registry": ("offline",),
    "service": ("offline", "live"),
    "kernel_argument": ("live",),
    "sysctl": ("live",),
    "mount": ("live",),
    "log_line": ("live",),
}

Assertion = (
    files.FileAssertion
    | files.AbsentAssertion
    | packages.PackageAssertion
    | residues.ResidueAssertion
    | registries.RegistryAssertion
    | services.ServiceAssertion
    | guest.CommandAssertion
    | guest.UnitAssertion
    | guest.KernelArgumentAssertion
    | guest.SysctlAssertion
    | network.RouteAssertion
    | network.AddressAssertion
    | network.MetadataAssertion
    | ports.PortAssertion
    | mounts.MountAssertion
    | logs.LogLineAssertion
    | screens.ScreenAssertion
)


class Check(Strict):
    """One assertion, by its key, and the sentence it proves."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"oneOf": [{"required": [kind]} for kind in LAYERS]}
    )

    id: str = Field(pattern=r"^[a-z0-9]\S*$")
    says: str = Field(min_length=8, description="One sentence: what is true of the image when the check passes")
    layers: Annotated[tuple[Layer, ...], BeforeValidator(several), OrOne()] = Field(
        default=(), description="Where it is evaluated; the usual layers of its kind where not given"
    )
    firmware: Annotated[tuple[Firmware, ...], BeforeValidator(several), OrOne()] = Field(
        default=get_args(Firmware), min_length=1, description="Boots in which it is evaluated"
    )
    file: files.FileAssertion | None = None
    absent: files.AbsentAssertion | None = None
    package: packages.PackageAssertion | None = None
    residue: residues.ResidueAssertion | None = None
    registry: registries.RegistryAssertion | None = None
    service: services.ServiceAssertion | None = None
    command: guest.CommandAssertion | None = None
    unit: guest.UnitAssertion | None = None
    kernel_argument: guest.KernelArgumentAssertion | None = None
    sysctl: guest.SysctlAssertion | None = None
    route: network.RouteAssertion | None = None
    address: network.AddressAssertion | None = None
    port: ports.PortAssertion | None = None
    mount: mounts.MountAssertion | None = None
    log_line: logs.LogLineAssertion | None = None
    screen: screens.ScreenAssertion | None = None
    metadata: network.MetadataAssertion | None = None

    @model_validator(mode="after")
    def _one_assertion(self) -> Self:
        kinds = [kind for kind in LAYERS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            found = f"{' and '.join(kinds)} are several" if kinds else "none is given"
            raise ValueError(f"a check has one assertion, {found}; the kinds are {', '.join(LAYERS)}")
        for layer in self.layers:
            if layer not in LAYERS[kinds[0]]:
                raise ValueError(f"layers: {kinds[0]} is evaluated in {' or '.join(LAYERS[kinds[0]])}, not in {layer}")
            if reason := self.assertion.unfit(layer):
                raise ValueError(f"layers: not in {layer}: {reason}")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in LAYERS if getattr(self, kind) is not None)

    @property
    def assertion(self) -> Assertion:
        found: Assertion = getattr(self, self.kind)
        return found

    @property
    def where(self) -> tuple[Layer, ...]:
        """The layers it is evaluated in."""
        usual = DEFAULTS.get(self.kind, LAYERS[self.kind])
        return self.layers or tuple(layer for layer in usual if self.assertion.unfit(layer) is None)


class CheckFile(Strict):
    """checks.yaml before a plan puts parameters in."""

    checks: tuple[Check, ...]


class Planned(Protocol):
    """A check of a plan (goldsmith.recipe): ``spec`` with parameters put in, ``id`` unique in its element."""

    @property
    def element(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def spec(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class BoundCheck:
    """A check of an element of the plan."""

    element: str
    id: str
    check: Check

    @property
    def name(self) -> str:
        return f"{self.element}/{self.id}"


def parse(element: str, check_id: str, spec: Mapping[str, Any]) -> BoundCheck:
    """Read one check.  Raises InputError with all that is wrong with it."""
    # The plan has resolved these; they are gone from what it hands on, or stand there to be read by people.
    rest = {key: value for key, value in spec.items() if key not in ("when", "for_each")}
    return BoundCheck(element, check_id, read(rest, f"elements/{element}/checks.yaml", check_id))


def read(spec: Mapping[str, Any], file: str, place: str) -> Check:
    """Read one check that stands at ``place`` of ``file``.  Raises InputError with all that is wrong with it."""
    try:
        return Check.model_validate(spec)
    except ValidationError as error:
        raise InputError(problems=[_problem(file, place, item) for item in error.errors()]) from error


def parse_all(planned: Iterable[Planned]) -> tuple[BoundCheck, ...]:
    """Read all checks of a plan.  Raises InputError with the problems of all of them."""
    problems: list[Problem] = []
    found: dict[str, BoundCheck] = {}
    for one in planned:
        try:
            bound = parse(one.element, one.id, one.spec)
        except InputError as error:
            problems += error.problems
            continue
        if bound.name in found:
            problems.append(Problem(f"elements/{one.element}/checks.yaml", one.id, "two checks have this id"))
        found[bound.name] = bound
    if problems:
        raise InputError(problems=problems)
    return tuple(found.values())


def _problem(file: str, place: str, item: Any) -> Problem:
    path = ".".join([place, *(str(part) for part in item["loc"])])
    message, suggestion = str(item["msg"]).removeprefix("Value error, "), None
    if item["type"] == "extra_forbidden":
        message = "is not known here"
        close = get_close_matches(str(item["loc"][-1]), _known_keys(item["loc"][:-1]))
        suggestion = f"did you mean {close[0]}" if close else None
    return Problem(file, path, message, suggestion)


def _known_keys(place: tuple[str | int, ...]) -> list[str]:
    """Keys that may stand at a place of a check, found in its JSON Schema."""
    schema: dict[str, Any] = Check.model_json_schema()
    node = schema
    for part in place:
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(str(part), {})
        node = next((choice for choice in node.get("anyOf", []) if "$ref" in choice), node)
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node.get("properties", {}))


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a checks.yaml whose parameters are put in, and of a user's own file of checks."""
    return {"$schema": DIALECT, **CheckFile.model_json_schema(), "title": "goldsmith checks"}
