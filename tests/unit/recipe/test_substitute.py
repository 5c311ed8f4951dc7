"""Parameters in checks."""

from __future__ import annotations

from typing import Any

import pytest

from goldsmith.recipe.substitute import SubstitutionError, expand, lint, substitute

VALUES: dict[str, Any] = {
    "text": "abc",
    "number": 7,
    "yes": True,
    "nothing": None,
    "names": ["a", "b"],
    "none": [],
    "nics": [{"name": "ens3", "mtu": 1450}, {"name": "ens4", "mtu": None}],
}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${number}", 7),
        ("${yes}", True),
        ("${nothing}", None),
        ("${names}", ["a", "b"]),
        ("x${number}y", "x7y"),
        ("${text}${number}", "abc7"),
        ("flag=${yes}", "flag=true"),
        ("$text $(cmd) $$ ${text}", "$text $(cmd) $$ abc"),
        ("$${text}", "${text}"),
        ("a $${HOME} ${text}", "a ${HOME} abc"),
        ("no reference", "no reference"),
        ("", ""),
    ],
)
def test_strings(text: str, result: object) -> None:
    assert substitute(text, VALUES) == result


def test_a_boolean_stays_a_boolean() -> None:
    # True == 1, so the comparison above cannot tell
    assert substitute("${yes}", VALUES) is True


def test_goes_into_lists_and_mappings_but_not_into_keys() -> None:
    document = {"${text}": ["${number}", {"in": "${text}", "n": 3}]}
    assert substitute(document, VALUES) == {"${text}": [7, {"in": "abc", "n": 3}]}


def test_a_value_is_not_substituted_again() -> None:
    assert substitute("${a}-", {"a": "${b}", "b": "x"}) == "${b}-"


def test_result_shares_nothing_with_the_parameters() -> None:
    result = substitute("${names}", VALUES)
    result.append("c")
    assert VALUES["names"] == ["a", "b"]


@pytest.mark.parametrize(
    ("document", "message", "path", "suggestion"),
    [
        ({"a": ["${txt}"]}, "unknown parameter `txt`", ("a", 0), "did you mean `text`"),
        ("x ${names}", "`${names}` is a list, which text cannot hold", (), "let it be the whole string"),
        (
            "x ${nothing}",
            "`${nothing}` is nothing, which text cannot hold",
            (),
            "skip the check with `when: ${nothing}`",
        ),
        ("${text.a}", "`text.a`: the string `abc` has no field `a`", (), None),
        ("${}", "`${}` is not a reference", (), "write $${ for a literal ${"),
        ("${HOME:-x}", "`${HOME:-x}` is not a reference", (), "write $${ for a literal ${"),
    ],
)
def test_what_cannot_be_substituted(document: Any, message: str, path: tuple[Any, ...], suggestion: str | None) -> None:
    with pytest.raises(SubstitutionError) as caught:
        substitute(document, VALUES)
    assert (str(caught.value), caught.value.path, caught.value.suggestion) == (message, path, suggestion)


def test_expand_without_control_is_one_check() -> None:
    assert expand({"id": "a", "command": {"run": "echo ${text}"}}, VALUES) == [
        {"id": "a", "command": {"run": "echo abc"}}
    ]


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("${yes}", True),
        ("${text}", True),
        ("${nothing}", False),
        ("${none}", False),
        ("${names}", True),
        ({"text": "abc"}, True),
        ({"text": "abd"}, False),
        ({"text": "abc", "number": 7}, True),
        ({"text": "abc", "number": 8}, False),
        ({"nothing": None}, True),
        ({"names": ["a", "b"]}, True),
        (True, True),
        (False, False),
    ],
)
def test_when(condition: Any, kept: bool) -> None:
    assert expand({"id": "a", "when": condition}, VALUES) == ([{"id": "a"}] if kept else [])


def test_a_skipped_check_is_not_substituted() -> None:
    assert expand({"id": "a", "when": "${nothing}", "says": "x ${nothing}"}, VALUES) == []


@pytest.mark.parametrize("condition", ["text", "x ${text}", {}, [], None, 3])
def test_when_of_another_form_is_refused(condition: Any) -> None:
    with pytest.raises(SubstitutionError, match="`when` must be"):
        expand({"id": "a", "when": condition}, VALUES)


def test_when_names_an_unknown_parameter_even_behind_one_that_differs() -> None:
    with pytest.raises(SubstitutionError, match="unknown parameter `polcy`"):
        expand({"id": "a", "when": {"text": "other", "polcy": "strip"}}, VALUES)


def test_for_each_over_scalars() -> None:
    assert expand({"id": "a", "for_each": "${names}", "says": "${item}", "run": "${item}${number}"}, VALUES) == [
        {"id": "a-1", "says": "a", "run": "a7"},
        {"id": "a-2", "says": "b", "run": "b7"},
    ]


