"""Comparators: how a check compares text, the same in every kind."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

#: an error shows no more than this of a text
_SHOWN_CHARACTERS = 2000


class Strict(BaseModel):
    """Base of all that is read from checks.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def says_nothing(self) -> bool:
        """Whether every key has its default."""
        return all(getattr(self, name) == field.default for name, field in type(self).model_fields.items())

    def unfit(self, layer: str) -> str | None:
        """Why what is asked cannot be evaluated in a layer of its kind; None where it can."""
        return None


@dataclass(frozen=True)
class Finding:
    """One way in which the image is not as the check says."""

    expected: str
    seen: str


def _is_regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return pattern


def several(value: object) -> object:
    """For a list that may be written as its only item."""
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True)
class OrOne:
    """Of a list that ``several`` makes: its JSON Schema takes the only item, too."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        return {"anyOf": [found["items"], found]}


Regex = Annotated[str, Field(min_length=1), AfterValidator(_is_regex)]
_Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(several), OrOne()]
_Patterns = Annotated[tuple[Regex, ...], BeforeValidator(several), OrOne()]


class Comparators(Strict):
    """Assertions on a text; at least one, and all must hold.  Where a list may stand, one text may, too."""

    equals: str | None = Field(default=None, description="The whole text; newlines at the end do not count")
    contains: _Texts = Field(default=(), description="Each of these texts stands in it")
    not_contains: _Texts = Field(default=(), description="None of these texts stands in it")
    matches: _Patterns = Field(
        default=(), description="Each regular expression is found; ^ and $ are line ends, also of one line"
    )
    not_matches: _Patterns = Field(default=(), description="No regular expression of these is found")
    lines: tuple[str, ...] | None = Field(
        default=None, description="Exactly these lines, in any order; blank lines and space around a line do not count"
    )
    count: int | None = Field(default=None, ge=0, description="Number of lines that are not blank")

    @model_validator(mode="after")
    def _something_is_compared(self) -> Self:
        if self.says_nothing():
            raise ValueError("compares nothing: give one of " + ", ".join(type(self).model_fields))
        return self

    def findings(self, what: str, text: str) -> list[Finding]:
        """What does not hold; ``what`` names the text."""
        checked = _Comparison(what, text)
        if self.equals is not None:
            checked.that(text.rstrip("\n") == self.equals.rstrip("\n"), f"is {self.equals!r}")
        for part in self.contains:
            checked.that(part in text, f"contains {part!r}")
        for part in self.not_contains:
            checked.that(part not in text, f"does not contain {part!r}")
        for pattern in self.matches:
            checked.that(re.search(pattern, text, re.MULTILINE), f"matches {pattern!r}")
        for pattern in self.not_matches:
            found = re.search(pattern, text, re.MULTILINE)
            checked.that(not found, f"does not match {pattern!r}", found.group(0) if found else "")
        present = [line.strip() for line in text.splitlines() if line.strip()]
        if self.lines is not None:
            wanted = [line.strip() for line in self.lines if line.strip()]
            missing, surplus = _difference(wanted, present), _difference(present, wanted)
            checked.that(not missing and not surplus, f"has exactly the lines {wanted}", _both(missing, surplus))
        if self.count is not None:
            checked.that(len(present) == self.count, f"has {self.count} lines", f"{len(present)} lines: {shown(text)}")
        return checked.findings


class _Comparison:
    def __init__(self, what: str, text: str) -> None:
        self.what = what
        self.text = text
        self.findings: list[Finding] = []

    def that(self, holds: object, expected: str, seen: str | None = None) -> None:
        if not holds:
            self.findings.append(Finding(f"{self.what} {expected}", shown(self.text) if seen is None else seen))


def _difference(left: list[str], right: list[str]) -> list[str]:
    """What ``left`` has and ``right`` has not, a line that stands twice counted twice."""
    return sorted((Counter(left) - Counter(right)).elements())


def _both(missing: list[str], surplus: list[str]) -> str:
    parts = [f"missing {missing}"] if missing else []
    return "; ".join([*parts, f"surplus {surplus}"] if surplus else parts)


def shown(text: str) -> str:
    """A text as an error shows it: bounded, and visible when empty."""
    text = text.rstrip("\n")
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}... ({len(text)} characters)"
    return text or "(empty)"
