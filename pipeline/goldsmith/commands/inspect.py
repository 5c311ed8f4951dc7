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
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "image", metavar="IMAGE", nargs="?", type=Path, help="an image's file: qcow2, raw, vmdk, vhd or vhdx"
    )
    what.add_argument(
        "--swift-object",
        metavar="FILE",
        type=Path,
        help="instead of an image, the metadata of an object on a storage node of Swift, by its .data file",
    )
    parser.add_argument(
        "--ignore",
        metavar="ID",
        action="append",
        default=[],
        help="leave this rule out; can be given several times",
    )


def _swift_object(path: Path) -> Outcome:
    from goldsmith.inspection.swift_object import read_object

    found = read_object(path)
    document = {"object": str(path), "metadata": found.metadata, "checksum": found.checksum, "large": found.large}
    lines = [f"{name}: {value}" for name, value in sorted(found.metadata.items())]
    lines.append("checksum of the metadata: " + ("right" if found.checksum else "an old Swift wrote none"))
    if found.large:
        lines.append(f"{found.large}: the ETag is the MD5 of the segments' ETags, not of bytes")
    return Outcome(document, "\n".join(lines))


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    if args.swift_object:
        return _swift_object(args.swift_object)
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
