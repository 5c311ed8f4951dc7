"""Parameters in checks: ``${parameter}`` in strings, ``for_each`` and ``when``.

A string that is exactly one reference becomes the typed value; inside other text a reference becomes text.
``$${`` stands for a literal ``${``.  ``for_each: ${list}`` repeats a check with ``${item}`` or ``${item.field}``;
``when: ${parameter}`` or ``when: {parameter: value, ...}`` leaves it out unless it holds.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from goldsmith.recipe.problems import did_you_mean, kind_of

_REFERENCE = re.compile(r"\$?\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
ITEM = "item"
#: keys of a check that are resolved here and are gone afterwards
CONTROL = ("for_each", "when")


class SubstitutionError(ValueError):
    """A check that cannot be resolved; ``path`` is where in the check, ``suggestion`` what to write."""

    def __init__(self, message: str, path: tuple[str | int, ...] = (), suggestion: str | None = None) -> None:
        self.path = path
        self.suggestion = suggestion
        super().__init__(message)


def _resolve(reference: str, scope: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
    if not _NAME.fullmatch(reference):
        raise SubstitutionError(f"`${{{reference}}}` is not a reference", path, "write $${ for a literal ${")
    first, *fields = reference.split(".")
    if first not in scope:
        raise SubstitutionError(f"unknown parameter `{first}`", path, did_you_mean(first, scope))
    value = scope[first]
    for field in fields:
        if not isinstance(value, Mapping):
            raise SubstitutionError(f"`{reference}`: {kind_of(value)} has no field `{field}`", path)
        # a field that its schema lets an item leave out is null; misspelled ones are found by lint()
        value = value.get(field)
    return value


def _as_text(reference: str, value: Any, path: tuple[str | int, ...]) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    hint = f"skip the check with `when: ${{{reference}}}`" if value is None else "let it be the whole string"
    raise SubstitutionError(f"`${{{reference}}}` is {kind_of(value)}, which text cannot hold", path, hint)


def _exact(text: str) -> str | None:
    """The reference that ``text`` consists of, if it does."""
    found = _REFERENCE.fullmatch(text)
    return found[1] if found and not text.startswith("$$") else None


def substitute(value: Any, scope: Mapping[str, Any], path: tuple[str | int, ...] = ()) -> Any:
    """``value`` with every reference in its strings resolved; the result shares nothing with ``scope``.

    Keys of mappings are left as they are.  Raises SubstitutionError.
    """
    if isinstance(value, Mapping):
        return {key: substitute(inner, scope, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [substitute(inner, scope, (*path, index)) for index, inner in enumerate(value)]
    if not isinstance(value, str):
        return value
    if (reference := _exact(value)) is not None:
        return copy.deepcopy(_resolve(reference, scope, path))

    def replaced(found: re.Match[str]) -> str:
        if found[0].startswith("$$"):
            return found[0][1:]
        return _as_text(found[1], _resolve(found[1], scope, path), path)

    return _REFERENCE.sub(replaced, value)


def _condition(condition: Any, scope: Mapping[str, Any]) -> bool:
    if isinstance(condition, bool):
        return condition
    if isinstance(condition, str) and (reference := _exact(condition)) is not None:
        return bool(_resolve(reference, scope, ("when",)))
    if isinstance(condition, Mapping) and condition:
        # every reference is resolved even after one differs: a misspelled name must not hide behind it
        held = [_resolve(str(key), scope, ("when", key)) == value for key, value in condition.items()]
        return all(held)
    raise SubstitutionError("`when` must be `${parameter}` or {parameter: value}", ("when",))


def _items(check: Mapping[str, Any], scope: Mapping[str, Any]) -> list[Any]:
    source = check["for_each"]
    reference = _exact(source) if isinstance(source, str) else None
    if reference is None:
        raise SubstitutionError("`for_each` must be exactly one `${parameter}`", ("for_each",))
    items = _resolve(reference, scope, ("for_each",))
    if not isinstance(items, list):
        raise SubstitutionError(f"`for_each` needs a list, `{reference}` is {kind_of(items)}", ("for_each",))
    return items


def expand(check: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The checks that one entry of checks.yaml stands for, without ``for_each`` and ``when``; none if skipped.

    The id of a repeated check is its own where it names the item, else the id with ``-1``, ``-2``...
    Raises SubstitutionError.
    """
    body = {key: value for key, value in check.items() if key not in CONTROL}
    repeated = "for_each" in check
    scopes = [{**parameters, ITEM: item} for item in _items(check, parameters)] if repeated else [parameters]
    expanded = []
    for number, scope in enumerate(scopes, start=1):
        if "when" in check and not _condition(check["when"], scope):
            continue
        resolved = substitute(body, scope)
        if repeated and resolved.get("id") == body.get("id"):
            resolved["id"] = f"{body.get('id')}-{number}"
        expanded.append(resolved)
    return expanded


