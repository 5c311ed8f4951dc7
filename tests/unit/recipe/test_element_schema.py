"""Schemas of parameters: judged, closed, filled, and turned into DIB variables."""

from __future__ import annotations

from typing import Any

import pytest

from goldsmith.recipe.element_schema import JoinError, close, fill, parameter_problems, variable_text, variables_of
from goldsmith.recipe.problems import schema_problems


def wrong(**properties: Any) -> list[tuple[str, str, str | None]]:
    schema = {"type": "object", "properties": properties}
    return [(each.path, each.message, each.suggestion) for each in parameter_problems(schema, "schema.yaml")]


ITEMS = {"type": "object", "properties": {"interface": {"type": "string"}, "address": {"type": "string"}}}


def test_a_good_schema_has_no_problems() -> None:
    how = {"variable": "DIB_A", "item": "{interface}={address}", "join": " "}
    assert (
        wrong(addresses={"type": "array", "items": ITEMS, "default": [], "x-dib": how}, free={"type": "string"}) == []
    )


def test_schema_that_is_no_json_schema() -> None:
    ((path, message, _),) = wrong(a={"type": "strin"})
    assert path == "parameters.properties.a.type"
    assert message.startswith("not a valid JSON Schema: 'strin'")


@pytest.mark.parametrize(
    ("extra", "path"),
    [({"additionalProperties": True}, "parameters"), ({"additionalProperties": {"type": "string"}}, "parameters")],
)
def test_open_parameters_are_refused(extra: dict[str, Any], path: str) -> None:
    (problem,) = parameter_problems({"type": "object", "properties": {}, **extra}, "schema.yaml")
    assert (problem.path, problem.message) == (path, "must be closed: additionalProperties may only be false")


def test_open_items_are_refused() -> None:
    open_items = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
    ((path, message, _),) = wrong(a=open_items)
    assert (path, message) == (
        "parameters.properties.a.items",
        "must be closed: additionalProperties may only be false",
    )
    ((path, message, _),) = wrong(a={"type": "array", "items": {"type": "object"}})
    assert (path, message) == ("parameters.properties.a.items", "is an open object: any key would pass")


def test_parameters_must_be_an_object() -> None:
    (problem,) = parameter_problems({"properties": {}}, "schema.yaml")
    assert problem.path == "parameters.type"


def test_required_names_a_parameter() -> None:
    schema = {"type": "object", "properties": {"address": {"type": "string"}}, "required": ["adress"]}
    (problem,) = parameter_problems(schema, "schema.yaml")
    assert problem.suggestion == "did you mean `address`"


@pytest.mark.parametrize(
    ("schema", "path", "message"),
    [
        ({"type": "string", "x-dib": {"variable": "FOO"}}, "x-dib.variable", "`FOO` does not match ^DIB_[A-Z0-9_]+$"),
        ({"type": "string", "x-dib": {"variable": "DIB_a"}}, "x-dib.variable", "`DIB_a` does not match"),
        ({"type": "string", "x-dib": {}}, "x-dib", "key `variable` is missing"),
        ({"type": "string", "x-dib": "DIB_A"}, "x-dib", "must be a mapping, found the string `DIB_A`"),
        ({"type": "string", "x-dib": {"variable": "DIB_A", "jion": " "}}, "x-dib.jion", "unknown key `jion`"),
        ({"type": "string", "x-dib": {"variable": "DIB_A", "join": " "}}, "x-dib.join", "is for lists only"),
        ({"x-dib": {"variable": "DIB_A"}}, "", "needs a type"),
        (
            {"type": "object", "properties": {"a": {}}, "x-dib": {"variable": "DIB_A"}},
            "x-dib",
            "a mapping cannot become a variable",
        ),
        ({"type": "array", "items": ITEMS, "x-dib": {"variable": "DIB_A"}}, "x-dib", "`item` is missing"),
        (
            {"type": "array", "items": ITEMS, "x-dib": {"variable": "DIB_A", "item": "{interfac}"}},
            "x-dib.item",
            "unknown field `interfac` of an item",
        ),
        (
            {"type": "array", "items": ITEMS, "x-dib": {"variable": "DIB_A", "item": "x"}},
            "x-dib.item",
            "names no field",
        ),
        (
            {"type": "array", "items": {"type": "string"}, "x-dib": {"variable": "DIB_A", "item": "{x}"}},
            "x-dib.item",
            "is for items that are mappings only",
        ),
        (
            {"type": "array", "items": {"type": "array", "items": {}}, "x-dib": {"variable": "DIB_A"}},
            "x-dib",
            "a list of lists",
        ),
        ({"type": "integer", "default": "1"}, "default", "must be a whole number, found the string `1`"),
        ({"enum": ["a"], "default": "b"}, "default", "must be one of `a`"),
        ({"$ref": "http://other.example/schema"}, "", "references to other schemas are not supported"),
    ],
)
def test_one_parameter(schema: dict[str, Any], path: str, message: str) -> None:
    ((place, text, _),) = wrong(param=schema)
    assert place == ".".join(["parameters.properties.param", *([path] if path else [])])
    assert text.startswith(message)


