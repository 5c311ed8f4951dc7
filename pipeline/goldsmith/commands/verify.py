"""goldsmith verify."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import ExitCode, InputError

if TYPE_CHECKING:
    from goldsmith.store.manifest import Status
    from goldsmith.verify.report import Report

NAME = "verify"
SUMMARY = "boot an image in the lab and run its checks"
DESCRIPTION = """\
Boot an image with each of its firmwares, in virtual networks like Neutron's, and run the checks of its recipe's
elements: on the image as it is, in the running guest, on its screen, and on its disk after it was shut down.  The
image itself is never written to.

    goldsmith verify recipes/debian-13.yaml                   the image that was built from the recipe
    goldsmith verify some.qcow2 --recipe recipes/debian-13.yaml  another image, by the recipe's checks

Ends 1 when a check failed and 3 when one could not be evaluated."""

_EXIT: dict[Status, ExitCode] = {"pass": ExitCode.GOOD, "fail": ExitCode.CHECK_FAILED, "broken": ExitCode.HOST}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="RECIPE|IMAGE", type=Path, help="a recipe (*.yaml), or an image's file")
    parser.add_argument("--recipe", metavar="RECIPE", type=Path, help="the recipe whose checks an IMAGE must pass")
    parser.add_argument(
        "--firmware", choices=("bios", "uefi"), action="append", default=[], help="boot only with this firmware"
    )
    parser.add_argument(
        "--check",
        metavar="ELEMENT/ID",
        action="append",
        default=[],
        help="run only this check; can be given several times",
    )


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.commands import work
    from goldsmith.verify.report import as_text

    is_recipe = args.target.suffix in (".yaml", ".yml")
    if is_recipe == (args.recipe is not None):
        problem = "--recipe goes with an image, and this is a recipe" if is_recipe else "whose checks must it pass?"
        raise InputError(problem, where=str(args.target), hint="see: goldsmith verify --help")
    (plan,) = work.planned([args.recipe or args.target], context.settings)
    image = work.existing(plan, context).image if is_recipe else args.target
    part = work.Selection(tuple(args.firmware), tuple(args.check))
    report = work.verified(plan, image, str(args.target), context, part)
    if args.recipe:
        report = _repeatable(report, args.recipe)
    folder = work.reports_folder(plan.recipe.name, context.settings)
    document = {**report.model_dump(mode="json"), "status": report.status, "artefacts": str(folder)}
    return Outcome(document, f"{as_text(report)}report, consoles and screens: {folder}", exit_code(report))


def _repeatable(report: Report, recipe: Path) -> Report:
    """The commands that repeat a check name the image; here they need the recipe, too."""
    verdicts = tuple(
        verdict.model_copy(update={"repeat": f"{verdict.repeat} --recipe {shlex.quote(str(recipe))}"})
        if verdict.repeat
        else verdict
        for verdict in report.verdicts
    )
    return report.model_copy(update={"verdicts": verdicts})


def exit_code(report: Report) -> ExitCode:
    """What a report means for the caller: a broken harness is not a failed check."""
    return _EXIT[report.status]
