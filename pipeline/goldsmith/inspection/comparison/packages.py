"""Which package a file belongs to, and in which version, by dpkg's files; rpm's database names no files to us."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from goldsmith.verify.tree import Tree

_STATUS = "/var/lib/dpkg/status"
_LISTS = "/var/lib/dpkg/info"
#: folders that a merged /usr has links to, while lists of older packages name files in the links
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


@dataclass(frozen=True)
class Packages:
    """``owners`` maps paths to packages, ``versions`` packages to versions; both empty where there is no dpkg."""

    owners: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def packages(tree: Tree) -> Packages:
    """The packages of a tree.  Raises HarnessError where it cannot be read."""
    if tree.stat(_STATUS) is None:
        return Packages()
    merged = [name for name in _MERGED if tree.is_symlink(f"/{name}")]
    pattern = re.compile(rf"^/({'|'.join(merged)})/") if merged else None
    owners: dict[str, str] = {}
    for path, content in tree.contents(f"{_LISTS}/**/*.list"):
        package = path.rpartition("/")[2].removesuffix(".list").partition(":")[0]
        for line in content.decode(errors="surrogateescape").splitlines():
            name = pattern.sub(r"/usr/\1/", line) if pattern else line
            # Folders are of many; whoever comes first has them.
            owners.setdefault(name, package)
    return Packages(owners, _versions(tree.read(_STATUS).decode(errors="replace")))


def owner(packages: Packages, path: str) -> str:
    """The package of a path, "" where it has none; dpkg's own files about a package are that package's."""
    if found := packages.owners.get(path):
        return found
    if path.startswith(f"{_LISTS}/"):
        name = path.rpartition("/")[2].rpartition(".")[0].partition(":")[0]
        return name if name in packages.versions else ""
    return ""


def _versions(status: str) -> dict[str, str]:
    """Of the packages that are installed, or were unpacked at least."""
    found = {}
    for stanza in re.split(r"\n\n+", status):
        fields = dict(re.findall(r"^(Package|Version|Status): (.*)$", stanza, re.MULTILINE))
        if "Package" in fields and "Version" in fields and fields.get("Status", "").split()[-1:] != ["config-files"]:
            found[fields["Package"]] = fields["Version"]
    return found
