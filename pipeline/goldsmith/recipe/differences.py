"""Two sets of inputs, compared in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: inputs that are a version, not a digest
_VERSIONS = ("dib", "tool:")
#: of many reasons, how many lines are shown
SHOWN = 5


def describe(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """A line for each input that differs, sorted; an element that came or went is one line, not one a file."""
    came, gone = _elements(new) - _elements(old), _elements(old) - _elements(new)
    lines = [f"element {name}: added" for name in came] + [f"element {name}: removed" for name in gone]
    for key in old.keys() | new.keys():
        if old.get(key) == new.get(key):
            continue
        kind, _, rest = key.partition(":")
        if kind == "element" and rest.split(":")[0] in came | gone:
            continue
        if key == "elements" and came | gone:
            continue
        lines.append(_line(key, old.get(key), new.get(key)))
    return sorted(set(lines))


def shortened(reasons: Sequence[str], more: str) -> list[str]:
    """At most ``SHOWN`` lines; where there are more reasons the last says how many, and ``more`` how to see them."""
    if len(reasons) <= SHOWN:
        return list(reasons)
    return [*reasons[: SHOWN - 1], f"and {len(reasons) - SHOWN + 1} more: {more}"]


def because(name: str, done: str, reasons: Sequence[str]) -> list[str]:
    """Why something is ``done`` with an image, as lines of progress; without a reason it was asked for."""
    lines = shortened(reasons or ["it was asked for (--again)"], "goldsmith plan --why")
    if len(lines) == 1:
        return [f"{name}: {done} because: {lines[0]}"]
    return [f"{name}: {done} because:", *(f"  {line}" for line in lines)]


def _elements(inputs: Mapping[str, str]) -> set[str]:
    return {key.split(":")[1] for key in inputs if key.startswith("element:")}


def _line(key: str, old: str | None, new: str | None) -> str:
    kind, _, rest = key.partition(":")
    verb = "added" if old is None else "removed" if new is None else "changed"
    if key.startswith(_VERSIONS):
        name = rest or "diskimage-builder"
        return f"{name}: {verb}" if old is None or new is None else f"{name}: {old} -> {new}"
    match kind:
        case "element":
            name, _, part = rest.partition(":")
            if part == "parameters":
                return f"element {name}: parameters {verb}"
            return f"element {name}: {part} {verb}"
        case "check":
            name, _, part = rest.partition(":")
            return f"element {name}: check {part} {verb}"
        case "code":
            return f"goldsmith's code: {rest} {verb}"
        case "base" if rest:
            if old is None or new is None:
                return "base: now an image" if old is None else "base: no longer an image"
            return f"base image: sha256 {old[:12]} -> {new[:12]}"
        case "elements":
            return "the list of elements or its order changed"
        case _:
            return f"{key}: {verb}"
