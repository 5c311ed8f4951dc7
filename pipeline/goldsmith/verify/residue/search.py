"""The search for residue in a tree.  Findings are paths and kinds: nothing that stands in a file gets out of here."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from goldsmith.verify.residue.rules import Rule
from goldsmith.verify.tree import HEAD_LIMIT, Entry, Tree, matches

_WILD = re.compile(r"[*?\[]")
#: below these the homes in /etc/passwd are packages' own, or were looked at already
_NO_HOMES = tuple(
    f"/{folder}/"
    for folder in (
        *("bin", "boot", "dev", "etc", "home", "lib", "proc", "root", "run", "sbin", "sys", "tmp", "usr"),
        *("var/backups", "var/cache", "var/mail", "var/run", "var/spool"),
    )
)
#: a user whose home is one of these has none of their own
_NOBODYS = ("/", "/opt", "/srv", "/var", "/var/lib")


@dataclass(frozen=True)
class Residue:
    """One thing found: ``name`` is the user it belongs to, where the rule tells one."""

    rule: Rule
    path: str
    name: str | None = None

    def __str__(self) -> str:
        return printable(f"{self.path} ({self.name})" if self.name else self.path)


def printable(text: str) -> str:
    """Text from an image, safe for a terminal: what does not print is escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def search(tree: Tree, rules: Iterable[Rule]) -> list[Residue]:
    """All that the rules find in a tree, in their order.  Raises HarnessError where the tree cannot be read."""
    found = homes(tree)
    return [residue for rule in rules for residue in _found(tree, rule, found)]


def homes(tree: Tree) -> tuple[str, ...]:
    """Globs of home folders: root's, all below /home, and others in which somebody may have worked."""
    found = ["/root", "/home/*"]
    entry = tree.stat("/etc/passwd")
    if entry is not None and stat.S_ISREG(entry.mode):
        for line in tree.head("/etc/passwd", HEAD_LIMIT).decode(errors="replace").splitlines():
            fields = line.split(":")
            if len(fields) >= 7 and _is_a_home(fields[5]):
                found.append(f"/{fields[5].strip('/')}")
    return tuple(dict.fromkeys(found))


def _is_a_home(path: str) -> bool:
    if not path.startswith("/") or _WILD.search(path) or ".." in PurePosixPath(path).parts:
        return False
    home = f"/{path.strip('/')}"
    return home not in _NOBODYS and not f"{home}/".startswith(_NO_HOMES)


def is_of(rule: Rule, path: str, homes: Iterable[str]) -> bool:
    """Whether a rule looks at a path; what stands in it is another question."""
    return any(matches(glob, path) for glob in expanded(rule.paths, homes)) and not any(
        matches(glob, path) for glob in expanded(rule.excepting, homes)
    )


def _found(tree: Tree, rule: Rule, homes: tuple[str, ...]) -> Iterator[Residue]:
    excepted = list(expanded(rule.excepting, homes))
    regex = None if rule.pattern is None else re.compile(rule.pattern, re.MULTILINE)
    seen: set[str] = set()
    for pattern in expanded(rule.paths, homes):
        for path in tree.glob(pattern):
            # The same file under two names, as below /var/mail and /var/spool/mail, is one.
            real = tree.resolve(path, follow=False)
            if real is None or real in seen or any(matches(glob, path) for glob in excepted):
                continue
            seen.add(real)
            if rule.plain_files:
                entry = tree.stat(path, follow=False)
                if entry is None or not _is_read(rule, entry):
                    continue
            if regex is None:
                yield Residue(rule, path)
                continue
            yield from _in_file(rule, regex, path, tree.head(path, HEAD_LIMIT).decode(errors="replace"))


def expanded(globs: Iterable[str], homes: Iterable[str]) -> Iterator[str]:
    """Globs with ~/ put in the place of each home."""
    for glob in globs:
        if glob.startswith("~/"):
            yield from (f"{home}/{glob[2:]}" for home in homes)
        else:
            yield glob


def _is_read(rule: Rule, entry: Entry) -> bool:
    return stat.S_ISREG(entry.mode) and 0 < entry.size <= (rule.largest or entry.size)


def _in_file(rule: Rule, regex: re.Pattern[str], path: str, text: str) -> Iterator[Residue]:
    if "name" not in regex.groupindex:
        if regex.search(text):
            yield Residue(rule, path)
        return
    for name in dict.fromkeys(match["name"] for match in regex.finditer(text)):
        yield Residue(rule, path, name)
