"""The phases of a boot, from the lines of its console; what shows them stands in phases.yaml beside this module."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import Field, ValidationError

from goldsmith.boot.lines import Line
from goldsmith.errors import InputError, Problem
from goldsmith.recipe import yamlfile
from goldsmith.recipe.problems import dotted
from goldsmith.verify.compare import Strict
from goldsmith.verify.console_rules.patterns import LinePattern, Search
from goldsmith.verify.timeline import Phase

PHASES = Path(__file__).with_name("phases.yaml")
#: phases that are kept; a guest that reboots without end has no longer a timeline than another
MOST = 60


class PhaseSpec(Strict):
    """How the console shows a phase; phases.yaml explains the keys."""

    name: str = Field(min_length=2)
    says: str = Field(min_length=4)
    begins: LinePattern | None = None
    shows: LinePattern | None = None
    done: LinePattern | None = None
    denies: LinePattern | None = None
    ends: tuple[str, ...] = ()
    quiet: float = Field(gt=0)


class _PhaseFile(Strict):
    phases: tuple[PhaseSpec, ...] = Field(min_length=1)


@lru_cache(maxsize=1)
def all_phases() -> tuple[PhaseSpec, ...]:
    """The phases in their order; the first begins at power-on."""
    try:
        return _PhaseFile.model_validate(yamlfile.read(PHASES)).phases
    except ValidationError as error:
        problems = [Problem(str(PHASES), dotted(item["loc"]), item["msg"]) for item in error.errors()]
        raise InputError(problems=problems) from error


@dataclass
class _Open:
    """A phase that was seen."""

    name: str
    began: float
    #: whether its beginning was seen, and not only that it runs
    exact: bool
    ended: float | None = None

    def as_phase(self) -> Phase:
        seconds = None if self.ended is None or not self.exact else round(max(0.0, self.ended - self.began), 3)
        return Phase(name=self.name, began=round(self.began, 3), seconds=seconds)


class Tracker:
    """Takes the lines of a console and knows which phases were seen when.

    A machine that starts over begins its phases anew, after those before.
    """

    def __init__(self) -> None:
        self._specs = all_phases()
        self._order = {spec.name: index for index, spec in enumerate(self._specs)}
        self._patterns = {
            text: Search(text)
            for spec in self._specs
            for text in (spec.begins, spec.shows, spec.done, spec.denies)
            if text
        }
        self._now: dict[str, _Open] = {}
        self._seen: list[_Open] = []
        self._begin(self._specs[0].name, 0.0, exact=True)

    def take(self, line: Line) -> None:
        """Look at a line; an unfinished one, such as a prompt, may come several times."""
        denied = {spec.name for spec in self._specs if self._matches(spec.denies, line)}
        for name in denied & self._now.keys():
            self._take_back(name)
        for spec in self._specs:
            found = self._now.get(spec.name)
            if spec.name not in denied and self._matches(spec.begins, line):
                self._began(spec, line)
            elif found is None and not self._is_past(spec) and self._matches(spec.shows, line):
                self._begin(spec.name, line.at, exact=False)
            elif found and found.ended is None and self._matches(spec.done, line):
                found.ended = line.at

    def _matches(self, pattern: str | None, line: Line) -> bool:
        return pattern is not None and self._patterns[pattern](line.text)

    def _is_past(self, spec: PhaseSpec) -> bool:
        """Whether a later phase was seen: the kernel, for one, goes on writing for ever."""
        return any(self._order[name] > self._order[spec.name] for name in self._now)

    def _began(self, spec: PhaseSpec, line: Line) -> None:
        if self._order[spec.name] <= self._order["kernel"] and self._is_past(spec):
            # The machine started over.
            self._now = {}
        elif spec.name in self._now:
            return
        self._begin(spec.name, line.at, exact=True)
        for name in spec.ends:
            if (before := self._now.get(name)) and before.ended is None:
                before.ended = line.at

    def _begin(self, name: str, at: float, *, exact: bool) -> None:
        self._now[name] = begun = _Open(name, at, exact)
        if len(self._seen) < MOST:
            self._seen.append(begun)
        else:
            self._seen[-1] = begun

    def _take_back(self, name: str) -> None:
        """The beginning was another phase's: forget it, and the end that it gave to those before."""
        taken = self._now.pop(name)
        self._seen = [each for each in self._seen if each is not taken]
        for before in self._now.values():
            if before.ended == taken.began:
                before.ended = None

    def phases(self) -> tuple[Phase, ...]:
        return tuple(each.as_phase() for each in self._seen)

    def shows_firmware(self, text: str) -> bool:
        """Whether only the firmware writes this."""
        return self._matches(self._specs[0].shows, Line(1, 0.0, text))

    @property
    def begun(self) -> bool:
        """Whether any phase was seen beside the first, which begins with power-on."""
        return len(self._seen) > 1

    def last(self) -> Phase:
        """The phase that was begun last and is not over; where all are, the last one."""
        current = [each for each in self._now.values() if each.ended is None] or list(self._now.values())
        return max(reversed(current), key=lambda each: each.began).as_phase()