def test_for_each_over_mappings_with_when_of_the_item() -> None:
    check = {"id": "mtu-${item.name}", "for_each": "${nics}", "when": "${item.mtu}", "mtu": "${item.mtu}"}
    assert expand(check, VALUES) == [{"id": "mtu-ens3", "mtu": 1450}]


def test_for_each_numbers_items_by_their_place_although_some_are_skipped() -> None:
    check = {"id": "a", "for_each": "${nics}", "when": {"item.name": "ens4"}}
    assert expand(check, VALUES) == [{"id": "a-2"}]


def test_for_each_over_nothing_is_no_check() -> None:
    assert expand({"id": "a", "for_each": "${none}", "says": "${item}"}, VALUES) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("${text}", "`for_each` needs a list, `text` is the string `abc`"),
        ("${nothing}", "`for_each` needs a list, `nothing` is nothing"),
        ("names", "`for_each` must be exactly one `${parameter}`"),
        (["a"], "`for_each` must be exactly one `${parameter}`"),
        ("${name}", "unknown parameter `name`"),
    ],
)
def test_for_each_of_another_form_is_refused(source: Any, message: str) -> None:
    with pytest.raises(SubstitutionError) as caught:
        expand({"id": "a", "for_each": source}, VALUES)
    assert str(caught.value) == message
    assert caught.value.path == ("for_each",)


def test_item_without_for_each_is_unknown() -> None:
    with pytest.raises(SubstitutionError, match="unknown parameter `item`"):
        expand({"id": "a", "says": "${item}"}, VALUES)


SCHEMA: dict[str, Any] = {
    "properties": {
        "policy": {"type": "string"},
        "any": {"enum": ["a", 1]},
        "names": {"type": "array", "items": {"type": "string"}},
        "nics": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "maybe": {"type": ["array", "null"]},
    }
}


@pytest.mark.parametrize(
    "check",
    [
        {"id": "a", "run": "${policy} ${any} $${HOME}"},
        {"id": "a", "run": "${names}"},
        {"id": "a", "when": "${names}"},
        {"id": "a", "when": True},
        {"id": "a", "when": {"policy": "${nobody}"}},
        {"id": "a", "for_each": "${nics}", "run": "x ${item.name}", "when": {"item.name": "x"}},
        {"id": "a", "for_each": "${names}", "run": "x ${item}"},
        {"id": "a", "for_each": "${maybe}", "run": "${item.anything}"},
    ],
)
def test_lint_passes_what_is_good(check: dict[str, Any]) -> None:
    assert lint(check, SCHEMA) == []


@pytest.mark.parametrize(
    ("check", "message", "path", "suggestion"),
    [
        ({"run": ["${polcy}"]}, "unknown parameter `polcy`", ("run", 0), "did you mean `policy`"),
        ({"when": {"polcy": 1}}, "unknown parameter `polcy`", ("when", "polcy"), "did you mean `policy`"),
        ({"when": "${polcy}"}, "unknown parameter `polcy`", ("when",), "did you mean `policy`"),
        ({"run": "x ${names}"}, "`${names}` is a list or a mapping, which text cannot hold", ("run",), None),
        ({"run": "${item}"}, "unknown parameter `item`", ("run",), "it exists in a check with `for_each` only"),
        ({"run": "${policy.x}"}, "`policy.x` has no field `x`", ("run",), None),
        ({"run": "${HOME:-1}"}, "`${HOME:-1}` is not a reference", ("run",), "write $${ for a literal ${"),
        ({"for_each": "${policy}"}, "`for_each` needs a list, `policy` is none", ("for_each",), None),
        ({"for_each": "names"}, "`for_each` must be exactly one `${parameter}`", ("for_each",), None),
        ({"when": "policy"}, "`when` must be `${parameter}` or {parameter: value}", ("when",), None),
        (
            {"for_each": "${nics}", "run": "${item.nam}"},
            "unknown field `nam` of `item`",
            ("run",),
            "did you mean `name`",
        ),
        (
            {"for_each": "${nics}", "run": "x ${item}"},
            "`${item}` is a list or a mapping, which text cannot hold",
            ("run",),
            None,
        ),
        ({"for_each": "${names}", "run": "${item.x}"}, "`item.x` has no field `x`", ("run",), None),
    ],
)
def test_lint_finds(check: dict[str, Any], message: str, path: tuple[Any, ...], suggestion: str | None) -> None:
    (error,) = lint({"id": "a", **check}, SCHEMA)
    assert (str(error), error.path, error.suggestion) == (message, path, suggestion)


def test_lint_says_an_unknown_for_each_once() -> None:
    (error,) = lint({"id": "a", "for_each": "${nicks}", "run": "${item.name}"}, SCHEMA)
    assert str(error) == "unknown parameter `nicks`"
