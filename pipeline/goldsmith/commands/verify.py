"""goldsmith verify."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from goldsmith.commands import arguments
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
machine is what Nova makes of the image's properties.  The image itself is never written to.

    goldsmith verify recipes/debian-13.yaml                      the image that was built from the recipe
    goldsmith verify some.qcow2 --recipe recipes/debian-13.yaml  another image, by the recipe's checks
    goldsmith verify some.qcow2                                  any image: does it boot, come to rest, go off again?

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
    arguments.shape(parser)
    arguments.console_rules(parser)
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

    wanted = [("--html", files.HTML, args.html), ("--junit", files.JUNIT, args.junit)]
    files.require_writable((option, path) for option, _, path in wanted if path)
    is_recipe = args.target.suffix in (".yaml", ".yml")
    if is_recipe and args.recipe:
        hint = "see: goldsmith verify --help"
        raise InputError("--recipe goes with an image, and this is a recipe", where=str(args.target), hint=hint)
    part = verification.Selection(
        tuple(args.firmware),
        tuple(args.check),
        with_users(args.console_rules) if args.console_rules else None,
        properties_of(args.property),
        args.datasource,
        Debugger(context) if args.debug else None,
    )
    target = str(args.target)
    if recipe := args.target if is_recipe else args.recipe:
        (plan,) = work.planned([recipe], context.settings)
        image = work.existing(plan, context).image if is_recipe else args.target
        report = verification.verified(plan, image, target, context, part, args.recipe)
    else:
        report = verification.verified_alone(args.target, target, context, part)
    folder = verification.reports_folder(report.name, context.settings)
    for _, name, path in wanted:
        if path:
            files.copy(folder / name, path)
    document = {**report.model_dump(mode="json"), "status": report.status, "artefacts": str(folder)}
    text = f"{as_text(report)}report.html, junit.xml, consoles and screens: {folder}"
    return Outcome(document, text, exit_code(report))


def exit_code(report: Report) -> ExitCode:
    """What a report means for the caller: a broken harness is not a failed check."""
    return _EXIT[report.status]
