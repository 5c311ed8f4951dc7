"""goldsmith verify."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from goldsmith.commands import arguments
from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import ExitCode, InputError, Problem

if TYPE_CHECKING:
    from goldsmith.recipe.plan import Plan
    from goldsmith.store.manifest import Status
    from goldsmith.verify.report import Report

NAME = "verify"
SUMMARY = "boot an image in the lab and run its checks"
DESCRIPTION = """\
Boot an image with each of its firmwares, in virtual networks like Neutron's, and run the checks of its recipe's
elements: on the image as it is, in the running guest, on its screen, and on its disk after it was shut down.  The
machine is what Nova makes of the image's properties.  The image itself is never written to.

    goldsmith verify recipes/debian-13.yaml                      the image that was built from the recipe
    goldsmith verify some.qcow2 --recipe recipes/debian-13.yaml  another image, by the recipe's checks
    goldsmith verify some.qcow2                                  any image: does it boot, come to rest, go off again?

Where all that decides was asked before (the image, the checks and their code, the firmwares, the machine with QEMU's
version), the report of then is the answer, red or green; one in which a check could not be evaluated is none.

Ends 1 when a check failed and 3 when one could not be evaluated."""

_EXIT: dict[Status, ExitCode] = {"pass": ExitCode.GOOD, "fail": ExitCode.CHECK_FAILED, "broken": ExitCode.HOST}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="RECIPE|IMAGE", type=Path, help="a recipe (*.yaml), or an image's file")
    parser.add_argument("--recipe", metavar="RECIPE", type=Path, help="the recipe whose checks an IMAGE must pass")
    parser.add_argument(
        "--firmware",
        choices=("bios", "uefi"),
        action="append",
        default=[],
        help="boot only with this firmware; by default with the recipe's, or an image's own",
    )
    parser.add_argument(
        "--check",
        metavar="ELEMENT/ID",
        action="append",
        default=[],
        help="run only this check; can be given several times",
    )
    parser.add_argument(
        "--checks",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="YAML with checks of your own, beside the others (docs/checks.md); can be given several times",
    )
    arguments.shape(parser)
    arguments.console_rules(parser)
    parser.add_argument("--again", action="store_true", help="boot it even where all of this was verified before")
    parser.add_argument(
        "--debug",
        action="store_true",
        help="when a check failed, leave the guest running and sit at its console before it is switched off",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the report as one HTML page to FILE, too")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write the report as JUnit XML to FILE, too")


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.boot.properties import properties_of
    from goldsmith.commands import verification, work
    from goldsmith.commands.debug import Debugger
    from goldsmith.verify.console_rules.rules import with_users
    from goldsmith.verify.report import as_text
    from goldsmith.verify.reporting import files
    from goldsmith.verify.user_checks import load_all

    wanted = [("--html", files.HTML, args.html), ("--junit", files.JUNIT, args.junit)]
    files.require_writable((option, path) for option, _, path in wanted if path)
    is_recipe = args.target.suffix in (".yaml", ".yml")
    if is_recipe and args.recipe:
        hint = "see: goldsmith verify --help"
        raise InputError("--recipe goes with an image, and this is a recipe", where=str(args.target), hint=hint)
    target, recipe = str(args.target), args.target if is_recipe else args.recipe
    plan, problems = _planned(recipe, context)
    taken = {check.element for check in plan.checks} if plan else set()
    try:
        own = load_all(args.checks, taken)
    except InputError as error:
        raise InputError(problems=[*problems, *error.problems]) from error
    if problems:
        raise InputError(problems=problems)
    part = verification.Selection(
        firmwares=tuple(args.firmware),
        checks=tuple(args.check),
        console_rules=with_users(args.console_rules) if args.console_rules else None,
        properties=properties_of(args.property),
        datasource=args.datasource,
        check_files=tuple(args.checks),
        user_checks=own,
        on_failure=Debugger(context) if args.debug else None,
    )
    if plan:
        image = work.existing(plan, context) if is_recipe else args.target
        answer = verification.verified(plan, image, target, context, part, args.recipe, again=args.again)
    else:
        answer = verification.verified_alone(args.target, target, context, part, again=args.again)
    report = answer.report
    folder = verification.reports_folder(report.name, context.settings)
    for _, name, path in wanted:
        if path:
            files.copy(folder / name, path)
    document = {
        **report.model_dump(mode="json"),
        "status": report.status,
        "artefacts": str(folder),
        "kept": answer.kept,
    }
    kept = f"{answer.note}\n" if answer.kept else ""
    text = f"{as_text(report)}{kept}report.html, junit.xml, consoles and screens: {folder}"
    return Outcome(document, text, exit_code(report))


def _planned(recipe: Path | None, context: Context) -> tuple[Plan | None, list[Problem]]:
    """The recipe's plan, None where there is no recipe or it is wrong, and all that is wrong with it."""
    from goldsmith.commands import work

    if recipe is None:
        return None, []
    try:
        (plan,) = work.planned([recipe], context.settings)
    except InputError as error:
        return None, list(error.problems) or [Problem(error.where or str(recipe), "", error.message, error.hint)]
    return plan, []


def exit_code(report: Report) -> ExitCode:
    """What a report means for the caller: a broken harness is not a failed check."""
    return _EXIT[report.status]
