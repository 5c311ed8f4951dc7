"""Proofs: complete reports of verifications, kept beside the store by what they are about.

That is the image's sha256, the checks, the firmwares, and the properties that shape the machine; a proof holds as long
as none of them changes.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from goldsmith.boot.properties import SHAPING
from goldsmith.host.files import document_digest, write_text
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


def _path(plan: Plan, sha256: str, manifest: Manifest | None, settings: Settings) -> Path:
    shaping = _shaping(plan, manifest)
    about = document_digest([sha256, plan.checks_digest, sorted(plan.recipe.disk.firmware), shaping])
    return settings.cache_dir / "proofs" / f"{about}.json"


def proof(plan: Plan, manifest: Manifest, settings: Settings) -> Report | None:
    """The last complete report about this image, these checks and firmwares, good or bad; None if there is none."""
    try:
        report = Report.model_validate_json(_path(plan, manifest.sha256, manifest, settings).read_bytes())
    except (OSError, ValueError):
        return None
    return report if report.complete and report.sha256 == manifest.sha256 else None


def keep_proof(plan: Plan, report: Report, manifest: Manifest | None, settings: Settings) -> None:
    """Keep a complete report; without a ``manifest`` it is about another image than the plan's."""
    write_text(_path(plan, report.sha256, manifest, settings), report.model_dump_json(indent=2) + "\n")
    if manifest:
        about = _About.of(plan, manifest)
        write_text(_about_path(plan, settings), about.model_dump_json(indent=2) + "\n")


class _About(BaseModel):
    """What the last proof of a recipe's image was about."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sha256: str
    checks_inputs: dict[str, str]
    firmware: tuple[str, ...]
    shaping: dict[str, str]

    @classmethod
    def of(cls, plan: Plan, manifest: Manifest) -> _About:
        firmware = tuple(sorted(plan.recipe.disk.firmware))
        return cls(
            sha256=manifest.sha256,
            checks_inputs=plan.checks_inputs,
            firmware=firmware,
            shaping=_shaping(plan, manifest),
        )


def _about_path(plan: Plan, settings: Settings) -> Path:
    return settings.cache_dir / "proven" / f"{plan.recipe.name}.json"


def why_unproven(plan: Plan, manifest: Manifest, settings: Settings) -> list[str]:
    """Why the plan's image has no proof that is green, a line each; empty where it has."""
    if report := proof(plan, manifest, settings):
        return [] if report.status == "pass" else [f"its checks ended with: {report.status}"]
    try:
        old = _About.model_validate_json(_about_path(plan, settings).read_bytes())
    except (OSError, ValueError):
        return ["no image of this recipe was verified yet"]
    new = _About.of(plan, manifest)
    lines = ["the image is another than the one that was verified"] if new.sha256 != old.sha256 else []
    lines += plan.check_differences(old.checks_inputs)
    if new.firmware != old.firmware:
        lines.append(f"firmware: {', '.join(old.firmware)} -> {', '.join(new.firmware)}")
    lines += [
        f"property {name}: {old.shaping.get(name, 'not set')} -> {new.shaping.get(name, 'not set')}"
        for name in sorted(old.shaping.keys() | new.shaping.keys())
        if old.shaping.get(name) != new.shaping.get(name)
    ]
    return lines or ["the report of its verification is no longer there"]
