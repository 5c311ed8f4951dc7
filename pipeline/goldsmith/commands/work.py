"""From recipes to proven, published images: the steps that plan, build, verify, publish and run share."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from goldsmith import doctor
from goldsmith.bake import build as bakery
from goldsmith.bake.build import IMAGE, MANIFEST, Built, Standing, look
from goldsmith.commands.context import Context
from goldsmith.commands.proofs import proof, properties
from goldsmith.errors import GoldsmithError, HostError, InputError, Problem
from goldsmith.host.progress import Progress
from goldsmith.images import base
from goldsmith.inspection.look import followed
from goldsmith.publish import catalogue
from goldsmith.recipe.loader import load_examined
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.settings import Settings
from goldsmith.store import manifest as manifests
from goldsmith.store.manifest import Manifest
from goldsmith.store.sbom import spdx_document
from goldsmith.verify.model import parse_all
from goldsmith.verify.report import Report, attached


def planned(paths: Iterable[Path], settings: Settings, progress: Progress | None = None) -> list[Plan]:
    """The plans of all recipes.  Raises one InputError with the problems of all of them, before any work starts."""
    progress = progress or Progress(quiet=True)
    plans: dict[str, Plan] = {}
    problems: list[Problem] = []
    # Programs are asked for their versions while recipes are read.
    with ThreadPoolExecutor(1) as pool:
        tools = pool.submit(doctor.image_tools, settings)
        for path in paths:
            try:
                recipe, found = load_examined(path, settings)
                identified = base.identified(recipe, settings, progress)
                plan = make_plan(recipe, settings, tools.result(), identified, found=found)
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


def build(plan: Plan, context: Context, *, again: bool = False, recover_registry: bool = False) -> Built:
    """The plan's image, built where the store has none that is current.  Raises as ``goldsmith.bake.build.build``."""
    return bakery.build(
        plan, context.settings, context.progress, again=again, recover_registry=recover_registry, follow=followed
    )


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


def proven(plan: Plan, manifest: Manifest, report: Report | None) -> Manifest:
    """The manifest as it is published: with verdicts and properties."""
    with_verdicts = attached(manifest, report) if report else manifest
    return with_verdicts.model_copy(update={"properties": properties(plan, manifest)})


def published(plan: Plan, manifest: Manifest, settings: Settings) -> catalogue.Entry | None:
    """What the catalogue holds of this recipe, if it is this image with this proof and these properties."""
    report = proof(plan, manifest, settings)
    try:
        entry = catalogue.current(plan.recipe.name, settings)
    except GoldsmithError:
        # Damaged, or of another time: to be published again.
        return None
    if entry is None or report is None or entry.manifest.sha256 != manifest.sha256:
        return None
    same = entry.manifest.verdicts == report.verdicts and entry.manifest.properties == properties(plan, manifest)
    return entry if same else None


def publish(plan: Plan, image: Built, context: Context) -> catalogue.Entry:
    """Put the image into the catalogue.  Raises CheckFailedError or InputError where it is not proven."""
    manifest = proven(plan, image.manifest, proof(plan, image.manifest, context.settings))
    made = datetime.datetime.fromtimestamp(int(image.image.stat().st_mtime), datetime.UTC)
    sbom = spdx_document(
        manifest.name,
        [(package.name, package.version, package.architecture) for package in manifest.packages],
        distribution=manifest.base.get("distribution", ""),
        sha256=manifest.sha256,
        created=made.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    with context.progress.step(f"publish {manifest.name}"):
        kept = sorted(image.image.parent.glob(f"*{manifests.KEPT}"))
        return catalogue.publish(image.image, manifest, sbom, context.settings, kept)
