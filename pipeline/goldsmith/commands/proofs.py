"""Reports of complete verifications, kept by what they are about: the same question has the same answer.

That is the image's sha256, the checks and the code that evaluates them, the firmwares, the properties that shape the
machine, the version of QEMU, and whatever a user asked beside.  Those about a recipe, all of it and nothing else, are
proofs: they are published.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from goldsmith.boot.accelerator import QEMU
from goldsmith.boot.properties import SHAPING
from goldsmith.errors import HostError
from goldsmith.host.files import document_digest, write_text
from goldsmith.host.run import run
from goldsmith.publish.properties import THE_RECIPE, DiskFacts, Property, derive
from goldsmith.recipe.model import ImageBase
from goldsmith.recipe.plan import Plan
from goldsmith.recipe.releases import DISTRIBUTIONS
from goldsmith.settings import Settings
from goldsmith.store.manifest import Manifest
from goldsmith.verify.report import Report


def properties(plan: Plan, manifest: Manifest | None = None) -> dict[str, str]:
    """The values of ``described``, and its errors."""
    return {name: each.value for name, each in described(plan, manifest).items()}


def described(plan: Plan, manifest: Manifest | None = None) -> dict[str, Property]:
    """Glance properties with their origins.  Raises InputError where elements or recipe contradict the disk.

    ``manifest`` is that of the plan's image, which says what is on it.
    """
    base = plan.recipe.base
    if isinstance(base, ImageBase):
        # Until it was looked into the recipe says what it wants said.
        found, lacks = (manifest.found, manifest.lacks) if manifest else ({}, ())
        facts = DiskFacts("", "", plan.recipe.disk.firmware, found, frozenset(lacks))
    else:
        version = DISTRIBUTIONS[base.distribution].releases[base.release]
        facts = DiskFacts(base.distribution, version, plan.recipe.disk.firmware, lacks=_not_installed(manifest))
    planned = {name: Property(value, plan.origins.get(name, THE_RECIPE)) for name, value in plan.properties.items()}
    return derive(planned, base.architecture, facts)


def _not_installed(manifest: Manifest | None) -> frozenset[str]:
    """The guest agent has the same name as its package, on Debian and Ubuntu."""
    installed = {package.name for package in manifest.packages} if manifest else set()
    return frozenset({"qemu-guest-agent"} - installed) if installed else frozenset()


def _shaping(plan: Plan, manifest: Manifest | None) -> dict[str, str]:
    return {name: value for name, value in properties(plan, manifest).items() if name in SHAPING}


@functools.cache
def qemu_version() -> str:
    """What QEMU says of itself, the distribution's revision too; empty where there is none."""
    try:
        return run([QEMU, "--version"], deadline=60).stdout.partition("\n")[0]
    except HostError:
        return ""


class About(BaseModel):
    """What a report is about."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sha256: str
    checks_inputs: dict[str, str]
    firmware: tuple[str, ...]
    shaping: dict[str, str]
    qemu: str = ""
    #: what a user asked beside a recipe, or instead of one; empty for a proof
    own: dict[str, str] = {}

    @classmethod
    def proof_of(cls, plan: Plan, sha256: str, manifest: Manifest | None) -> About:
        """All that the plan promises; without a ``manifest`` of another image than the plan's."""
        return cls(
            sha256=sha256,
            checks_inputs=plan.checks_inputs,
            firmware=tuple(sorted(plan.recipe.disk.firmware)),
            shaping=shaping(properties(plan, manifest)),
            qemu=qemu_version(),
        )

    def path(self, settings: Settings) -> Path:
        folder = settings.cache_dir / ("verdicts" if self.own else "proofs")
        return folder / f"{document_digest(self.model_dump(mode='json'))}.json"


class _Kept(BaseModel):
    """``target`` is what the commands in the report, which repeat a check, call the image."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    target: str
    report: Report


def shaping(of_image: Mapping[str, str]) -> dict[str, str]:
    """Of an image's properties, those that shape the machine."""
    return {name: value for name, value in of_image.items() if name in SHAPING}


def keep(about: About, report: Report, target: str, settings: Settings) -> None:
    """Keep a report that is complete."""
    write_text(about.path(settings), _Kept(target=target, report=report).model_dump_json(indent=2) + "\n")


def _kept(about: About, settings: Settings) -> _Kept | None:
    path = about.path(settings)
    try:
        kept = _Kept.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not kept.report.complete or kept.report.sha256 != about.sha256:
        return None
    # When it was used last: see goldsmith.store.collection.
    with contextlib.suppress(OSError):
        os.utime(path)
    return kept


def answer(about: About, image: Path, target: str, settings: Settings) -> Report | None:
    """The report that was kept, where it says something of the image: good or bad, but nothing in it broken.

    ``image`` is where the image lies now, and ``target`` what the user calls it.
    """
    kept = _kept(about, settings)
    if kept is None or not kept.report.verdicts or kept.report.with_status("broken"):
        return None
    begin = "goldsmith verify {} "
    old, new = (begin.format(shlex.quote(name)) for name in (kept.target, target))
    verdicts = tuple(
        verdict.model_copy(update={"repeat": new + verdict.repeat.removeprefix(old)}) if verdict.repeat else verdict
        for verdict in kept.report.verdicts
    )
    return kept.report.model_copy(update={"image": str(image), "verdicts": verdicts})


def proof(plan: Plan, manifest: Manifest, settings: Settings) -> Report | None:
    """The last complete report about this image and all that its plan promises, good or bad; None if there is none."""
    kept = _kept(About.proof_of(plan, manifest.sha256, manifest), settings)
    return kept.report if kept else None


def remember_proof(plan: Plan, about: About, settings: Settings) -> None:
    """Note what the last proof of the recipe's own image is about."""
    write_text(_about_path(plan, settings), about.model_dump_json(indent=2) + "\n")


def _about_path(plan: Plan, settings: Settings) -> Path:
    return settings.cache_dir / "proven" / f"{plan.recipe.name}.json"


def why_unproven(plan: Plan, manifest: Manifest, settings: Settings) -> list[str]:
    """Why the plan's image has no proof that is green, a line each; empty where it has."""
    if report := proof(plan, manifest, settings):
        return [] if report.status == "pass" else [f"its checks ended with: {report.status}"]
    try:
        old = About.model_validate_json(_about_path(plan, settings).read_bytes())
    except (OSError, ValueError):
        return ["no image of this recipe was verified yet"]
    new = About.proof_of(plan, manifest.sha256, manifest)
    lines = ["the image is another than the one that was verified"] if new.sha256 != old.sha256 else []
    lines += plan.check_differences(old.checks_inputs)
    if new.firmware != old.firmware:
        lines.append(f"firmware: {', '.join(old.firmware)} -> {', '.join(new.firmware)}")
    lines += [
        f"property {name}: {old.shaping.get(name, 'not set')} -> {new.shaping.get(name, 'not set')}"
        for name in sorted(old.shaping.keys() | new.shaping.keys())
        if old.shaping.get(name) != new.shaping.get(name)
    ]
    if new.qemu != old.qemu:
        lines.append(f"{QEMU}: {old.qemu or 'not known'} -> {new.qemu or 'not there'}")
    return lines or ["the report of its verification is no longer there"]