def _references(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, bool, tuple[str | int, ...]]]:
    """(reference, whether it is the whole string, path) of every reference in ``value``."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _references(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _references(inner, (*path, index))
    elif isinstance(value, str):
        exact = _exact(value) is not None
        for found in _REFERENCE.finditer(value):
            if not found[0].startswith("$$"):
                yield found[1], exact, path


def _mapping(schema: Any) -> Mapping[str, Any]:
    """A subschema; ``true`` and ``false`` are schemas too and say nothing of the value's shape."""
    return schema if isinstance(schema, Mapping) else {}


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type", [])
    return {kind} if isinstance(kind, str) else set(kind)


def lint(check: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[SubstitutionError]:
    """What is wrong with a check whatever values its parameters take.

    ``parameters`` is the JSON Schema of the element's parameters.  Found: unknown parameters and fields, lists
    and mappings inside text, ``for_each`` over what is no list.
    """
    scope: dict[str, Mapping[str, Any]] = {
        name: _mapping(schema) for name, schema in parameters.get("properties", {}).items()
    }
    found: list[SubstitutionError] = []
    source = check.get("for_each")
    if "for_each" in check:
        reference = _exact(source) if isinstance(source, str) else None
        if reference is None:
            found.append(SubstitutionError("`for_each` must be exactly one `${parameter}`", ("for_each",)))
        elif reference in scope and "array" not in _types(scope[reference]):
            found.append(SubstitutionError(f"`for_each` needs a list, `{reference}` is none", ("for_each",)))
        scope[ITEM] = _mapping(scope.get(reference or "", {}).get("items"))
    condition = check.get("when")
    if "when" in check and not isinstance(condition, bool):
        if isinstance(condition, Mapping) and condition:
            uses = [(str(key), True, ("when", str(key))) for key in condition]
            found.extend(error for use in uses if (error := _judge(*use, scope)))
        elif not (isinstance(condition, str) and _exact(condition) is not None):
            found.append(SubstitutionError("`when` must be `${parameter}` or {parameter: value}", ("when",)))
    for key, value in check.items():
        if key == "when" and isinstance(value, Mapping):
            continue
        found.extend(error for use in _references(value, (key,)) if (error := _judge(*use, scope)))
    return found


def _judge(
    reference: str, exact: bool, path: tuple[str | int, ...], scope: Mapping[str, Mapping[str, Any]]
) -> SubstitutionError | None:
    if not _NAME.fullmatch(reference):
        return SubstitutionError(f"`${{{reference}}}` is not a reference", path, "write $${ for a literal ${")
    first, *fields = reference.split(".")
    if first not in scope:
        hint = did_you_mean(first, scope)
        if first == ITEM:
            hint = "it exists in a check with `for_each` only"
        return SubstitutionError(f"unknown parameter `{first}`", path, hint)
    schema = scope[first]
    for field in fields:
        known = schema.get("properties", {})
        if field not in known and _types(schema) & {"string", "integer", "number", "boolean", "array"}:
            return SubstitutionError(f"`{reference}` has no field `{field}`", path)
        if field not in known and known:
            return SubstitutionError(f"unknown field `{field}` of `{first}`", path, did_you_mean(field, known))
        schema = _mapping(known.get(field))
    if not exact and _types(schema) and not _types(schema) - {"array", "object", "null"}:
        return SubstitutionError(f"`${{{reference}}}` is a list or a mapping, which text cannot hold", path)
    return None
