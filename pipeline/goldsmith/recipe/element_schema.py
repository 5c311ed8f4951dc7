"""The parameters of an element: their JSON Schema judged and closed, defaults, and DIB variables."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from goldsmith.errors import Problem
from goldsmith.recipe.problems import did_you_mean, dotted, schema_problems

X_DIB = "x-dib"
_VARIABLE = r"^DIB_[A-Z0-9_]+$"
_X_DIB: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["variable"],
    "properties": {
        "variable": {"type": "string", "pattern": _VARIABLE},
        "item": {"type": "string", "minLength": 1},
        "join": {"type": "string", "minLength": 1},
    },
}
_PARAMETER = re.compile(r"[a-z][a-z0-9_]*")
_FIELD = re.compile(r"\{([^{}]*)\}")

Path_ = tuple[str | int, ...]


class JoinError(ValueError):
    """A value that holds the text which separates the items of its variable."""


_SHAPE = (("properties", "patternProperties"), ("items", "additionalProperties"), ("prefixItems",))
_LOGIC = (("$defs", "dependentSchemas"), ("not", "if", "then", "else", "contains"), ("anyOf", "oneOf", "allOf"))


def _subschemas(
    schema: Any, path: Path_, kinds: tuple[tuple[tuple[str, ...], ...], ...] = (_SHAPE,)
) -> Iterator[tuple[Path_, Mapping[str, Any]]]:
    """The schemas inside ``schema``, itself included: those that describe a part of the value (``_SHAPE``),
    and with ``_LOGIC`` also those that are combined over one value."""
    if not isinstance(schema, Mapping):
        return
    yield path, schema
    for named, single, listed in kinds:
        for key in named:
            for name, inner in (schema.get(key) or {}).items():
                yield from _subschemas(inner, (*path, key, name), kinds)
        for key in single:
            yield from _subschemas(schema.get(key), (*path, key), kinds)
        for key in listed:
            for index, inner in enumerate(schema.get(key) or ()):
                yield from _subschemas(inner, (*path, key, index), kinds)


def _references(schema: Any, path: Path_) -> Iterator[Path_]:
    """Where a schema refers to another, at any keyword; only data is left out."""
    if isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from _references(inner, (*path, index))
    elif isinstance(schema, Mapping):
        if {"$ref", "$dynamicRef"} & set(schema):
            yield path
        for key, inner in schema.items():
            if key not in ("default", "const", "enum", "examples") or path[-1] in ("properties", "$defs"):
                yield from _references(inner, (*path, key))


def _openness(schema: Mapping[str, Any], *, top: bool) -> tuple[str, str | None] | None:
    extra = schema.get("additionalProperties")
    if extra is True or (top and extra not in (None, False)):
        return "must be closed: additionalProperties may only be false", "leave additionalProperties out"
    types = schema.get("type")
    if types == "object" and not top and extra is None and "properties" not in schema:
        return "is an open object: any key would pass", "name its properties, or give additionalProperties a schema"
    return None


def parameter_problems(schema: Mapping[str, Any], file: str) -> list[Problem]:
    """All that is wrong with the ``parameters`` of a schema.yaml."""
    root: Path_ = ("parameters",)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = dotted((*root, *error.absolute_path))
        return [Problem(file, place, f"not a valid JSON Schema: {error.message}")]
    # Before any value is judged: a validator would fetch what a reference names.
    references = [dotted(path) for path in _references(schema, root)]
    if references:
        message = "references to other schemas are not supported"
        return [Problem(file, place, message, "write it out") for place in references]
    found: list[Problem] = []
    if schema.get("type") != "object":
        found.append(Problem(file, "parameters.type", "must be `object`: parameters are a mapping"))
    parameters = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in parameters:
            message = f"`{name}` is required and not among the properties"
            found.append(Problem(file, "parameters.required", message, did_you_mean(name, parameters)))
    direct = {(*root, "properties", name) for name in parameters}
    for path, inner in _subschemas(schema, root):
        if wrong := _openness(inner, top=path == root):
            found.append(Problem(file, dotted(path), *wrong))
    for path, inner in _subschemas(schema, root, (_SHAPE, _LOGIC)):
        if X_DIB in inner and path not in direct:
            found.append(Problem(file, dotted((*path, X_DIB)), "only a parameter itself becomes a variable"))
    variables: dict[str, str] = {}
    for name, inner in parameters.items():
        found.extend(_one_parameter(name, inner, (*root, "properties", name), file, variables))
    return found


def _one_parameter(name: str, schema: Any, path: Path_, file: str, variables: dict[str, str]) -> Iterator[Problem]:
    place = dotted(path)
    if not _PARAMETER.fullmatch(name):
        yield Problem(file, place, f"`{name}` is not a parameter's name: lower-case letters, digits and `_`")
    if name == "item":
        yield Problem(file, place, "`item` is what for_each calls its item", "give the parameter another name")
    if not isinstance(schema, Mapping):
        yield Problem(file, place, "a parameter needs a schema, not true or false")
        return
    if "default" in schema:
        yield from schema_problems(close(schema), schema["default"], file, (*path, "default"))
    if X_DIB not in schema:
        return
    how = schema[X_DIB]
    wrong = schema_problems(_X_DIB, how, file, (*path, X_DIB))
    yield from wrong
    if wrong:
        return
    variable = how["variable"]
    if variable in variables:
        message = f"{variable} is set by the parameter `{variables[variable]}` already"
        yield Problem(file, dotted((*path, X_DIB, "variable")), message)
    variables.setdefault(variable, name)
    yield from _shape_problems(schema, how, path, file)


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type", ())
    return {kind} if isinstance(kind, str) else set(kind)


def _shape_problems(schema: Mapping[str, Any], how: Mapping[str, str], path: Path_, file: str) -> Iterator[Problem]:
    """Whether a value of this shape can become one variable in this way."""
    place = dotted((*path, X_DIB))
    types = _types(schema)
    if not types and "enum" not in schema and "const" not in schema:
        yield Problem(file, dotted(path), "needs a type: how it becomes text depends on it")
    if "object" in types:
        yield Problem(file, place, "a mapping cannot become a variable", "make it a list, or split it into parameters")
    if "array" not in types:
        for key in sorted({"item", "join"} & set(how)):
            yield Problem(file, f"{place}.{key}", "is for lists only")
        return
    items = schema.get("items")
    items = items if isinstance(items, Mapping) else {}
    if "array" in _types(items):
        yield Problem(file, place, "a list of lists cannot become a variable")
    if "object" not in _types(items):
        if "item" in how:
            yield Problem(file, f"{place}.item", "is for items that are mappings only")
        return
    if "item" not in how:
        yield Problem(file, place, "`item` is missing: how an item becomes text", 'as in item: "{interface}={address}"')
        return
    fields = items.get("properties", {})
    names = _FIELD.findall(how["item"])
    for name in names:
        if name not in fields:
            message = f"unknown field `{name}` of an item"
            yield Problem(file, f"{place}.item", message, did_you_mean(name, fields))
    if not names:
        yield Problem(file, f"{place}.item", "names no field of an item: every item would be the same text")


def close(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which every object refuses keys that it does not name, unless it gives them a schema."""
    closed: dict[str, Any] = copy.deepcopy(dict(schema))
    for _, inner in _subschemas(closed, ()):
        if isinstance(inner, dict) and _types(inner) == {"object"}:
            inner.setdefault("additionalProperties", False)
    return closed


