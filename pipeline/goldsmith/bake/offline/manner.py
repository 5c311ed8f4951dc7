"""What an element says of being applied to a finished image: its offline.yaml, and what can be seen without one.

offline.yaml is closed:
    offline: applied | left-out
    why: a sentence; needed where it is left out
Without the file an element is applied.  One that works outside the guest is refused before (recipe.image_base).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import yamlfile
from goldsmith.recipe.elements import OFFLINE, Element
from goldsmith.recipe.hooks import PHASES, build_tools_of, scripts
from goldsmith.recipe.problems import dotted, kind_of

_Sentence = Annotated[str, Field(min_length=1)]


class Manner(BaseModel):
    """An element's offline.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    offline: Literal["applied", "left-out"] = "applied"
    why: _Sentence | None = None

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


def problems_of(element: Element) -> list[Problem]:
    """Why the scripts of an element cannot run in a finished image; empty where they can."""
    found = []
    for phase in PHASES:
        for script in scripts(element.folder / phase):
            for tool in build_tools_of(script):
                text = f"uses `{tool}`, which exists only while diskimage-builder builds"
                hint = f"name packages in package-installs.yaml, or say `offline: left-out` in {OFFLINE}"
                found.append(Problem(str(script), "", text, hint))
    return found
