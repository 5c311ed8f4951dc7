"""From recipes to proven, published images: the steps that plan, build, verify, publish and run share.

A proof is a complete report of a verification.  It is kept beside the store by what it is about: the image's sha256,
the checks, the firmwares, and the properties that shape the machine; it holds as long as none of them changes.
"""

from __future__ import annotations

import datetime
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from goldsmith import doctor
from goldsmith.bake.build import IMAGE, MANIFEST, Built, Standing, look
from goldsmith.boot import accelerator
from goldsmith.boot.properties import SHAPING, firmware_from
from goldsmith.commands.context import Context
from goldsmith.errors import GoldsmithError, HostError, InputError, Problem
from goldsmith.host.files import document_digest, write_text
from goldsmith.publish import catalogue
from goldsmith.publish.properties import DiskFacts, derive
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.recipe.releases import DISTRIBUTIONS
from goldsmith.settings import Settings
from goldsmith.store import manifest as manifests
from goldsmith.store.manifest import Firmware, Manifest
from goldsmith.store.sbom import spdx_document
from goldsmith.verify.console_rules.rules import ConsoleRules
from goldsmith.verify.model import parse_all
from goldsmith.verify.report import Report, attached
from goldsmith.verify.reporting import files
from goldsmith.verify.session import verify_image


def planned(paths: Iterable[Path], settings: Settings) -> list[Plan]:
    """The plans of all recipes.  Raises one InputError with the problems of all of them, before any work starts."""
    tools = doctor.image_tools(settings)
    plans: dict[str, Plan] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            plan = make_plan(load(path, settings), settings, tools)
            parse_all(plan.checks)
            properties(plan)
        except InputError as error:
            problems += error.problems or [Problem(error.where or str(path), "", error.message, error.hint)]
            continue
        if plan.recipe.name in plans:
            problems.append(Problem(str(path), "name", f"another of these recipes is called `{plan.recipe.name}`"))
        plans[plan.recipe.name] = plan
    if problems:
        raise InputError(problems=problems)
    return list(plans.values())


def require_host(context: Context) -> None:
    """Look at the host before minutes of work.  Raises HostError with every gap and its remedy."""
    with context.progress.step("looking at this host"):
        gaps = [finding for finding in doctor.examine(context.settings) if finding.is_gap]
    if gaps:
        lines = [f"{gap.name}: {gap.detail}" + (f"\n    -> {gap.remedy}" if gap.remedy else "") for gap in gaps]
        raise HostError("\n  ".join(["this host lacks what the work needs:", *lines]), hint="run: goldsmith doctor")


def is_published(plan: Plan, settings: Settings) -> bool:
    """Whether the catalogue holds an image of this very plan; only then there may be nothing to do."""
    try:
        entry = catalogue.current(plan.recipe.name, settings)
    except GoldsmithError:
        return False
    return entry is not None and entry.manifest.recipe_digest == plan.digest


def properties(plan: Plan) -> dict[str, str]:
    """Glance properties: the plan's over what its base implies.  Raises InputError where they contradict it."""
    base = plan.recipe.base
    facts = DiskFacts(
        base.distribution, DISTRIBUTIONS[base.distribution].releases[base.release], plan.recipe.disk.firmware
    )
    return derive(plan.properties, base.architecture, facts)


def built(plan: Plan, standing: Standing) -> Built:
    """The image that the store has for this plan.  Raises InputError where there is none."""
    if standing.artefact is None:
        raise InputError(
            f"has no image: {'; '.join(standing.reasons)}",
            where=str(plan.recipe.source or plan.recipe.name),
            hint=f"run: goldsmith build {plan.recipe.source or 'RECIPE'}",
        )
    manifest = manifests.read(standing.artefact.file(MANIFEST))
    return Built(standing.artefact.file(IMAGE), manifest, cached=True, reasons=standing.reasons)


def existing(plan: Plan, context: Context) -> Built:
    """As ``built``, looked up now."""
    return built(plan, look(plan, context.settings, context.progress))


def _firmwares(plan: Plan) -> tuple[Firmware, ...]:
    """What Nova may boot the image with: the properties' choice, and where they leave it to the cloud, the disk's."""
    named = firmware_from(properties(plan))
    return (named,) if named else plan.recipe.disk.firmware


