"""Verifications as commands ask for them: an image by a recipe, or any image by itself."""

from __future__ import annotations

import datetime
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goldsmith.bake.build import Built
from goldsmith.boot import accelerator
from goldsmith.boot.properties import firmware_from, not_applied
from goldsmith.boot.seed import Datasource
from goldsmith.commands.context import Context
from goldsmith.commands.proofs import keep_proof, properties
from goldsmith.images.untrusted import image_format
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.manifest import Firmware
from goldsmith.verify.console_rules.rules import ConsoleRules
from goldsmith.verify.firmwares import bootable_with
from goldsmith.verify.model import Planned
from goldsmith.verify.report import Report
from goldsmith.verify.reporting import files
from goldsmith.verify.session import verify_image
from goldsmith.verify.user_checks import UserCheck
from goldsmith.verify.work import OnFailure


@dataclass(frozen=True)
class Selection:
    """What a user asks beside the image: empty is all of its checks, on the machine that its properties make."""

    firmwares: tuple[Firmware, ...] = ()
    checks: tuple[str, ...] = ()
    console_rules: ConsoleRules | None = None
    #: over the recipe's
    properties: Mapping[str, str] = field(default_factory=dict)
    datasource: Datasource = "metadata"
    #: files of the user's own checks, and what stands in them
    check_files: tuple[Path, ...] = ()
    user_checks: tuple[UserCheck, ...] = ()
    #: sits down at a boot that failed
    on_failure: OnFailure | None = None

    @property
    def whole(self) -> bool:
        """Whether a recipe's report by it is about the recipe, all of it and nothing else.

        What was overlooked for once, or seen on another machine, must not be published later.
        """
        return self == Selection(firmwares=self.firmwares, on_failure=self.on_failure)


def reports_folder(name: str, settings: Settings) -> Path:
    """Where a verification leaves its report, console logs and pictures."""
    return settings.cache_dir / "reports" / name


def name_of(image: Path) -> str:
    """What reports about an image without a recipe are kept by."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", image.stem).strip("-.") or "image"


def verified(
    plan: Plan,
    image: Path | Built,
    target: str,
    context: Context,
    part: Selection | None = None,
    recipe: Path | None = None,
) -> Report:
    """Verify an image by the plan's checks, now: the plan's own, or another's file.

    A report about all of them is kept as its proof.  The report is left in ``reports_folder`` in each of its forms.
    ``recipe`` is given where ``target`` is an image: the commands that repeat a check need both.
    """
    part = part or Selection()
    file, manifest = (image.image, image.manifest) if isinstance(image, Built) else (image, None)
    published = {**properties(plan, manifest), **part.properties}
    firmwares = part.firmwares or plan.boots_with
    report = _verified(
        file, plan.recipe.name, (*plan.checks, *part.user_checks), firmwares, published, target, context, part
    )
    if report.complete and part.whole and set(firmwares) == set(plan.boots_with):
        keep_proof(plan, report, manifest, context.settings)
    return _kept(report, _options(part, recipe), context)


def verified_alone(image: Path, target: str, context: Context, part: Selection) -> Report:
    """Verify an image of which nothing is known but what it holds: it must boot, come to rest and go off again."""
    form = image_format(image)
    named = firmware_from(part.properties)
    firmwares = part.firmwares or ((named,) if named else bootable_with(image, form))
    report = _verified(image, name_of(image), part.user_checks, firmwares, part.properties, target, context, part)
    return _kept(report, _options(part, None), context)


def _verified(
    image: Path,
    name: str,
    checks: Sequence[Planned],
    firmwares: Sequence[Firmware],
    published: Mapping[str, str],
    target: str,
    context: Context,
    part: Selection,
) -> Report:
    if ignored := not_applied(published):
        context.progress.note(f"not applied to the machine: {', '.join(ignored)}")
    folder = reports_folder(name, context.settings)
    began = time.time()
    report = verify_image(
        image,
        checks,
        firmwares,
        context.settings,
        context.progress,
        accelerator=accelerator.choose(context.settings),
        artefacts=folder,
        target=target,
        only=part.checks,
        properties=published,
        datasource=part.datasource,
        console_rules=part.console_rules,
        on_failure=part.on_failure,
    )
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    files.forget_older(folder, firmwares, began)
    return report.model_copy(update={"name": name, "finished": now, "properties": dict(published)})


def _kept(report: Report, options: str, context: Context) -> Report:
    """The report with commands that repeat a check as it was made, left in the reports' folder."""
    verdicts = tuple(
        verdict.model_copy(update={"repeat": f"{verdict.repeat}{options}"}) if verdict.repeat and options else verdict
        for verdict in report.verdicts
    )
    report = report.model_copy(update={"verdicts": verdicts})
    files.keep(report, reports_folder(report.name, context.settings))
    return report


def _options(part: Selection, recipe: Path | None) -> str:
    words = ["--recipe", str(recipe)] if recipe else []
    words += [word for name, value in part.properties.items() for word in ("--property", f"{name}={value}")]
    words += [word for path in part.check_files for word in ("--checks", str(path))]
    words += ["--datasource", part.datasource] if part.datasource != "metadata" else []
    return "".join(f" {shlex.quote(word)}" for word in words)
