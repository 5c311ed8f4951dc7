"""The kind kernel_argument on a disk: the entries of GRUB's menu, in grub.cfg and in /boot/loader/entries."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from goldsmith.errors import HarnessError
from goldsmith.verify.compare import Finding
from goldsmith.verify.kinds.guest import KernelArgumentAssertion, arguments
from goldsmith.verify.tree import Tree

_CONFIGS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_ENVIRONMENTS = ("/boot/grub/grubenv", "/boot/grub2/grubenv")
_ENTRIES = "/boot/loader/entries/*.conf"
_TITLE = re.compile(r"""^\s*menuentry\s+(?:'([^']*)'|"([^"]*)"|(\S+))""")
_LINUX = re.compile(r"^\s*linux(?:16|efi)?\s+(\S.*)$")
_SET = re.compile(r"""^\s*set\s+(\w+)=(?:"([^"]*)"|'([^']*)'|(\S*))\s*$""")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
#: entries that are there for when the others fail, by their titles and files as distributions name them
_RESCUE = re.compile(r"recovery mode|rescue", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """An entry of the menu: its kernel's arguments in ``line``, variables of GRUB's resolved."""

    title: str
    file: str
    line: str


def kernel_argument(assertion: KernelArgumentAssertion, tree: Tree) -> list[Finding]:
    """What does not hold of an entry of the menu; recovery and rescue entries aside.

    Raises HarnessError where no entry is found: /boot may lie on a partition of its own.
    """
    entries = menu_entries(tree)
    if not entries:
        raise HarnessError(
            "no entry of GRUB's menu is found on the root file system",
            where=" or ".join((*_CONFIGS, _ENTRIES)),
            hint="where /boot is a partition of its own, give the check layers: [live]",
        )
    findings = []
    for entry in entries:
        for each in arguments(assertion, entry.line, f"the entry {entry.title!r}"):
            findings.append(Finding(each.expected, f"{entry.file}: {each.seen}"))
    return findings


def menu_entries(tree: Tree) -> list[Entry]:
    """The entries that start Linux, in the menu's order; recovery and rescue entries aside."""
    return [each for each in _entries(tree) if not _RESCUE.search(f"{each.title} {each.file}")]


def _entries(tree: Tree) -> list[Entry]:
    found: list[Entry] = []
    variables: dict[str, str] = {}
    texts = {path: _text(path, tree) for path in _CONFIGS if tree.stat(path) is not None}
    for text in texts.values():
        for match in filter(None, map(_SET.match, text.splitlines())):
            variables[match[1]] = next((each for each in match.groups()[1:] if each), "")
    for path in _ENVIRONMENTS:
        if tree.stat(path) is not None:
            # GRUB loads its environment before the menu, and a default in grub.cfg gives way to it.
            pairs = (line.partition("=") for line in _text(path, tree).splitlines() if not line.startswith("#"))
            variables.update({name: value for name, equals, value in pairs if equals})
    for path, text in texts.items():
        found += _menu(path, text)
    if not texts or any(re.search(r"^[ \t]*blscfg\b", text, re.MULTILINE) for text in texts.values()):
        found += [_loader_entry(path, tree) for path in tree.glob(_ENTRIES)]
    return [Entry(each.title, each.file, _expanded(each.line, variables)) for each in found]


def _text(path: str, tree: Tree) -> str:
    return tree.read(path).decode(errors="replace")


def _menu(path: str, text: str) -> list[Entry]:
    title, found = "", []
    for line in text.splitlines():
        if match := _TITLE.match(line):
            title = next((each for each in match.groups() if each), "")
        elif (match := _LINUX.match(line)) and title:
            found.append(Entry(title, path, " ".join(_words(match[1])[1:])))
    return found


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, posix=True)
    except ValueError:
        # A quote without its other half.
        return line.split()


def _loader_entry(path: str, tree: Tree) -> Entry:
    """A file of the Boot Loader Specification: keys and values, options possibly several times."""
    title, options = path, []
    for line in _text(path, tree).splitlines():
        key, _, value = line.strip().partition(" ")
        if key == "title":
            title = value.strip()
        elif key == "options":
            options.append(value.strip())
    return Entry(title, path, " ".join(options))


def _expanded(line: str, variables: dict[str, str]) -> str:
    """With the variables that are known, once: an unknown one is empty, as in GRUB."""
    return " ".join(_VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), line).split())
