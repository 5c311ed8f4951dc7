"""The kind sysctl on a disk: what systemd-sysctl(8) will set, by the files of sysctl.d(5)."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from fnmatch import fnmatchcase

from goldsmith.verify.compare import Finding
from goldsmith.verify.kinds.guest import SysctlAssertion
from goldsmith.verify.tree import Tree

#: in order of precedence; a file hides those of the same name in later folders
FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
_WILD = frozenset("*?[")


@dataclass(frozen=True)
class _Line:
    #: with slashes, as below /proc/sys
    name: str
    #: None: patterns leave the name alone
    value: str | None
    file: str


def sysctl(assertion: SysctlAssertion, tree: Tree) -> list[Finding]:
    """By the files alone: what no file sets has the kernel's default, which no disk tells."""
    expected = f"{assertion.name} is set to {assertion.equals}"
    found = _setting(_normal(assertion.name), [line for path in _files(tree) for line in _lines(path, tree)])
    if found is None or found.value is None:
        return [Finding(expected, "no file of sysctl.d sets it")]
    if found.value.split() != str(assertion.equals).split():
        return [Finding(expected, f"{found.file}: {found.name} = {found.value}")]
    return []


def _files(tree: Tree) -> list[str]:
    """The files in the order in which they are applied: by name, whatever folder they lie in."""
    by_name: dict[str, str] = {}
    for folder in FOLDERS:
        for name in tree.names(folder):
            if name.endswith(".conf"):
                by_name.setdefault(name, f"{folder}/{name}")
    return [by_name[name] for name in sorted(by_name)]


def _lines(path: str, tree: Tree) -> list[_Line]:
    entry = tree.stat(path)
    # A link to /dev/null hides a file, and leads nowhere in a tree.
    if entry is None or not stat.S_ISREG(entry.mode):
        return []
    found = []
    for line in tree.read(path).decode(errors="replace").splitlines():
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        name, equals, value = text.partition("=")
        if equals:
            found.append(_Line(_normal(name.strip().removeprefix("-")), value.strip(), path))
        elif name.startswith("-"):
            found.append(_Line(_normal(name[1:].strip()), None, path))
    return found


def _setting(name: str, lines: list[_Line]) -> _Line | None:
    """The last line that names it, else the last whose pattern fits."""
    named = [line for line in lines if line.name == name]
    if named:
        return named[-1]
    fitting = [line for line in lines if _WILD & set(line.name) and line.value is not None and _fits(line.name, name)]
    return fitting[-1] if fitting else None


def _fits(pattern: str, name: str) -> bool:
    """As glob(7) below /proc/sys: a wildcard stands for no slash."""
    parts, wanted = pattern.split("/"), name.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, wanted, parts))


def _normal(name: str) -> str:
    """Where the first separator is a dot, dots and slashes change places (man 5 sysctl.d)."""
    first = next((each for each in name if each in "./"), "/")
    return name if first == "/" else name.translate(str.maketrans("./", "/."))
