"""The rules of residue, read from rules.yaml beside this module."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import yamlfile
from goldsmith.recipe.problems import did_you_mean, dotted
from goldsmith.verify.compare import Regex, Strict

Severity = Literal["secret", "identity", "trace"]

#: what each severity means, the worst first
SEVERITIES: dict[Severity, str] = {
    "secret": "who has the image has them",
    "identity": "two instances would be the same machine",
    "trace": "left by the build, or by a boot",
}

RULES = Path(__file__).with_name("rules.yaml")

_Glob = Annotated[str, Field(pattern=r"^(/|~/)[^/]")]


class Rule(Strict):
    """One kind of residue, and where it is found."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    what: str = Field(min_length=4, description="What was found, in a few words")
    says: str = Field(min_length=8, description="Why it matters")
    severity: Severity
    paths: tuple[_Glob, ...] = Field(min_length=1, description="Globs; ~/ stands for every home folder")
    excepting: tuple[_Glob, ...] = Field(default=(), description="Globs of what another rule looks at")
    nonempty: bool = Field(default=False, description="Only plain files that are not empty")
    pattern: Regex | None = Field(default=None, description="Only plain files in which this is found")
    largest: int | None = Field(default=None, gt=0, description="Only files of at most so many bytes")

    @model_validator(mode="after")
    def _shows_names_only(self) -> Self:
        if self.pattern is not None and set(re.compile(self.pattern).groupindex) - {"name"}:
            raise ValueError("a group other than `name` is never shown")
        if self.pattern is None and self.largest is not None:
            raise ValueError("largest goes with pattern")
        return self

    @property
    def plain_files(self) -> bool:
        """Whether only plain files can be a finding; else anything of the name is one."""
        return self.nonempty or self.pattern is not None


class _RuleFile(Strict):
    rules: tuple[Rule, ...] = Field(min_length=1)


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a file.  Raises InputError with all that is wrong with it."""
    try:
        rules = _RuleFile.model_validate(yamlfile.read(path)).rules
    except ValidationError as error:
        problems = [Problem(str(path), dotted(item["loc"]), item["msg"]) for item in error.errors()]
        raise InputError(problems=problems) from error
    seen: set[str] = set()
    twice = [rule.id for rule in rules if rule.id in seen or seen.add(rule.id)]  # type: ignore[func-returns-value]
    if twice:
        raise InputError(problems=[Problem(str(path), rule, "two rules have this id") for rule in twice])
    return rules


@lru_cache(maxsize=1)
def all_rules() -> tuple[Rule, ...]:
    """goldsmith's own rules, by severity, the worst first."""
    order = list(SEVERITIES)
    return tuple(sorted(read_rules(RULES), key=lambda rule: order.index(rule.severity)))


def selected(*, severity: Severity | None = None, ignore: Collection[str] = ()) -> tuple[Rule, ...]:
    """The rules of a severity (of all where None), without those whose ids are in ``ignore``.

    Raises InputError, with a suggestion, for an id that no rule has.
    """
    known = [rule.id for rule in all_rules()]
    for name in ignore:
        if name not in known:
            raise InputError(
                f"no residue rule `{name}`", hint=did_you_mean(name, known) or f"there are {', '.join(known)}"
            )
    return tuple(
        rule for rule in all_rules() if rule.id not in ignore and (severity is None or rule.severity == severity)
    )
