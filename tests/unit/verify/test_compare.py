from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from goldsmith.verify.compare import Comparators

TEXT = "alpha=1\nbeta=2\n\nbeta=2\n"


def findings(text: str = TEXT, **comparators: Any) -> list[tuple[str, str]]:
    return [(f.expected, f.seen) for f in Comparators.model_validate(comparators).findings("stdout", text)]


@pytest.mark.parametrize(
    "comparators",
    [
        {"equals": "alpha=1\nbeta=2\n\nbeta=2"},
        {"contains": "alpha"},
        {"contains": ["alpha", "beta=2"]},
        {"not_contains": "gamma"},
        {"matches": "^beta=[0-9]$"},
        {"not_matches": "^=2"},
        {"lines": [" beta=2", "alpha=1", "beta=2"]},
        {"count": 3},
    ],
)
def test_what_holds(comparators: dict[str, Any]) -> None:
    assert findings(**comparators) == []


@pytest.mark.parametrize(
    ("comparators", "expected", "seen"),
    [
        ({"equals": "alpha=1"}, "stdout is 'alpha=1'", TEXT.rstrip()),
        ({"contains": ["alpha", "gamma"]}, "stdout contains 'gamma'", TEXT.rstrip()),
        ({"not_contains": "alpha"}, "stdout does not contain 'alpha'", TEXT.rstrip()),
        ({"matches": "^eta"}, "stdout matches '^eta'", TEXT.rstrip()),
        ({"not_matches": "^b.*$"}, "stdout does not match '^b.*$'", "beta=2"),
        (
            {"lines": ["alpha=1", "beta=2", "gamma"]},
            "stdout has exactly the lines ['alpha=1', 'beta=2', 'gamma']",
            "missing ['gamma']; surplus ['beta=2']",
        ),
        ({"count": 2}, "stdout has 2 lines", f"3 lines: {TEXT.rstrip()}"),
    ],
)
def test_what_does_not_hold_is_shown(comparators: dict[str, Any], expected: str, seen: str) -> None:
    assert findings(**comparators) == [(expected, seen)]


def test_every_comparator_is_reported() -> None:
    assert len(findings(equals="x", contains="y", count=9)) == 3


def test_an_empty_text_is_visible_and_a_long_one_bounded() -> None:
    assert findings("", contains="x") == [("stdout contains 'x'", "(empty)")]
    assert len(findings("y" * 10**6, contains="x")[0][1]) < 2100
    assert findings("", equals="") == []
    assert findings("", lines=[]) == []
    assert findings("x", lines=[]) == [("stdout has exactly the lines []", "surplus ['x']")]


@pytest.mark.parametrize(
    "comparators",
    [{}, {"matches": "("}, {"matches": ""}, {"contains": ""}, {"equal": "x"}, {"count": -1}, {"equals": 5}],
)
def test_comparators_that_say_nothing_or_are_wrong_are_refused(comparators: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Comparators.model_validate(comparators)
