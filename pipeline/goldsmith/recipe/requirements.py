"""Variables that DIB elements cannot do without, found before a build instead of minutes into it.

Two sources: the curated dib_variables.yaml, and a static reading of the elements' scripts for
``${VARIABLE:?message}`` and ``[ -z "$VARIABLE" ]`` that ends in an exit.  Only unindented lines count:
what stands inside a condition or a function may never run, and a false alarm would block a good recipe.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from goldsmith.recipe import yamlfile

#: set by disk-image-create or by goldsmith for every build (diskimage_builder/lib/disk-image-create)
ALWAYS_SET = frozenset({
    "DIB_RELEASE", "DIB_DISTRIBUTION_MIRROR", "DIB_IMAGE_CACHE", "DIB_ROOT_FSTYPE", "DIB_ROOT_LABEL", "DIB_BOOT_LABEL",
    "DIB_DEBUG_TRACE", "DIB_DEFAULT_INSTALLTYPE", "DIB_PYTHON_EXEC", "DIB_ARGS", "DIB_ENV", "DIB_BLOCK_DEVICE",
    "DIB_BLOCK_DEVICE_PARAMS_YAML", "DIB_MOUNTPOINTS", "DIB_GZIP_BIN",
})  # fmt: skip

_VARIABLE = r"\$\{?(DIB_[A-Za-z0-9_]+)(?::?-)?\}?"
_MUST = re.compile(r"\$\{(DIB_[A-Za-z0-9_]+):?\?([^}]*)\}")
_IF_EMPTY = re.compile(rf'^if +\[\[? +-z +"?{_VARIABLE}"? +\]\]?(?P<rest>.*)$')
_EMPTY = re.compile(rf'^\[\[? +-z +"?{_VARIABLE}"? +\]\]? *&&(?P<rest>.*)$')
_FILLED = re.compile(rf'^\[\[? +-n +"?{_VARIABLE}"? +\]\]? *\|\|(?P<rest>.*)$')
_EXIT = re.compile(r"(?:^|[\s;{])(?:exit +[1-9]\d*|die\b)")
_ECHO = re.compile(r"""^\s*(?:echo|die)\s+(["'])(.*?)\s*\1""")
#: an assignment, except X=${X:-} and X=${X:-""}, which gives no value
_ASSIGNED = re.compile(
    r"""^\s*(?:(?:export|declare\ -x)\s+)?(DIB_[A-Za-z0-9_]+)=
        (?!["']?(?:\$\{?\1(?::?-["']{0,2})?\}?)?["']?\s*(?:$|[#;]))""",
    re.MULTILINE | re.VERBOSE,
)
_MOST_BYTES = 1 << 20


@functools.cache
def _curated() -> Mapping[str, Mapping[str, str]]:
    document: Any = yamlfile.read(Path(__file__).with_name("dib_variables.yaml"))
    return dict(document)


def _scripts(folder: Path, phases: str = "*.d") -> Iterable[str]:
    for path in sorted(folder.glob(f"{phases}/*")):
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            yield path.read_text(encoding="utf-8", errors="replace")


def _block(lines: list[str]) -> list[str]:
    """The lines of an ``if`` up to the unindented line that ends its first branch."""
    for index, line in enumerate(lines):
        if re.match(r"(?:elif|else|fi)\b", line):
            return lines[:index]
    return []


def script_requires(text: str) -> dict[str, str]:
    """The variables that a shell script refuses to run without: name -> the script's own words, or ``""``."""
    lines = text.splitlines()
    assigned: set[str] = set()
    found: dict[str, str] = {}
    for index, line in enumerate(lines):
        if not line or line[0] in " \t#":
            continue
        for name, words in _MUST.findall(line):
            if name not in assigned:
                found.setdefault(name, words.strip().strip("\"'"))
        if test := _IF_EMPTY.match(line):
            body = [test["rest"]] if re.search(r"\bfi\b", test["rest"]) else _block(lines[index + 1 :])
        elif test := _EMPTY.match(line) or _FILLED.match(line):
            body = [test["rest"]]
        else:
            assigned.update(_ASSIGNED.findall(line))
            continue
        nested = any(re.match(r"\s+(?:if|case|for|while)\b", each) for each in body)
        if test[1] not in assigned and not nested and any(_EXIT.search(each) for each in body):
            said = [match[2].strip() for each in body if (match := _ECHO.match(each))]
            found.setdefault(test[1], " ".join(said))
    return found


def required(name: str, folder: Path) -> dict[str, str]:
    """The variables that the element ``name`` in ``folder`` needs: name -> what it is for (may be empty)."""
    found: dict[str, str] = {}
    for text in _scripts(folder):
        for variable, words in script_requires(text).items():
            found.setdefault(variable, words)
    return {**found, **_curated().get(name, {})}


def provided(folder: Path) -> set[str]:
    """The variables that an element sets by itself, in environment.d."""
    return {variable for text in _scripts(folder, "environment.d") for variable in _ASSIGNED.findall(text)}