def test_x_dib_belongs_to_a_parameter_not_to_a_field() -> None:
    items = {"type": "object", "properties": {"a": {"type": "string", "x-dib": {"variable": "DIB_A"}}}}
    ((path, message, _),) = wrong(param={"type": "array", "items": items})
    assert path == "parameters.properties.param.items.properties.a.x-dib"
    assert message == "only a parameter itself becomes a variable"


def test_a_variable_is_set_by_one_parameter() -> None:
    ((path, message, _),) = wrong(
        one={"type": "string", "x-dib": {"variable": "DIB_A"}}, two={"type": "string", "x-dib": {"variable": "DIB_A"}}
    )
    assert path == "parameters.properties.two.x-dib.variable"
    assert message == "DIB_A is set by the parameter `one` already"


@pytest.mark.parametrize("name", ["Upper", "with-dash", "9th", "item"])
def test_names_of_parameters(name: str) -> None:
    assert len(wrong(**{name: {"type": "string"}})) == 1


def test_close_refuses_unknown_keys_at_every_depth_and_leaves_its_argument_alone() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": ITEMS}}}
    closed = close(schema)
    paths = [each.path for each in schema_problems(closed, {"b": 1, "a": [{"interfac": "x"}]}, "f")]
    assert sorted(paths) == ["a[0].interfac", "b"]
    assert "additionalProperties" not in schema


def test_close_leaves_combined_schemas_alone() -> None:
    both = {"allOf": [{"type": "object", "properties": {"a": {}}}], "type": "object", "properties": {"a": {}, "b": {}}}
    assert schema_problems(close(both), {"a": 1, "b": 2}, "f") == []


def test_fill_goes_deep_and_copies() -> None:
    default = ["x"]
    schema = {
        "properties": {
            "a": {"default": default},
            "b": {"type": "string"},
            "c": {"type": "array", "items": {"properties": {"d": {"default": 1}, "e": {}}}},
        }
    }
    filled = fill(schema, {"c": [{"e": 2}]})
    assert filled == {"a": ["x"], "b": None, "c": [{"d": 1, "e": 2}]}
    filled["a"].append("y")
    assert default == ["x"]


def test_fill_keeps_what_is_given_even_if_false() -> None:
    assert fill({"properties": {"a": {"default": True}}}, {"a": False}) == {"a": False}


@pytest.mark.parametrize(
    ("how", "value", "text"),
    [
        ({}, "x y", "x y"),
        ({}, 3, "3"),
        ({}, 1.5, "1.5"),
        ({}, True, "1"),
        ({}, False, "0"),
        ({}, None, None),
        ({}, "", ""),
        ({}, [], ""),
        ({}, ["a", 2, True], "a 2 1"),
        ({"join": ", "}, ["a", "b"], "a, b"),
        ({"item": "{i}={a}"}, [{"i": "ens4", "a": "10.0.0.1/24"}, {"i": "ens5", "a": None}], "ens4=10.0.0.1/24 ens5="),
    ],
)
def test_variable_text(how: dict[str, str], value: Any, text: str | None) -> None:
    assert variable_text(how, value) == text


@pytest.mark.parametrize(
    ("how", "value", "message"),
    [
        ({}, ["a b"], "`a b` holds ' ', which separates the items"),
        ({"join": ","}, ["a,b"], "`a,b` holds ','"),
        ({"item": "{i}={a}"}, [{"i": "a b", "a": "c"}], "`a b=c` holds ' '"),
        ({}, ["a", ""], "an item is empty"),
    ],
)
def test_a_list_that_could_not_be_taken_apart_again(how: dict[str, str], value: Any, message: str) -> None:
    with pytest.raises(JoinError) as caught:
        variable_text(how, value)
    assert str(caught.value).startswith(message)


def test_variables_of() -> None:
    schema = {"properties": {"a": {"x-dib": {"variable": "DIB_A"}}, "b": {}, "c": True}}
    assert variables_of(schema) == {"DIB_A": "a"}


def test_references_are_refused_before_a_value_is_judged() -> None:
    # With a default, a validator would go and fetch the other schema.
    reference = {"$ref": "http://other.example/schema"}
    for schema in ({**reference, "default": 1}, {"type": "array", "contains": reference, "default": [1]}):
        ((_, message, _),) = wrong(param=schema)
        assert message == "references to other schemas are not supported"
