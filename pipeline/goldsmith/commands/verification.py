"""Verifications as commands ask for them: an image by a recipe, or any image by itself."""

from __future__ import annotations

import datetime
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goldsmith.bake.build import Built
from goldsmith.boot import accelerator
from goldsmith.boot.properties import firmware_from, not_applied
from goldsmith.boot.seed import Datasource
from goldsmith.commands import proofs
from goldsmith.commands.context import Context
from goldsmith.commands.proofs import About
from goldsmith.host.files import file_digest
from goldsmith.images.untrusted import image_format
from goldsmith.recipe.plan import Plan, check_inputs
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
    def own(self) -> dict[str, str]:
        """What it asks beside a recipe's checks and machine; two that ask the same have the same.

        Where there is any, a report is not about the recipe, all of it and nothing else: what was overlooked for once,
        or seen on another machine, must not be published later.
        """
        found = {f"property {name}": value for name, value in self.properties.items()}
        found |= {f"checks {path.stem}": file_digest(path) for path in self.check_files}
        if self.console_rules and (source := self.console_rules.source):
            # The commands that repeat a check name the file.
            found["console rules"] = f"{source} {file_digest(source)}"
        if self.datasource != "metadata":
            found["datasource"] = self.datasource
        return found


@dataclass(frozen=True)
class Answer:
    """A report; ``kept`` where it is of an earlier verification of the same, and nothing was booted."""

    report: Report
    kept: bool = False

    @property
    def note(self) -> str:
        """What the user is told of a kept one."""
        return f"verified on {self.report.finished}; --again boots it again"


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
    *,
    again: bool = False,
) -> Answer:
    """The verdicts about an image by the plan's checks: the plan's own, or another's file.

    It is booted, unless all this was asked before and answered; with ``again`` in any case.  A report about all of the
    plan's checks is kept as its proof.  The report is left in ``reports_folder`` in each of its forms.
    ``recipe`` is given where ``target`` is an image: the commands that repeat a check need both.
    """
    part = part or Selection()
    file, manifest = (image.image, image.manifest) if isinstance(image, Built) else (image, None)
    published = {**proofs.properties(plan, manifest), **part.properties}
    firmwares = part.firmwares or plan.boots_with
    about = About.proof_of(plan, manifest.sha256 if manifest else _digest(file), manifest)
    if own := part.own | _chosen(firmwares, plan.boots_with):
        firmware = tuple(sorted(firmwares))
        about = about.model_copy(update={"firmware": firmware, "shaping": proofs.shaping(published), "own": own})

    def boot() -> Report:
        return _verified(
            file, plan.recipe.name, (*plan.checks, *part.user_checks), firmwares, published, target, context, part
        )

    found = _asked(about, boot, file, target, context, part, recipe, again=again)
    if manifest and not found.kept and not own and found.report.complete:
        proofs.remember_proof(plan, about, context.settings)
    return found


def verified_alone(image: Path, target: str, context: Context, part: Selection, *, again: bool = False) -> Answer:
    """The same for an image of which nothing is known but what it holds: it must boot, come to rest and go off."""
    form = image_format(image)
    named = firmware_from(part.properties)
    firmwares = part.firmwares or ((named,) if named else bootable_with(image, form))
    name = name_of(image)
    about = About(
        sha256=_digest(image),
        checks_inputs=check_inputs(),
        firmware=tuple(sorted(firmwares)),
        shaping=proofs.shaping(part.properties),
        qemu=proofs.qemu_version(),
        own={"alone": name, **part.own},
    )

    def boot() -> Report:
        return _verified(image, name, part.user_checks, firmwares, part.properties, target, context, part)

    return _asked(about, boot, image, target, context, part, None, again=again)


def _digest(image: Path) -> str:
    """Of no file nothing was kept, and whoever opens it says what is wrong."""
    return file_digest(image) if image.is_file() else ""


def _chosen(firmwares: Sequence[Firmware], usual: Sequence[Firmware]) -> dict[str, str]:
    return {} if set(firmwares) == set(usual) else {"firmware": "chosen"}


def _asked(
    about: About,
    boot: Callable[[], Report],
    image: Path,
    target: str,
    context: Context,
    part: Selection,
    recipe: Path | None,
    *,
    again: bool,
) -> Answer:
    """The report that is kept about this, else that of ``boot``, which is kept."""
    options = _options(part, recipe)
    if not (again or part.checks or part.on_failure):
        report = proofs.answer(about, image, target, context.settings)
        if report:
            found = Answer(_kept(report, options, context), kept=True)
            context.progress.note(f"{report.title}: {found.note}")
            return found
    report = boot()
    # Whoever sat at its console may have changed what was looked at afterwards.
    touched = part.on_failure and report.status != "pass"
    if report.complete and report.sha256 == about.sha256 and not touched:
        proofs.keep(about, report, target, context.settings)
    return Answer(_kept(report, options, context))


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