def fill(schema: Mapping[str, Any], value: Any) -> Any:
    """``value`` with the defaults of ``schema``; what is optional and has none becomes None.

    Goes into mappings and into the items of lists.
    """
    if isinstance(value, dict) and "properties" in schema:
        filled = dict(value)
        for name, inner in schema["properties"].items():
            start = value.get(name, copy.deepcopy(inner.get("default")))
            filled[name] = fill(inner, start)
        return filled
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [fill(schema["items"], item) for item in value]
    return value


def scalar_text(value: Any) -> str:
    """A scalar as DIB's shell scripts read it: booleans are 1 and 0, null is empty."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


def variables_of(schema: Mapping[str, Any]) -> dict[str, str]:
    """The variables that these parameters can set: variable -> parameter."""
    return {
        inner[X_DIB]["variable"]: name
        for name, inner in schema.get("properties", {}).items()
        if isinstance(inner, Mapping) and X_DIB in inner
    }


def _item_text(form: str, item: Mapping[str, Any]) -> str:
    return _FIELD.sub(lambda found: scalar_text(item.get(found[1])), form)


def variable_text(how: Mapping[str, str], value: Any) -> str | None:
    """The value of a parameter as its variable; None: the variable is not set.

    Raises JoinError where a list could not be taken apart again.
    """
    if value is None:
        return None
    if not isinstance(value, list):
        return scalar_text(value)
    join = how.get("join", " ")
    texts = []
    for item in value:
        text = _item_text(how["item"], item) if isinstance(item, Mapping) else scalar_text(item)
        if join in text or not text:
            what = f"`{text}` holds {join!r}, which separates the items" if text else "an item is empty"
            raise JoinError(what)
        texts.append(text)
    return join.join(texts)
