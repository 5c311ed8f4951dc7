"""What the tests of goldsmith.recipe share: a folder of elements and recipes, and the problems of an InputError."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from goldsmith.errors import InputError, Problem
from goldsmith.recipe.loader import load
from goldsmith.recipe.model import Recipe
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.settings import Settings

NETWORKD = """
    summary: Networks
    parameters:
      type: object
      properties:
        addresses:
          type: array
          items:
            type: object
            required: [interface, address]
            properties: {interface: {type: string}, address: {type: string}}
          default: []
          x-dib: {variable: DIB_T_ADDRESSES, item: "{interface}={address}", join: " "}
        policy: {type: string, enum: [strip, metric], default: strip, x-dib: {variable: DIB_T_POLICY}}
        link: {type: [string, "null"], default: null, x-dib: {variable: DIB_T_LINK}}
        ipv6: {type: boolean, default: true, x-dib: {variable: DIB_T_IPV6}}
"""


@dataclass(frozen=True)
class Workplace:
    """``root`` holds elements/ and recipes; texts are dedented before they are written."""

    root: Path
    settings: Settings

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        path.chmod(mode)
        return path

    def element(self, name: str, **files: str) -> Path:
        """An element; keywords are our YAML files without their suffix."""
        files.setdefault("schema", f"summary: {name}\n")
        for file, text in files.items():
            self.write(f"elements/{name}/{file}.yaml", text)
        return self.root / "elements" / name

    def recipe(self, text: str = "", name: str = "recipe.yaml") -> Path:
        """A good recipe with ``text`` appended."""
        head = "name: test\nbase: {distribution: debian, release: trixie}\n"
        return self.write(name, head + textwrap.dedent(text))

    def load(self, text: str = "") -> Recipe:
        return load(self.recipe(text), self.settings)

    def plan(self, text: str = "", **tools: str) -> Plan:
        return make_plan(self.load(text), self.settings, tools)

    def problems(self, text: str = "") -> list[Problem]:
        return problems_of(lambda: self.load(text))


def problems_of(action: Callable[[], object]) -> list[Problem]:
    """The problems of the InputError that ``action`` must raise."""
    with pytest.raises(InputError) as caught:
        action()
    return list(caught.value.problems)