def _proof_path(plan: Plan, sha256: str, settings: Settings) -> Path:
    shaping = {name: value for name, value in properties(plan).items() if name in SHAPING}
    about = document_digest([sha256, plan.checks_digest, sorted(_firmwares(plan)), shaping])
    return settings.cache_dir / "proofs" / f"{about}.json"


def proof(plan: Plan, sha256: str, settings: Settings) -> Report | None:
    """The last complete report about this image, these checks and firmwares, good or bad; None if there is none."""
    try:
        report = Report.model_validate_json(_proof_path(plan, sha256, settings).read_bytes())
    except (OSError, ValueError):
        return None
    return report if report.complete and report.sha256 == sha256 else None


def reports_folder(name: str, settings: Settings) -> Path:
    """Where a verification leaves its report, console logs and pictures."""
    return settings.cache_dir / "reports" / name


@dataclass(frozen=True)
class Selection:
    """A part of a verification, or one by a user's console rules; empty is all of it, by goldsmith's own."""

    firmwares: tuple[Firmware, ...] = ()
    checks: tuple[str, ...] = ()
    console_rules: ConsoleRules | None = None


def verified(
    plan: Plan,
    image: Path,
    target: str,
    context: Context,
    part: Selection | None = None,
    recipe: Path | None = None,
) -> Report:
    """Verify an image by the plan's checks, now.  A report about all of them is kept as its proof.

    The report is left in ``reports_folder`` in each of its forms.  ``recipe`` is given where ``target`` is an image:
    the commands that repeat a check need both.
    """
    part = part or Selection()
    firmwares = part.firmwares or _firmwares(plan)
    folder = reports_folder(plan.recipe.name, context.settings)
    began = time.time()
    report = verify_image(
        image,
        plan.checks,
        firmwares,
        context.settings,
        context.progress,
        accelerator=accelerator.choose(context.settings),
        artefacts=folder,
        target=target,
        only=part.checks,
        properties=properties(plan),
        console_rules=part.console_rules,
    )
    whole = report.complete and set(firmwares) == set(_firmwares(plan))
    # What was overlooked for once must not be published later.
    if whole and part.console_rules is None:
        write_text(_proof_path(plan, report.sha256, context.settings), report.model_dump_json(indent=2) + "\n")
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    facts = {"name": plan.recipe.name, "finished": now, "properties": properties(plan)}
    report = report.model_copy(update=facts)
    if recipe:
        report = _repeatable(report, recipe)
    files.forget_older(folder, firmwares, began)
    files.keep(report, folder)
    return report


def _repeatable(report: Report, recipe: Path) -> Report:
    """The commands that repeat a check name the image; here they need the recipe, too."""
    verdicts = tuple(
        verdict.model_copy(update={"repeat": f"{verdict.repeat} --recipe {shlex.quote(str(recipe))}"})
        if verdict.repeat
        else verdict
        for verdict in report.verdicts
    )
    return report.model_copy(update={"verdicts": verdicts})


def proven(plan: Plan, manifest: Manifest, report: Report | None) -> Manifest:
    """The manifest as it is published: with verdicts and properties."""
    with_verdicts = attached(manifest, report) if report else manifest
    return with_verdicts.model_copy(update={"properties": properties(plan)})


def published(plan: Plan, sha256: str, settings: Settings) -> catalogue.Entry | None:
    """What the catalogue holds of this recipe, if it is this image with this proof and these properties."""
    report = proof(plan, sha256, settings)
    try:
        entry = catalogue.current(plan.recipe.name, settings)
    except GoldsmithError:
        # Damaged, or of another time: to be published again.
        return None
    if entry is None or report is None or entry.manifest.sha256 != sha256:
        return None
    same = entry.manifest.verdicts == report.verdicts and entry.manifest.properties == properties(plan)
    return entry if same else None


def publish(plan: Plan, image: Built, context: Context) -> catalogue.Entry:
    """Put the image into the catalogue.  Raises CheckFailedError or InputError where it is not proven."""
    manifest = proven(plan, image.manifest, proof(plan, image.manifest.sha256, context.settings))
    made = datetime.datetime.fromtimestamp(int(image.image.stat().st_mtime), datetime.UTC)
    sbom = spdx_document(
        manifest.name,
        [(package.name, package.version, package.architecture) for package in manifest.packages],
        distribution=plan.recipe.base.distribution,
        sha256=manifest.sha256,
        created=made.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    with context.progress.step(f"publish {manifest.name}"):
        return catalogue.publish(image.image, manifest, sbom, context.settings)
