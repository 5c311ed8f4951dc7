"""The plan: everything that decides what an image will hold, with a digest of each input."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from goldsmith.errors import InputError
from goldsmith.host.files import document_digest, file_digest
from goldsmith.recipe import dib, registry
from goldsmith.recipe.differences import describe
from goldsmith.recipe.elements import CHECKS, PROPERTIES, SCHEMA
from goldsmith.recipe.examine import Draft, Findings, PlannedCheck, PlannedElement, examine
from goldsmith.recipe.model import ImageBase, Recipe
from goldsmith.recipe.windows import PlannedEntry, PlannedIni
from goldsmith.settings import Settings

__all__ = ["Plan", "PlannedCheck", "PlannedElement", "PlannedEntry", "PlannedIni", "check_inputs", "make_plan"]

_PACKAGE = Path(__file__).resolve().parents[1]
#: packages whose code decides what is in an image, and those that decide what is said of it
_IMAGE_CODE = ("bake", "host", "images", "recipe")
_CHECK_CODE = ("boot", "verify")
#: of recipe/, what only serves checks and editors
_NOT_IMAGE = {"recipe/substitute.py", "recipe/schema.py", "recipe/differences.py"}
#: of our own packages, what does nothing; scripts of DIB elements have no suffix
_NO_CODE = {".pyc", ".md", ".rst", ".css"}
#: in an element's folder, what never reaches the image
_NOT_BAKED = {
    *(SCHEMA, PROPERTIES, CHECKS, registry.FILE, "boot.yaml", "boot.d"),
    *("README.rst", "README.md", "__pycache__"),
}


@dataclass(frozen=True)
class Plan:
    """What will be built from ``recipe``.

    ``elements`` holds the recipe's in its order, then those of ours that only element-deps bring in.
    ``dib_elements`` is what disk-image-create is given; it resolves element-deps itself.  ``environment`` has
    the variables of all of them, DIB_RELEASE too; not the mirror's, which is the bake's to decide.
    ``origins`` says of each property who wants it: "element NAME" or "the recipe".
    ``inputs`` maps each input's name to its digest (versions stand for themselves), and ``digest`` is theirs: what
    is in the image.  ``checks_inputs`` and ``checks_digest`` are the same for what is asserted of it.
    """

    recipe: Recipe
    elements: tuple[PlannedElement, ...]
    dib_elements: tuple[str, ...]
    environment: dict[str, str]
    checks: tuple[PlannedCheck, ...]
    properties: dict[str, str]
    inputs: dict[str, str]
    digest: str
    origins: dict[str, str] = field(default_factory=dict)
    checks_inputs: dict[str, str] = field(default_factory=dict)
    checks_digest: str = ""
    #: of the base's file, where it is an image
    base_sha256: str | None = None
    #: what Windows elements set
    registry: tuple[PlannedEntry, ...] = ()
    ini: tuple[PlannedIni, ...] = ()

    @property
    def boots_with(self) -> tuple[Literal["bios", "uefi"], ...]:
        """The firmwares that the image is proven with.

        None for a Windows: it shows nothing on a serial console and takes no commands, so its disk alone is proven.
        """
        return () if any(planned.element.windows for planned in self.elements) else self.recipe.disk.firmware

    def differences(self, old_inputs: Mapping[str, str]) -> list[str]:
        """Why an image made from ``old_inputs`` is not this one: a line each, empty if it is."""
        return describe(old_inputs, self.inputs)

    def check_differences(self, old_checks_inputs: Mapping[str, str]) -> list[str]:
        """Why verdicts given for ``old_checks_inputs`` do not hold for this plan."""
        return describe(old_checks_inputs, self.checks_inputs)


def make_plan(
    recipe: Recipe,
    settings: Settings,
    tools: Mapping[str, str] | None = None,
    base_sha256: str | None = None,
    *,
    found: Findings | None = None,
) -> Plan:
    """Resolve a recipe.  ``tools`` maps each program that shapes the image to its version.

    ``found`` is what ``loader.load_examined`` found of this very recipe; where it is not given, it is found anew.
    ``base_sha256`` is what ``images.base.identified`` says of a base that is an image; where it is not given, the
    recipe's own.  Raises InputError with all that is wrong, variables included that DIB's own elements lack.
    """
    found = found or examine(Draft.of(recipe), settings)
    if found.problems:
        raise InputError(problems=found.problems)
    if isinstance(recipe.base, ImageBase):
        base_sha256 = base_sha256 or recipe.base.sha256
        if base_sha256 is None:
            raise InputError("the sha256 of its base is not known", where=recipe.file_of("base"))
    inputs = _image_inputs(recipe, found, settings, tools or {})
    if base_sha256:
        inputs["base:sha256"] = base_sha256
    checks_inputs = check_inputs(found.checks)
    return Plan(
        recipe=recipe,
        elements=tuple(found.elements),
        dib_elements=found.dib_elements,
        environment=found.environment,
        checks=tuple(found.checks),
        properties=found.properties,
        origins=found.origins,
        inputs=inputs,
        digest=document_digest(inputs),
        checks_inputs=checks_inputs,
        checks_digest=document_digest(checks_inputs),
        base_sha256=base_sha256,
        registry=tuple(found.registry),
        ini=tuple(found.ini),
    )


def _image_inputs(recipe: Recipe, found: Findings, settings: Settings, tools: Mapping[str, str]) -> dict[str, str]:
    # Where an image was fetched from is not what it is; its sha256 is an input of its own.
    base = recipe.base.model_dump(exclude={"image", "sha256", "sha256sums"})
    own_mirror = {"url": settings.mirror, "security_url": settings.security_mirror, "keep": False}
    inputs = {
        "dib": dib.version(),
        "base": document_digest(base),
        "elements": document_digest(found.dib_elements),
        "environment": document_digest(recipe.environment),
        "packages": document_digest(sorted(recipe.packages)),
        "disk": document_digest(recipe.disk.model_dump()),
        "mirror": document_digest(recipe.mirror.model_dump() if recipe.mirror else own_mirror),
    }
    for planned in found.elements:
        name = planned.element.name
        inputs[f"element:{name}:parameters"] = document_digest([planned.parameters, planned.variables])
        if planned.element.windows:
            inputs[f"element:{name}:registry"] = document_digest(
                [each.entry.model_dump() for each in found.registry if each.element == name]
                + [each.option.model_dump() for each in found.ini if each.element == name]
            )
    for name, folder in found.build.items():
        # DIB's own elements are what its version says
        if folder.parent != dib.elements_folder():
            inputs.update({f"element:{name}:{file}": digest for file, digest in _folder_digests(folder).items()})
    inputs.update(_code(_IMAGE_CODE, leave_out=_NOT_IMAGE))
    inputs.update({f"tool:{name}": version for name, version in tools.items()})
    return dict(sorted(inputs.items()))


def check_inputs(checks: Iterable[PlannedCheck] = ()) -> dict[str, str]:
    """What decides about verdicts, beside the image and the machine: the checks, and the code that evaluates them."""
    inputs = {f"check:{check.element}:{check.id}": document_digest(check.spec) for check in checks}
    inputs.update(_code(_CHECK_CODE))
    return dict(sorted(inputs.items()))


def _code(packages: Iterable[str], leave_out: Iterable[str] = ()) -> dict[str, str]:
    found = {}
    for package in packages:
        for path in (_PACKAGE / package).rglob("*"):
            name = path.relative_to(_PACKAGE).as_posix()
            if path.suffix not in _NO_CODE and path.is_file() and name not in leave_out:
                found[f"code:{name}"] = file_digest(path)
    return found


def _folder_digests(folder: Path) -> dict[str, str]:
    """Digests of what an element gives to the image: relative path -> sha256 over content and executable bit."""
    found = {}
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if relative.parts[0] in _NOT_BAKED:
            continue
        if path.is_symlink():
            content = file_digest(path) if path.is_file() else ""
            found[relative.as_posix()] = document_digest({"link": str(path.readlink()), "content": content})
        elif path.is_file():
            executable = bool(path.stat().st_mode & 0o111)
            found[relative.as_posix()] = document_digest({"content": file_digest(path), "executable": executable})
        elif path.is_dir() and not any(path.iterdir()):
            # an empty folder in static/ is made in the image too
            found[f"{relative.as_posix()}/"] = hashlib.sha256(b"").hexdigest()
    return found
