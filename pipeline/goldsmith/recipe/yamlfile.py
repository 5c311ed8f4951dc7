"""YAML as this project reads it: JSON's types only, no key twice, every error with line and column."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from goldsmith.errors import InputError, Problem
from goldsmith.recipe.problems import did_you_mean, dotted

#: a file that unfolds to more values than this is a bomb of aliases, not a recipe
_MOST_VALUES = 100_000
_DEEPEST = 60
_WIDEST = 500
_MOST_BRACKETS = 1000


class _Loader(yaml.SafeLoader):
    """SafeLoader without dates: ``2025-08-09`` stays the text that was written."""


class _QuickLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same by libyaml, where PyYAML has it: ten times as fast, and less to the point about errors."""


_Loader.yaml_implicit_resolvers = _QuickLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: Path) -> Any:
    """The document in ``path``, made of dict, list, str, int, float, bool and None; None if it is empty.

    Raises InputError: no such file, not UTF-8, not YAML (line and column), a key twice, a key that is no string.
    """
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(problems=[Problem(file, "", "no such file", _sibling(path))]) from None
    except IsADirectoryError:
        raise InputError(problems=[Problem(file, "", "is a folder, not a file", _sibling(path / "*"))]) from None
    except UnicodeDecodeError as error:
        raise InputError(problems=[Problem(file, "", f"is not UTF-8 text at byte {error.start}")]) from None
    except OSError as error:
        raise InputError(problems=[Problem(file, "", f"cannot be read: {error.strerror}")]) from error
    return parse(text, file)


def parse(text: str, file: str) -> Any:
    """As ``read``, for the text of ``file``."""
    try:
        loader, node = _composed(text)
        if node is None:
            return None
        problems = list(_duplicates(node, (), file, set()))
        document = loader.construct_document(node)
        if not problems:
            problems = list(_not_json(document, file))
    except yaml.YAMLError as error:
        raise InputError(problems=[Problem(file, "", _syntax(error, text))]) from None
    except RecursionError:
        raise InputError(problems=[Problem(file, "", "is nested too deeply")]) from None
    except ValueError as error:
        # PyYAML passes on what int() and its like refuse, as in 2025:99 or !!int x
        raise InputError(problems=[Problem(file, "", f"holds a value that is not valid YAML: {error}")]) from None
    if problems:
        raise InputError(problems=problems)
    return document


def _composed(text: str) -> tuple[Any, yaml.Node | None]:
    """A loader, and the one document as it found it; what is no YAML is said by PyYAML itself."""
    if _is_shallow(text):
        with contextlib.suppress(yaml.YAMLError, ValueError):
            quick = _QuickLoader(text)
            return quick, quick.get_single_node()
    loader = _Loader(text)
    return loader, loader.get_single_node()


def _is_shallow(text: str) -> bool:
    """Whether it cannot be nested so deeply that libyaml's binding, which counts nothing, runs out of its stack.

    Blocks nest by columns, all else by brackets.
    """
    widest = max(map(len, text.splitlines()), default=0)
    return widest < _WIDEST and text.count("[") + text.count("{") < _MOST_BRACKETS


def _sibling(path: Path) -> str | None:
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either"
    return did_you_mean(path.name, (each.name for each in folder.glob("*.yaml")))


def _syntax(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        what = error.problem or error.context or "syntax error"
        return f"not valid YAML at line {mark.line + 1}, column {mark.column + 1}: {what}"
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1
        return f"not valid YAML at line {line}, column {column}: character U+{ord(text[error.position]):04X}"
    return f"not valid YAML: {error}"


def _duplicates(node: yaml.Node, path: tuple[str | int, ...], file: str, seen_nodes: set[int]) -> Iterator[Problem]:
    if id(node) in seen_nodes:
        return
    seen_nodes.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _duplicates(child, (*path, index), file, seen_nodes)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            inside = (*path, str(key.value))
            mark = key.start_mark
            if key.value in lines:
                place = f"at line {mark.line + 1}, column {mark.column + 1}"
                earlier = f"it is at line {lines[key.value]} already"
                yield Problem(file, dotted(inside), f"duplicate key `{key.value}` {place}", earlier)
            lines.setdefault(key.value, mark.line + 1)
            yield from _duplicates(value, inside, file, seen_nodes)


def _not_json(document: object, file: str) -> Iterator[Problem]:
    """Values that JSON cannot hold; they would break digests and schemas later, with less to say."""
    stack: list[tuple[tuple[str | int, ...], object]] = [((), document)]
    count = 0
    while stack:
        path, value = stack.pop()
        count += 1
        if count > _MOST_VALUES or len(path) > _DEEPEST:
            yield Problem(file, "", "is too large, or its aliases contain themselves")
            return
        if isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(key, str):
                    stack.append(((*path, key), inner))
                else:
                    yield Problem(file, dotted(path), f"the key {key!r} is not a string", "put the key in quotes")
        elif isinstance(value, list):
            stack.extend(((*path, index), inner) for index, inner in enumerate(value))
        elif isinstance(value, str):
            if "\0" in value:
                yield Problem(file, dotted(path), "holds a NUL character")
        elif isinstance(value, float) and value - value != 0:
            yield Problem(file, dotted(path), f"{value} is not a finite number")
        elif value is not None and not isinstance(value, bool | int | float):
            yield Problem(file, dotted(path), f"a {type(value).__name__} is neither text, number, list nor mapping")
