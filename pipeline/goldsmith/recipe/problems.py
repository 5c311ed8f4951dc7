"""Words for what is wrong with the input: paths, suggestions, and one translation of JSON Schema's errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from goldsmith.errors import Problem

#: more known names than this do not fit into a line
_FEW = 8

QUOTE = "put the value in quotes"


def dotted(parts: Iterable[str | int]) -> str:
    """``("elements", 1, "networkd")`` as ``elements[1].networkd``."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` most looks like; case is no difference."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The suggestion for an unknown name: the nearest one, else all if they are few."""
    names = sorted(set(known))
    if match := nearest(name, names):
        return f"did you mean `{match}`"
    if names and len(names) <= _FEW:
        return "known: " + ", ".join(f"`{each}`" for each in names)
    return None


def kind_of(value: object) -> str:
    """What a YAML author calls ``value``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the string `{value}`"
    return "a mapping" if isinstance(value, Mapping) else "a list"


_TYPES = {
    "array": "a list",
    "object": "a mapping",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def wrong_type(wanted: str | Sequence[str], value: object) -> tuple[str, str | None]:
    """Message and suggestion for a value of another type than the JSON Schema type(s) ``wanted``."""
    types = [wanted] if isinstance(wanted, str) else list(wanted)
    message = f"must be {' or '.join(_TYPES.get(each, each) for each in types)}, found {kind_of(value)}"
    plain = isinstance(value, bool | int | float)
    return message, QUOTE if "string" in types and plain else None


def _unknown_keys(error: ValidationError, noun: str) -> Iterator[tuple[str, str, str | None]]:
    schema: Any = error.schema
    known = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    for key in cast(Any, error.instance):
        if key not in known:
            yield key, f"unknown {noun} `{key}`", did_you_mean(key, known)


def _words(error: ValidationError) -> tuple[str, str | None]:
    value, wanted = error.instance, cast(Any, error.validator_value)
    match error.validator:
        case "type":
            return wrong_type(wanted, value)
        case "enum" | "const":
            allowed = wanted if error.validator == "enum" else [wanted]
            texts = [each for each in allowed if isinstance(each, str)]
            shown = ", ".join(f"`{each}`" for each in allowed)
            match_ = nearest(value, texts) if isinstance(value, str) else None
            return f"must be one of {shown}, found {kind_of(value)}", f"did you mean `{match_}`" if match_ else None
        case "pattern":
            return f"`{value}` does not match {wanted}", None
        case "minItems" | "minLength" | "minProperties" if not value:
            return "must not be empty", None
        case "uniqueItems":
            return "holds the same value twice", None
        case "anyOf" | "oneOf" if error.context and (cause := best_match(error.context)):
            return _words(cause)
        case _:
            return error.message, None


def schema_problems(
    schema: Mapping[str, Any], document: object, file: str, prefix: Sequence[str | int] = (), noun: str = "key"
) -> list[Problem]:
    """All errors of ``document`` under ``schema``.

    ``prefix`` is where the document stands in ``file``; ``noun`` is what its outermost keys are called.
    """
    found: dict[tuple[str, str], Problem] = {}
    for error in Draft202012Validator(schema).iter_errors(document):
        path = [*prefix, *error.absolute_path]
        name = "key" if error.absolute_path else noun
        if error.validator == "additionalProperties" and error.validator_value is False:
            rows = [(dotted([*path, key]), text, hint) for key, text, hint in _unknown_keys(error, name)]
        elif error.validator == "required":
            # jsonschema reports each missing key on its own and names it only in the text: say all, once.
            missing = [key for key in cast(Any, error.validator_value) if key not in error.instance]
            rows = [(dotted(path), f"{name} `{key}` is missing", None) for key in missing]
        else:
            rows = [(dotted(path), *_words(error))]
        for place, message, suggestion in rows:
            found.setdefault((place, message), Problem(file, place, message, suggestion))
    return list(found.values())
