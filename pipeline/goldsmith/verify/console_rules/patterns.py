"""Regular expressions that may be run on what a guest says: whatever that is, they come to an end soon.

Python's matcher goes back and tries again, so a careless pattern takes time without end on a hostile line.  Lines are
cut (``goldsmith.boot.lines``), and patterns of the shapes that make it worse than polynomial are refused.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field

# Python's own parser of regular expressions; its trees are lists of (operation, arguments).
_parser: Any = importlib.import_module("re._parser")
_ops: Any = importlib.import_module("re._constants")

#: how many of * + {n,m} a pattern may hold, and how many other choices, one after another
MOST_REPEATS = 3
MOST_CHOICES = 10
#: a repetition of so much leeway counts as one without end
_WIDE = 16

_REPEATS = (_ops.MAX_REPEAT, _ops.MIN_REPEAT, _ops.POSSESSIVE_REPEAT)
_REFERENCES = (_ops.GROUPREF, _ops.GROUPREF_EXISTS)
_LOOKING = (_ops.ASSERT, _ops.ASSERT_NOT)


def refused(pattern: str) -> str | None:
    """Why a pattern cannot be used; None where it can."""
    try:
        flags = re.compile(pattern).flags
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is not a regular expression: {error}"
    if flags & re.MULTILINE or flags & re.DOTALL:
        return "is matched against one line: (?m) and (?s) mean nothing here"
    if re.compile(pattern).match(""):
        return "matches an empty line, and so every line"
    nodes = list(_nodes(tree))
    if any(op in _REFERENCES for op, _ in nodes):
        return "refers back to a group, which can take time without end"
    if any(op in _LOOKING for op, _ in nodes):
        return "looks ahead or behind, which is not supported; is `unless` what you want?"
    repeats = [arguments for op, arguments in nodes if op in _REPEATS and arguments[1] > 1]
    if any(_varies(body) for _, _, body in repeats):
        return "repeats what has several shapes itself, which can take time without end"
    wide, choices = _weight(tree)
    if wide > MOST_REPEATS:
        return f"holds {wide} of * + {{n,m}} in a row, which can take time without end: {MOST_REPEATS} at most"
    if choices > MOST_CHOICES:
        return f"holds {choices} choices (| and ?) in a row, which can take time without end: {MOST_CHOICES} at most"
    return None


def _weight(tree: Any) -> tuple[int, int]:
    """How many repetitions and other choices a match may have to try in all their combinations."""
    wide = choices = 0
    for op, arguments in tree:
        inner: list[Any] = []
        if op in _REPEATS:
            least, most, body = arguments
            inner = [body]
            wide += int(most) - int(least) >= _WIDE
            choices += 0 < int(most) - int(least) < _WIDE
        elif op == _ops.BRANCH:
            inner = arguments[1]
            choices += 1
        elif op == _ops.SUBPATTERN:
            inner = [arguments[3]]
        elif op == _ops.ATOMIC_GROUP:
            inner = [arguments]
        weights = [_weight(each) for each in inner]
        wide += max((each for each, _ in weights), default=0)
        choices += max((each for _, each in weights), default=0)
    return wide, choices


class Search:
    """A pattern, compiled.  Most lines hold no word of it, which is seen sooner than by matching."""

    def __init__(self, pattern: str) -> None:
        compiled = re.compile(pattern)
        self._search = compiled.search
        self._words = None if compiled.flags & re.IGNORECASE else _words(_parser.parse(pattern))

    def __call__(self, text: str) -> bool:
        if self._words and not any(word in text for word in self._words):
            return False
        return self._search(text) is not None


def _words(tree: Any) -> tuple[str, ...] | None:
    """Texts one of which is in all that a pattern matches; None where there are no such."""
    candidates: list[tuple[str, ...]] = []
    run = ""
    for op, arguments in [*tree, (None, None)]:
        if op == _ops.LITERAL:
            run += chr(arguments)
            continue
        if run:
            candidates.append((run,))
            run = ""
        found: tuple[str, ...] | None = None
        if op == _ops.BRANCH:
            each = [_words(branch) for branch in arguments[1]]
            found = None if None in each else tuple(word for words in each for word in words or ())
        elif op == _ops.SUBPATTERN and not arguments[1]:
            found = _words(arguments[3])
        if found:
            candidates.append(found)
    return max(candidates, key=lambda words: min(map(len, words)), default=None)


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every operation of a pattern with its arguments, outermost first."""
    for op, arguments in tree:
        yield op, arguments
        if op in _REPEATS:
            yield from _nodes(arguments[2])
        elif op == _ops.BRANCH:
            for branch in arguments[1]:
                yield from _nodes(branch)
        elif op == _ops.SUBPATTERN:
            yield from _nodes(arguments[3])
        elif op == _ops.ATOMIC_GROUP:
            yield from _nodes(arguments)
        elif op in _LOOKING:
            yield from _nodes(arguments[1])


def _varies(tree: Any) -> bool:
    """Whether a part of a pattern can match texts of several shapes, one character counted as one shape."""
    return any(op == _ops.BRANCH or (op in _REPEATS and args[0] != args[1]) for op, args in _nodes(tree))


def _is_safe(pattern: str) -> str:
    if why := refused(pattern):
        raise ValueError(why)
    return pattern


LinePattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_is_safe)]
