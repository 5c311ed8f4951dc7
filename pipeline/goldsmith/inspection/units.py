"""Whether a systemd unit is enabled, by its files: what ``systemctl is-enabled`` answers in the image.

After systemd's install.c (unit_file_lookup_state) and systemctl(1): a unit is enabled by a link in a folder of wants
or requires, or by another name; static and indirect ones, which have nothing in [Install] that could be linked, count,
too.  Presets and drop-ins for [Install] are left aside.
"""

from __future__ import annotations

import re

from goldsmith.inspection.facts import text_of
from goldsmith.verify.tree import Tree

#: from the first to the last that counts (systemd.unit(5))
_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_RULES = re.compile(r"^[ \t]*(WantedBy|RequiredBy|UpheldBy|Alias)\s*=\s*\S", re.MULTILINE)
_INSTALL = re.compile(r"^\[Install\]\s*$(.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)


def is_enabled(tree: Tree, unit: str) -> bool:
    """As the exit status of ``systemctl is-enabled UNIT`` in the image; false where it has no systemctl."""
    if not any(tree.exists(path) for path in ("/usr/bin/systemctl", "/bin/systemctl")):
        return False
    path = unit_file(tree, unit)
    if path is None or is_masked(tree, path):
        return False
    if _linked(tree, unit):
        return True
    sections = _INSTALL.findall(text_of(tree, path) or "")
    return not any(_RULES.search(section) for section in sections)


def unit_file(tree: Tree, unit: str) -> str | None:
    """The path of a unit's file, that of its template where it is an instance; None where there is none."""
    names = [unit]
    if "@" in unit:
        name, _, rest = unit.partition("@")
        names.append(f"{name}@.{rest.rpartition('.')[2]}")
    for name in names:
        for folder in _FOLDERS:
            if tree.exists(f"{folder}/{name}"):
                return f"{folder}/{name}"
    return None


def is_masked(tree: Tree, path: str) -> bool:
    """Whether a unit's file is a link to /dev/null, or empty."""
    if tree.is_symlink(path) and tree.readlink(path) == "/dev/null":
        return True
    return text_of(tree, path) == ""


def _linked(tree: Tree, unit: str) -> bool:
    # What a package links in its own folders is started, too, and is not called enabled.
    for folder in _FOLDERS[:2]:
        for kind in ("wants", "requires", "upholds"):
            if tree.glob(f"{folder}/*.{kind}/{unit}"):
                return True
    # Another name for it, as its Alias= has made one.
    for folder in _FOLDERS[:2]:
        for name in tree.names(folder):
            link = f"{folder}/{name}"
            if name != unit and tree.is_symlink(link) and tree.readlink(link).rpartition("/")[2] == unit:
                return True
    return False
