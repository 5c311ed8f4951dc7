"""goldsmith doctor."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import ExitCode

if TYPE_CHECKING:
    from goldsmith.doctor import Finding

NAME = "doctor"
SUMMARY = "what this host can do, and the remedy for each gap"
DESCRIPTION = """\
Look at everything that goldsmith needs of this host: the accelerator (timed, not believed), libguestfs and the kernel
it boots, disk space, memory, namespaces, virtual networks, tools with their versions, and what a killed run left.
Ends 0 when nothing is missing and 3 otherwise.  A line with a dash is advice: nothing fails for want of it."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--network", action="store_true", help="also ask the package mirrors for an answer")


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith import doctor

    checks = doctor.CHECKS + (doctor.NETWORK_CHECKS if args.network else ())
    with context.progress.step("looking at this host"):
        findings = doctor.examine(context.settings, checks)
    gaps = [finding for finding in findings if finding.is_gap]
    document = {"good": not gaps, "findings": [asdict(finding) for finding in findings]}
    return Outcome(document, table(findings), ExitCode.HOST if gaps else ExitCode.GOOD)


def table(findings: Sequence[Finding]) -> str:
    """One line a finding, its remedy below it, and a verdict at the end."""
    width = max((len(finding.name) for finding in findings), default=0)
    columns = max(60, shutil.get_terminal_size((120, 24)).columns)
    lines = []
    for finding in findings:
        mark = "ok" if finding.ok else "GAP" if finding.is_gap else "-"
        lead = f"{mark:>4}  {finding.name:<{width}}  "
        lines.append(textwrap.fill(finding.detail, columns, initial_indent=lead, subsequent_indent=" " * len(lead)))
        if finding.remedy and not finding.ok:
            needed = f" (needed for: {', '.join(finding.needed_for)})" if finding.needed_for else ""
            lines.append(f"{' ' * len(lead)}-> {finding.remedy}{needed}")
    gaps = sum(finding.is_gap for finding in findings)
    verdict = (
        f"{gaps} gap{'s' if gaps != 1 else ''}: see the lines marked GAP"
        if gaps
        else "This host has all that is needed."
    )
    return "\n".join([*lines, "", verdict])
