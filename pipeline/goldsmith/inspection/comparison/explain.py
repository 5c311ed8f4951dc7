"""Why a file differs: what is known of its package, its element and its name first, then by what stands in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from goldsmith.inspection.comparison.contents import Content, reason
from goldsmith.inspection.comparison.differences import Difference, said
from goldsmith.inspection.comparison.disks import AREAS, IDENTIFYING
from goldsmith.inspection.comparison.packages import Packages, owner
from goldsmith.recipe.differences import describe
from goldsmith.store.manifest import Manifest
from goldsmith.verify.residue.rules import Rule, all_rules
from goldsmith.verify.residue.search import is_of

#: never shown, even where no rule of residue finds anything in them
_SHADOWS = ("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-", "/etc/security/opasswd")
_DATABASE = re.compile(
    r"/var/lib/(dpkg|apt)/.*|/var/cache/(apt|debconf)/.*|/(usr/lib/sysimage|var/lib)/rpm/.*|/var/lib/dnf/.*"
)
_CORE = re.compile(r"(/boot)?/grub2?/.*core\.(img|efi)")


@dataclass(frozen=True)
class Cause:
    """``kind`` is a word for programs; ``says`` is what differences are grouped by; ``shows`` is this one's own."""

    kind: str
    says: str
    shows: str = ""


@dataclass(frozen=True)
class Known:
    """What is known of both sides beside their files.

    ``elements`` maps paths to the element that lays them down, where its file differs; ``identifiers`` those of the
    first disk to their counterparts; ``homes`` are globs of home folders; in ``folders`` a name came or went.
    """

    a: Packages = field(default_factory=Packages)
    b: Packages = field(default_factory=Packages)
    elements: Mapping[str, str] = field(default_factory=dict)
    identifiers: Mapping[str, str] = field(default_factory=dict)
    homes: tuple[str, ...] = ("/root", "/home/*")
    folders: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = field(default_factory=all_rules)

    def package(self, path: str) -> str:
        """The package of a path on either side, "" where it has none."""
        return owner(self.a, path) or owner(self.b, path)

    @property
    def packages_differ(self) -> bool:
        return self.a.versions != self.b.versions


def elements_that_differ(a: Manifest | None, b: Manifest | None) -> dict[str, str]:
    """Path to element for every static file that is not the same in both; none without both manifests."""
    if a is None or b is None:
        return {}
    found = {}
    for key in a.inputs.keys() | b.inputs.keys():
        kind, _, rest = key.partition(":")
        name, _, file = rest.partition(":")
        if kind == "element" and file.startswith("static/") and a.inputs.get(key) != b.inputs.get(key):
            found[file.removeprefix("static")] = name
    return found


def inputs_that_differ(a: Manifest | None, b: Manifest | None) -> list[str]:
    """Lines about what two images were made of; none without both manifests."""
    return describe(a.inputs, b.inputs) if a and b else []


def known_cause(difference: Difference, known: Known) -> Cause | None:
    """What can be told without what stands in the file, and is more than that could tell; None where nothing is."""
    path = difference.path
    if package := known.package(path):
        had = [side.versions.get(package) for side in (known.a, known.b)]
        if had[0] != had[1]:
            if had[0] and had[1]:
                return Cause("package-version", f"package {package}: {had[0]} -> {had[1]}")
            return Cause("package-only", f"package {package} {had[0] or had[1]}: in {'A' if had[0] else 'B'} only")
    if path in known.elements:
        return Cause("element", f"of element {known.elements[path]}, which differs")
    if known.packages_differ and _DATABASE.fullmatch(path):
        return Cause("package-database", "databases of packages, as packages differ")
    if difference.only or "content" in difference.what:
        for rule in known.rules:
            if rule.pattern is None and is_of(rule, path, known.homes):
                return _residue(rule)
    if difference.only:
        return Cause("only", f"in {difference.only.upper()} only{_of(path, known)}")
    if difference.what == ("time",) and path in known.folders:
        return Cause("entries", "times of folders in which a name came or went")
    if "content" not in difference.what:
        return _attributes(difference)
    return None


def cause(difference: Difference, known: Known, a: Content | None, b: Content | None) -> Cause:
    """As ``known_cause``, and by the contents; None for one that was not read."""
    if found := known_cause(difference, known):
        return found
    if a is None or b is None:
        return Cause("not-read", "not looked at")
    hidden = difference.path in _SHADOWS
    for rule in known.rules:
        if rule.pattern is None or not is_of(rule, difference.path, known.homes):
            continue
        pattern = re.compile(rule.pattern, re.MULTILINE)
        if any(pattern.search(each.head.decode(errors="replace")) for each in (a, b)):
            if rule.severity != "trace":
                return _residue(rule)
            hidden = True
    if known.identifiers and _CORE.search(difference.path):
        return Cause("disk-identifier", "GRUB's core image, packed: identifiers of the disk, which differ, go into it")
    found_in = reason(a, b, known.identifiers)
    beside = [text for name in difference.what if (text := said(difference, name))]
    shows = "; ".join([*([found_in.shows] if found_in.shows and not hidden else []), *_without_time(beside)])
    return Cause(found_in.kind, found_in.says + _of(difference.path, known), shows)


def _of(path: str, known: Known) -> str:
    package = known.package(path)
    return f", of package {package} ({known.a.versions.get(package, '')} in both)" if package else ""


def _residue(rule: Rule) -> Cause:
    return Cause("residue", f"{rule.what} ({rule.id})")


def _without_time(texts: Sequence[str]) -> list[str]:
    """Where the content differs a file's time says nothing more."""
    return [text for text in texts if not text.startswith("time ")]


def _attributes(difference: Difference) -> Cause:
    shows = "; ".join(said(difference, name) for name in difference.what)
    if difference.what[0] == "kind":
        return Cause("kind", "another kind of file", shows)
    if difference.what == ("target",) or difference.what == ("target", "time"):
        return Cause("target", "links that lead elsewhere", shows)
    return Cause("attributes", f"the content is the same, not: {', '.join(difference.what)}", shows)


def folders_of_changes(differences: Sequence[Difference]) -> frozenset[str]:
    """Folders in which a name came or went, so that their time had to change."""
    return frozenset({each.path.rpartition("/")[0] or "/" for each in differences if each.only})


def below_cause(about: str, *, other_recipe: bool, identifiers: bool) -> str:
    """Why a fact about a disk differs, "" where it is its own reason.

    With ``other_recipe`` both images are goldsmith's, of other inputs; with ``identifiers`` some of the disk differ.
    """
    if IDENTIFYING.search(about):
        return "follows from the digest of the recipe, which differs" if other_recipe else "each disk can have its own"
    if identifiers and (about in AREAS or about.endswith(": bytes")):
        return "may be GRUB, packed: it holds the UUID of a file system, and some differ"
    return ""
