"""The packages that an element needs: package-installs.yaml through pkg-map, for one base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import yamlfile
from goldsmith.recipe.elements import Element
from goldsmith.recipe.model import Base
from goldsmith.recipe.problems import kind_of

_FILES = ("package-installs.yaml", "package-installs.json")
_MAP = "pkg-map"
#: diskimage_builder/elements/package-installs/README.rst
_KNOWN = {"phase", "arch", "not-arch", "uninstall"}
#: diskimage_builder/elements/*/pkg-map: families that pkg-map(1) looks up
_FAMILY = {"debian": "debian", "ubuntu": "debian", "fedora": "redhat", "rocky": "redhat", "centos": "redhat"}


def needed(element: Element, base: Base) -> list[str]:
    """Names of packages in the distribution's own words, sorted.

    Raises InputError for a key that only a build can follow (``when``, ``installtype``, ``list``, ``build-only``).
    """
    found: set[str] = set()
    for file in _FILES:
        path = element.folder / file
        if path.exists():
            # JSON is YAML
            wanted = yamlfile.read(path)
            if wanted is not None and not isinstance(wanted, dict):
                raise InputError(problems=[Problem(str(path), "", f"must be a mapping, found {kind_of(wanted)}")])
            for name, rules in (wanted or {}).items():
                if _wanted(path, name, rules, base):
                    found.update(_mapped(element.folder / _MAP, name, base))
    return sorted(found)


def _wanted(path: Path, name: str, rules: Any, base: Base) -> bool:
    """Whether a rule installs ``name`` here; no rules at all do."""
    each = rules if isinstance(rules, list) else [rules]
    return any(_applies(path, name, rule or {}, base) for rule in each)


def _applies(path: Path, name: str, rule: Any, base: Base) -> bool:
    if not isinstance(rule, dict):
        raise InputError(problems=[Problem(str(path), name, f"must be a mapping, found {kind_of(rule)}")])
    if unknown := sorted(set(rule) - _KNOWN):
        text = f"`{unknown[0]}` is decided in a build only, so outside of one the package cannot be installed"
        raise InputError(problems=[Problem(str(path), f"{name}.{unknown[0]}", text)])
    if "uninstall" in rule:
        return False
    if "arch" in rule:
        return base.architecture in _words(rule["arch"])
    return base.architecture not in _words(rule.get("not-arch", ""))


def _words(text: str) -> list[str]:
    return [word.strip() for word in str(text).split(",")]


def _mapped(path: Path, name: str, base: Base) -> list[str]:
    """As diskimage-builder's pkg-map: release, then distribution, then family, then default, then the name itself."""
    if not path.exists():
        return [name]
    try:
        table = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(problems=[Problem(str(path), "", f"is not JSON: {error}")]) from None
    places = (
        table.get("release", {}).get(base.distribution, {}).get(base.release, {}),
        table.get("distro", {}).get(base.distribution, {}),
        table.get("family", {}).get(_FAMILY.get(base.distribution, ""), {}),
        table.get("default", {}),
    )
    for place in places:
        if name in place:
            return str(place[name]).split()
    return [name]
