"""A folder of elements and recipes of a test's own."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.render.cloud_config import Rendered, render
from goldsmith.settings import Settings, from_environment

HEAD = "#!/bin/bash\nset -eu\n"


@dataclass(frozen=True)
class Workplace:
    """``root`` holds elements/ and a recipe."""

    root: Path
    settings: Settings

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        path.chmod(mode)
        return path

    def element(self, name: str, **files: str) -> None:
        """An element; ``post_install_d`` is a script's body, other keywords are YAML files without their suffix."""
        self.write(f"elements/{name}/schema.yaml", files.pop("schema", f"summary: {name}\n"))
        for key, text in files.items():
            phase = key.replace("_", "-")
            if phase.endswith("-d"):
                self.script(name, f"{phase.removesuffix('-d')}.d/50-{name}", text)
            else:
                self.write(f"elements/{name}/{phase}.yaml", text)

    def script(self, element: str, name: str, body: str, *, mode: int = 0o755) -> None:
        self.write(f"elements/{element}/{name}", HEAD + textwrap.dedent(body), mode=mode)

    def plan(self, *elements: str, more: str = "") -> Plan:
        text = "name: test\nbase: {distribution: debian, release: trixie}\nelements:\n"
        text += "".join(f"  - {element}\n" for element in elements) + textwrap.dedent(more)
        return make_plan(load(self.write("recipe.yaml", text), self.settings), self.settings)

    def render(self, *elements: str, more: str = "", install_packages: bool = False) -> Rendered:
        return render(self.plan(*elements, more=more), install_packages=install_packages)


def workplace(folder: Path) -> Workplace:
    """In an empty folder, with no elements but its own and diskimage-builder's."""
    elements = folder / "elements"
    elements.mkdir()
    settings = from_environment({"HOME": str(folder), "PATH": "/usr/bin"})
    return Workplace(folder, replace(settings, elements_path=(elements,)))
