"""Console rules: goldsmith's own, from rules.yaml beside this module, and a user's over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import yamlfile
from goldsmith.recipe.problems import did_you_mean, dotted
from goldsmith.verify.compare import Strict
from goldsmith.verify.console_rules.patience import Patience, PatienceFile, patience_from, unknown_phases
from goldsmith.verify.console_rules.patterns import LinePattern

#: what each severity does
SEVERITIES = {
    "error": "the check goldsmith/console fails",
    "warning": "it stands in the report",
}
RULES = Path(__file__).with_name("rules.yaml")


class Rule(Strict):
    """A sign on the console that something is wrong."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)
    pattern: LinePattern = Field(description="Searched in each line")
    unless: LinePattern | None = Field(default=None, description="Lines in which this is found, too, do not count")
    says: str = Field(min_length=4, description="What it means")
    severity: Literal["error", "warning"] = "error"
    ends: bool = Field(default=False, description="The boot is over then: nothing is waited for any more")
    most: int = Field(default=0, ge=0, le=1000, description="So many such lines are none too many")

    @model_validator(mode="after")
    def _only_an_error_ends(self) -> Self:
        if self.ends and self.severity != "error":
            raise ValueError("ends goes with severity error")
        return self


class Required(Strict):
    """A line that must be there."""

    pattern: LinePattern = Field(description="Searched in each line")
    says: str = Field(min_length=4, description="What it proves")


class Harmless(Strict):
    """Lines that are no sign of anything; as plain text the id of a rule that shall not be applied."""

    rule: str | None = Field(default=None, description="Only this rule overlooks them; without pattern, it is left out")
    pattern: LinePattern | None = Field(default=None, description="Searched in the line")
    says: str = Field(default="", description="Why they are harmless")

    @model_validator(mode="after")
    def _something_is_harmless(self) -> Self:
        if self.rule is None and self.pattern is None:
            raise ValueError("give a rule, a pattern, or both")
        return self


def _as_mapping(value: Any) -> Any:
    return {"rule": value} if isinstance(value, str) else value


class RuleFile(Strict):
    """A file of rules; a user's may leave out any list, but not all."""

    rules: tuple[Rule, ...] = Field(default=(), description="In the place of goldsmith's rules of the same ids, or new")
    require: tuple[Required, ...] = Field(default=(), description="Lines that must be there")
    ignore: tuple[Annotated[Harmless, BeforeValidator(_as_mapping)], ...] = Field(
        default=(), description="Ids of rules, and lines that are harmless"
    )
    patience: PatienceFile = Field(default=PatienceFile(), description="How long is waited")

    @model_validator(mode="after")
    def _something_is_said(self) -> Self:
        if self.says_nothing():
            raise ValueError("changes nothing: give one of rules, require, ignore, patience")
        return self


@dataclass(frozen=True)
class ConsoleRules:
    """What a boot's console is held against."""

    rules: tuple[Rule, ...]
    require: tuple[Required, ...] = ()
    ignore: tuple[Harmless, ...] = ()
    patience: Patience = field(default_factory=Patience)
    #: the user's file
    source: Path | None = None


def read_file(path: Path) -> RuleFile:
    """Read a file of rules.  Raises InputError with all that is wrong with it."""
    document = yamlfile.read(path)
    if not isinstance(document, dict):
        raise InputError(problems=[Problem(str(path), "", "must be a mapping with rules, require or ignore")])
    try:
        found = RuleFile.model_validate(document)
    except ValidationError as error:
        problems = [Problem(str(path), dotted(item["loc"]), _words(item["msg"])) for item in error.errors()]
        raise InputError(problems=problems) from error
    if twice := _twice(rule.id for rule in found.rules):
        raise InputError(problems=[Problem(str(path), "rules", f"two rules have the id `{name}`") for name in twice])
    return found


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")


def _twice(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]


@lru_cache(maxsize=1)
def built_in() -> ConsoleRules:
    """goldsmith's own rules."""
    return ConsoleRules(read_file(RULES).rules)


def with_users(path: Path) -> ConsoleRules:
    """goldsmith's rules, bent and extended by a user's file.  Raises InputError with all that is wrong with it."""
    own, users = built_in(), read_file(path)
    by_id = {rule.id: rule for rule in (*own.rules, *users.rules)}
    problems = [
        Problem(str(path), f"ignore[{index}].rule", f"no rule `{each.rule}`", did_you_mean(each.rule, by_id))
        for index, each in enumerate(users.ignore)
        if each.rule is not None and each.rule not in by_id
    ]
    problems += unknown_phases(str(path), users.patience.quiet)
    if problems:
        raise InputError(problems=problems)
    left_out = {each.rule for each in users.ignore if each.pattern is None}
    rules = tuple(rule for rule in by_id.values() if rule.id not in left_out)
    ignore = tuple(each for each in users.ignore if each.pattern is not None)
    patience = patience_from(users.patience)
    return dataclasses.replace(own, rules=rules, require=users.require, ignore=ignore, patience=patience, source=path)
