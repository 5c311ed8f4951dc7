"""How long a boot may take, and how long nothing may happen in it: numbers that a user's file of rules can change."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import ConfigDict, Field

from goldsmith.errors import Problem
from goldsmith.recipe.problems import did_you_mean
from goldsmith.verify.compare import Strict
from goldsmith.verify.console_rules.phases import all_phases

Seconds = Annotated[float, Field(gt=0, le=86400)]


class PatienceFile(Strict):
    """The part ``patience`` of a file of rules; seconds on the reference host."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    boot: Seconds | None = Field(default=None, description="From power-on until the guest takes commands")
    prompt: Seconds | None = Field(default=None, description="For a login prompt, once the guest takes commands")
    power_off: Seconds | None = Field(default=None, alias="power-off", description="After the power button")
    quiet: dict[str, Seconds] = Field(default={}, description="Phase to the time in which nothing need happen in it")


@dataclass(frozen=True)
class Patience:
    """Seconds on the reference host."""

    #: a boot takes 150-240 s there, and two may share the processors
    boot: float = 900.0
    prompt: float = 60.0
    power_off: float = 240.0
    #: by phase, of those that differ from phases.yaml
    quiet: Mapping[str, float] = field(default_factory=dict)

    def quiet_in(self, phase: str | None, scale: float) -> float:
        """Seconds without a sign of life after which a boot stands still; None is a phase that nobody can see.

        What a guest waits for by its own clock, as a menu's timeout, takes as long on a fast host: ``scale`` makes
        this longer only.
        """
        seconds = {spec.name: self.quiet.get(spec.name, spec.quiet) for spec in all_phases()}
        return (max(seconds.values()) if phase is None else seconds[phase]) * max(1.0, scale)


def patience_from(found: PatienceFile) -> Patience:
    given = {name: value for name in ("boot", "prompt", "power_off") if (value := getattr(found, name)) is not None}
    return dataclasses.replace(Patience(quiet=found.quiet), **given)


def unknown_phases(file: str, names: Iterable[str]) -> list[Problem]:
    """What is wrong with the names in ``quiet``."""
    known = [spec.name for spec in all_phases()]
    return [
        Problem(file, f"patience.quiet.{name}", f"no phase `{name}`", did_you_mean(name, known))
        for name in names
        if name not in known
    ]
