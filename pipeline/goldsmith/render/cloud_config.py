"""From a plan to user-data: which elements are applied at first boot, and what is said of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import element_packages
from goldsmith.recipe.elements import Element
from goldsmith.recipe.hooks import PHASES, scripts
from goldsmith.recipe.payload import Entry, element_entries, joined, pack, variables
from goldsmith.recipe.plan import Plan
from goldsmith.render import userdata, windows
from goldsmith.render.atboot import BOOT_PHASE, FILE, AtBoot, problems_of, read
from goldsmith.render.userdata import Part


@dataclass(frozen=True)
class Rendered:
    """``document`` is what Nova is given; ``left_out`` maps an element to why; ``notes`` are for the operator.

    ``size`` is in characters of base64, as Nova counts.
    """

    document: str
    digest: str
    applied: tuple[str, ...]
    left_out: dict[str, str]
    packages: tuple[str, ...]
    notes: tuple[str, ...]
    reboots: bool
    size: int


def render(plan: Plan, *, parts: Sequence[Part] = (), vendor: bool = False, install_packages: bool = False) -> Rendered:
    """Render a plan's own elements.  The same input gives the same document.

    ``parts`` are joined as the user's own.  Raises InputError: an element that refuses, nothing left to apply,
    too large for Nova (not with ``vendor``, where Nova has no limit).
    """
    if windows.concerned(plan):
        return _for_windows(plan, parts=parts, vendor=vendor, install_packages=install_packages)
    spoken = [(planned.element, read(planned.element)) for planned in plan.elements if planned.element.own]
    _require_willing(plan, spoken)
    applied = [(element, at_boot) for element, at_boot in spoken if at_boot.at_boot == "applied"]
    left_out = {element.name: at_boot.why or "" for element, at_boot in spoken if at_boot.at_boot != "applied"}
    if not applied:
        raise InputError(
            "no element of this recipe can be applied at first boot",
            where=str(plan.recipe.source or plan.recipe.name),
            hint="; ".join(f"{name}: {why}" for name, why in left_out.items()) or None,
        )
    wanted = sorted(
        {name for element, _ in applied for name in element_packages.needed(element, plan.recipe.bootstrapped)}
    )
    if install_packages:
        wanted = sorted({*wanted, *plan.recipe.packages})
    entries = joined(
        (element.name, element_entries(element, (*at_boot.phases, BOOT_PHASE))) for element, at_boot in applied
    )
    entries |= _facts(plan, applied, wanted, install_packages)
    payload = pack(entries, userdata.runner().encode())
    hook = userdata.boothook(payload, plan.recipe.bootstrapped)
    document = userdata.joined(hook, parts) if parts else f"{userdata.BOOTHOOK}{hook}"
    if vendor:
        document = userdata.vendor_data(document)
    else:
        shares = [(part.name, len(part.text.encode())) for part in parts]
        userdata.require_fits(document, [*shares, *payload.sizes.items()])
    return Rendered(
        document=document,
        digest=payload.digest,
        applied=tuple(element.name for element, _ in applied),
        left_out=left_out,
        packages=tuple(wanted),
        notes=tuple(_notes(plan, applied, wanted, install_packages)),
        reboots=any(at_boot.reboots for _, at_boot in applied),
        size=userdata.encoded_size(document),
    )


def _for_windows(plan: Plan, *, parts: Sequence[Part], vendor: bool, install_packages: bool) -> Rendered:
    refused = {
        "--with": (bool(parts), "cloudbase-init runs no part after one that restarts, and would not run it later"),
        "--vendor": (vendor, "cloudbase-init reads no vendor-data"),
        "--packages": (install_packages, "a Windows has no packages of a recipe"),
    }
    for option, (given, why) in refused.items():
        if given:
            raise InputError(f"{option} is not for Windows: {why}", hint=f"leave {option} out")
    document, digest = windows.script(plan)
    userdata.require_fits(document, [("the script", len(document.encode()))])
    return Rendered(
        document=document,
        digest=digest,
        applied=tuple(planned.element.name for planned in plan.elements),
        left_out={},
        packages=(),
        notes=(
            "the instance needs os_type=windows: it keeps what its image has, and user-data cannot change it",
            "cloudbase-init restarts the instance once, where a value differed",
        ),
        reboots=False,
        size=userdata.encoded_size(document),
    )


def _require_willing(plan: Plan, spoken: Sequence[tuple[Element, AtBoot]]) -> None:
    file = str(plan.recipe.source or plan.recipe.name)
    problems = []
    for element, at_boot in spoken:
        if at_boot.at_boot == "refused":
            text = f"`{element.name}` cannot be applied at first boot: {at_boot.why}"
            problems.append(Problem(file, "elements", text, "leave it out of the recipe"))
        elif at_boot.at_boot == "applied":
            problems += problems_of(element, at_boot)
    if problems:
        raise InputError(problems=problems)


def _facts(
    plan: Plan, applied: Sequence[tuple[Element, AtBoot]], wanted: Sequence[str], install_packages: bool
) -> dict[str, Entry]:
    """The files that runner.sh reads itself."""
    own = {element.name for element, _ in applied}
    of_elements = {
        variable: value
        for planned in plan.elements
        if planned.element.name in own
        for variable, value in planned.variables.items()
    }
    environment = {**plan.recipe.environment, **of_elements}
    found = [
        Entry("variables", variables(environment, plan.recipe.bootstrapped).encode()),
        Entry("packages", "".join(f"{name}\n" for name in wanted).encode()),
    ]
    if install_packages:
        found.append(Entry("may-install"))
    return {entry.name: entry for entry in found}


def _notes(
    plan: Plan, applied: Sequence[tuple[Element, AtBoot]], wanted: Sequence[str], install_packages: bool
) -> list[str]:
    notes = []
    for element, at_boot in applied:
        if at_boot.note:
            notes.append(f"{element.name}: {at_boot.note}")
        for phase in PHASES:
            if phase not in at_boot.phases and any(scripts(element.folder / phase)):
                notes.append(f"{element.name}: its {phase} is for builds only")
        if not at_boot.declared:
            notes.append(f"{element.name}: has no {FILE}, so it is applied as in a build, which nobody has proven")
    others = [planned.element.name for planned in plan.elements if not planned.element.own]
    if others:
        notes.append(f"diskimage-builder's own elements are for the image to have: {', '.join(others)}")
    if wanted and not install_packages:
        notes.append(
            f"where one of {', '.join(wanted)} is not installed nothing is changed; with --packages it is installed"
        )
    if plan.recipe.packages and not install_packages:
        notes.append(f"the recipe's packages are not installed without --packages: {', '.join(plan.recipe.packages)}")
    return notes
