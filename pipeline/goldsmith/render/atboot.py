"""What an element says of being applied at first boot: its boot.yaml, and what can be seen without one.

boot.yaml is closed:
    at_boot: applied | left-out | refused
    why: a sentence; needed for the latter two
    phases: [install.d, post-install.d]      the in-guest phases that make sense then; default all
    reboots: true                            one reboot, where the guest is not yet as it should be
    note: a sentence that the operator should read
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import yamlfile
from goldsmith.recipe.elements import Element
from goldsmith.recipe.hooks import PHASES, Phase, build_tools_of, scripts
from goldsmith.recipe.problems import dotted

FILE = "boot.yaml"
#: scripts that only a running guest needs; diskimage-builder does not know the folder
BOOT_PHASE = "boot.d"
#: phases that need the host of a build; block-device.d and cleanup.d only serve the build itself
_HOST_PHASES = ("root.d", "extra-data.d")

_Sentence = Annotated[str, Field(min_length=1)]


class AtBoot(BaseModel):
    """An element's boot.yaml; ``declared`` says whether there is one."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    at_boot: Literal["applied", "left-out", "refused"] = "applied"
    why: _Sentence | None = None
    phases: tuple[Phase, ...] = PHASES
    reboots: StrictBool = False
    note: _Sentence | None = None
    declared: bool = Field(default=True, exclude=True)

    @model_validator(mode="after")
    def _says_why(self) -> AtBoot:
        if self.at_boot != "applied" and not self.why:
            raise ValueError(f"`why` must say why it is {self.at_boot}")
        return self


def read(element: Element) -> AtBoot:
    """What ``element`` says; of one that says nothing, what its files allow.  Raises InputError."""
    path = element.folder / FILE
    if not path.exists():
        return _guess(element)
    document = yamlfile.read(path)
    if not isinstance(document, dict) or "declared" in document:
        raise InputError(problems=[Problem(str(path), "", "must be a mapping of at_boot, why, phases, reboots, note")])
    try:
        return AtBoot.model_validate(document)
    except ValidationError as error:
        problems = [Problem(str(path), dotted(each["loc"]), each["msg"]) for each in error.errors()]
        raise InputError(problems=problems) from None


def _guess(element: Element) -> AtBoot:
    for phase in _HOST_PHASES:
        if (element.folder / phase).is_dir():
            why = f"its {phase} takes something from the host of a build"
            return AtBoot(at_boot="refused", why=why, declared=False)
    return AtBoot(declared=False)


def problems_of(element: Element, at_boot: AtBoot) -> list[Problem]:
    """Why an element that is to be applied cannot be."""
    found = []
    for phase in (*at_boot.phases, BOOT_PHASE):
        for script in scripts(element.folder / phase):
            for tool in build_tools_of(script):
                text = f"uses `{tool}`, which exists only while diskimage-builder builds"
                hint = f"name packages in package-installs.yaml, or say `at_boot: left-out` in {FILE}"
                found.append(Problem(str(script), "", text, hint))
    return found
