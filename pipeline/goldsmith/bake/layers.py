"""Two layers of a bootstrapped image: the base tree (distribution and packages), and the elements that go over it.

diskimage-builder makes the base tree, of the same elements by the same names; of those that go over it, it is given
what decides about packages and nothing else.  Their scripts and files are laid over that tree afterwards, by the means
that apply them to a finished image.  So a changed element, which has its packages, costs seconds, and images that
differ in elements alone share one base.

An element goes over the base if it can be applied to a finished image: then its scripts need nothing of a build.  All
others, diskimage-builder's own among them, are of the base as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldsmith.bake.offline import manner
from goldsmith.bake.offline.selection import SUPPLIED, dependencies
from goldsmith.host.files import file_digest
from goldsmith.host.run import run
from goldsmith.recipe import dib, requirements
from goldsmith.recipe.elements import CHECKS, OFFLINE, PROPERTIES, SCHEMA, Element
from goldsmith.recipe.hooks import PHASES
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings

#: what decides about the packages of an element, and the elements that it brings along
PACKAGES = ("element-deps", "package-installs.yaml", "package-installs.json", "pkg-map")
#: of the elements whose work is done by other means, those that bring a package with them: rsync
_WITH_PACKAGES = frozenset({"install-static"})
#: an element with anything else in its folder may do in a build what nobody can do after it
_KNOWN = frozenset({
    *PACKAGES, *PHASES, "cleanup.d", "environment.d", "static", "boot.d", "boot.yaml",
    *(SCHEMA, PROPERTIES, CHECKS, OFFLINE), "README.rst", "README.md", "__pycache__",
})  # fmt: skip
#: inputs of the plan that decide about the base, beside those of its elements
_INPUTS = ("dib", "base", "packages", "mirror")
_CODE = (
    *("code:bake/dib.py", "code:bake/dib_elements/", "code:bake/base.py", "code:bake/base_tree.py"),
    *("code:bake/list_tree.py", "code:bake/layers.py", "code:host/"),
)
#: after the one in which the initramfs is made at the latest
_LAST_PHASES = ("block-device.d", "pre-finalise.d", "finalise.d", "cleanup.d")
_SOURCE_SECONDS = 60.0


@dataclass(frozen=True)
class Layers:
    """``over`` goes over the base, in the recipe's order.

    ``elements`` are those that disk-image-create is given for the base, ``environment`` has the variables of that
    build, without the mirrors'; ``inputs`` are what decides about the base, the state of the archive left out;
    ``tools`` are the programs that DIB puts into a tree for its scripts.  ``reads_initramfs`` is whether an element of
    the base looks for the initramfs in one of the last phases, so that it has to be there.
    """

    over: tuple[Element, ...]
    elements: tuple[str, ...]
    environment: Mapping[str, str]
    inputs: Mapping[str, Any]
    tools: tuple[str, ...]
    reads_initramfs: bool

    def write_stubs(self, folder: Path) -> None:
        """What the build of the base is given for the elements that go over it: a search path."""
        for element in self.over:
            for path in _package_files(element):
                stub = folder / element.name
                stub.mkdir(parents=True, exist_ok=True)
                (stub / path.name).write_bytes(path.read_bytes())


def split(plan: Plan, settings: Settings) -> Layers:
    """The layers of a plan whose base is bootstrapped.  Raises CommandFailedError where environment.d fails."""
    over = tuple(planned.element for planned in plan.elements if planned.element.own and goes_over(planned.element))
    names = {element.name for element in over}
    below = [
        folder for name, folder in dib.expand(plan.dib_elements, settings.elements_path).items() if name not in names
    ]
    environment = _environment(plan, over, below)
    nothing = {element.name for element in over if not any(_package_files(element))}
    elements = tuple(name for name in plan.dib_elements if name not in nothing)
    inputs: dict[str, Any] = {
        name: digest
        for name, digest in plan.inputs.items()
        if name in _INPUTS or name.startswith((*_CODE, "tool:")) or _is_of(name, {folder.name for folder in below})
    }
    for element in over:
        inputs |= {f"packages:{element.name}:{path.name}": file_digest(path) for path in _package_files(element)}
    tools = {path.name for folder in below for path in (folder / "bin").glob("*")}
    return Layers(
        over,
        elements,
        environment,
        {**inputs, "elements": elements, "environment": environment},
        tuple(sorted(tools)),
        reads_initramfs=any(map(_reads_initramfs, below)),
    )


def goes_over(element: Element) -> bool:
    """Whether the scripts and files of ``element`` can be laid over a tree that is finished."""
    if any(path.name not in _KNOWN for path in element.folder.iterdir()):
        return False
    return manner.read(element).offline == "applied" and not manner.problems_of(element)


def _is_of(name: str, elements: Iterable[str]) -> bool:
    kind, _, rest = name.partition(":")
    return kind == "element" and rest.partition(":")[0] in elements


def _reads_initramfs(folder: Path) -> bool:
    scripts = (path for phase in _LAST_PHASES for path in (folder / phase).glob("*") if path.is_file())
    return any(re.search(r"initrd|initramfs|ramdisk", path.read_text(errors="replace")) for path in scripts)


def _package_files(element: Element) -> Iterator[Path]:
    """None for an element whose packages and further elements are none: the base does not even know of it."""
    found = [element.folder / name for name in PACKAGES if (element.folder / name).is_file()]
    brings = set(dependencies(element)) - (SUPPLIED - _WITH_PACKAGES)
    if brings or any(path.name.startswith("package-installs") for path in found):
        yield from found


def _environment(plan: Plan, over: Iterable[Element], below: Iterable[Path]) -> dict[str, str]:
    """The variables of the base's build: those of the elements that go over it only as far as the base reads them."""
    theirs = {
        name
        for planned in plan.elements
        if planned.element in over
        for name in (*planned.variables, *requirements.provided(planned.element.folder))
    } - set(plan.recipe.environment)
    read = _words([*below, *(path for element in over for path in _package_files(element))])
    found = {name: value for name, value in plan.environment.items() if name not in theirs}
    if wanted := sorted(theirs & read):
        found |= _evaluated(plan, over, wanted)
    return dict(sorted(found.items()))


def _words(places: Iterable[Path]) -> set[str]:
    """The names of variables, or what looks like them, in files and in all files of folders."""
    found: set[str] = set()
    for place in places:
        for path in place.rglob("*") if place.is_dir() else (place,):
            if path.is_file():
                found.update(re.findall(r"\b[A-Z][A-Z0-9_]+\b", path.read_text(errors="replace")))
    return found


def _evaluated(plan: Plan, over: Iterable[Element], names: Iterable[str]) -> dict[str, str]:
    """What environment.d of these elements makes of variables, as diskimage-builder sources it."""
    files = sorted(
        (path for element in over for path in (element.folder / "environment.d").glob("*") if path.is_file()),
        key=lambda path: path.name,
    )
    sourced = " && ".join(f'. "${number}"' for number in range(1, len(files) + 1)) or ":"
    shown = " ".join(f"""printf '%s=%s\\0' {name} "${{{name}-}}";""" for name in names)
    script = f"set -a; {sourced}; {shown}"
    said = run(["bash", "-c", script, "bash", *files], deadline=_SOURCE_SECONDS, env=plan.environment).stdout
    return dict(pair.split("=", 1) for pair in said.split("\0") if pair)
