"""What an element says of being applied to a finished image: its offline.yaml, and what can be seen without one.

offline.yaml is closed:
    offline: applied | left-out | refused
    why: a sentence; needed for the latter two
    ignores: [cleanup.d]      phases of the build's host that a finished image does not need
Without the file an element is applied, and refused where it has scripts for the host of a build.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import yamlfile
from goldsmith.recipe.elements import OFFLINE, Element
from goldsmith.recipe.hooks import HOST_PHASES, PHASES, build_tools_of, scripts
from goldsmith.recipe.problems import dotted, kind_of

_Sentence = Annotated[str, Field(min_length=1)]
HostPhase = Literal["root.d", "extra-data.d", "post-root.d", "block-device.d", "pre-finalise.d", "cleanup.d"]


class Manner(BaseModel):
    """An element's offline.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    offline: Literal["applied", "left-out", "refused"] = "applied"
    why: _Sentence | None = None
    ignores: tuple[HostPhase, ...] = ()

    @model_validator(mode="after")
    def _says_why(self) -> Manner:
        if self.offline != "applied" and not self.why:
            raise ValueError(f"`why` must say why it is {self.offline}")
        return self


def read(element: Element) -> Manner:
    """What ``element`` says.  Raises InputError."""
    path = element.folder / OFFLINE
    if not path.exists():
        return Manner()
    document = yamlfile.read(path)
    if not isinstance(document, dict):
        raise InputError(problems=[Problem(str(path), "", f"must be a mapping, found {kind_of(document)}")])
    try:
        return Manner.model_validate(document)
    except ValidationError as error:
        problems = [Problem(str(path), dotted(each["loc"]), each["msg"]) for each in error.errors()]
        raise InputError(problems=problems) from None


def problems_of(element: Element, manner: Manner) -> list[Problem]:
    """Why an element cannot be applied to a finished image; empty where it can, or is left out."""
    where = str(element.folder)
    if manner.offline == "refused":
        return [Problem(where, "", f"cannot be applied to a finished image: {manner.why}", "leave it out")]
    if manner.offline == "left-out":
        return []
    found = []
    for phase in HOST_PHASES:
        if phase not in manner.ignores and (of_host := list(scripts(element.folder / phase))):
            text = f"runs on the host of a build, so `{element.name}` cannot be applied to a finished image"
            found.append(Problem(str(of_host[0]), "", text, "leave the element out, or build from scratch"))
    for phase in PHASES:
        for script in scripts(element.folder / phase):
            for tool in build_tools_of(script):
                text = f"uses `{tool}`, which exists only while diskimage-builder builds"
                hint = f"name packages in package-installs.yaml, or say `offline: left-out` in {OFFLINE}"
                found.append(Problem(str(script), "", text, hint))
    return found
