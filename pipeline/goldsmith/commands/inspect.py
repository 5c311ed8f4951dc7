"""goldsmith inspect."""

from __future__ import annotations

import argparse
from pathlib import Path

from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import ExitCode

NAME = "inspect"
SUMMARY = "what is inside an image, and what it carries of the machine that made it"
DESCRIPTION = """\
Look into any image, without a boot and without writing to it: the operating system it holds, what it boots with, its
network, console, drivers and clock, of Windows also drive letters and hotfixes; the Glance properties that follow; and
its residue: keys, passwords and tokens; what would make two instances the same machine; what the build or a boot has
left.  Of residue paths are shown, contents never.

    goldsmith inspect images/debian-13.qcow2
    goldsmith inspect vendor.qcow2 --ignore logs --ignore package-caches

Ends 0 when nothing is found and 1 when something is.  docs/inspect.md lists facts and rules."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", type=Path, help="an image's file: qcow2, raw, vmdk, vhd or vhdx")
    parser.add_argument(
        "--ignore",
        metavar="ID",
        action="append",
        default=[],
        help="leave this rule out; can be given several times",
    )


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.boot.accelerator import choose
    from goldsmith.inspection import report
    from goldsmith.inspection.image import examined
    from goldsmith.inspection.look import inspected
    from goldsmith.verify.residue.rules import selected

    rules = selected(ignore=args.ignore)
    accelerator = choose(context.settings)
    with context.progress.step("inspect: the image's format"):
        image = examined(args.image, accelerator.scale)
    with context.progress.step("inspect: the disk in the appliance"):
        inspection = inspected(image, rules, accelerator)
    exit_code = ExitCode.CHECK_FAILED if inspection.residue else ExitCode.GOOD
    return Outcome(report.document(inspection), report.as_text(inspection), exit_code)
