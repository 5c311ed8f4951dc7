"""goldsmith audit."""

from __future__ import annotations

import argparse

from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import ExitCode

NAME = "audit"
SUMMARY = "find, and mend, what others broke in the properties of a cloud's images"
DESCRIPTION = """\
Look at all images of a project, hidden ones too: properties that are missing, that drifted from what was published,
that are misspelled or contradict each other; snapshots that lost or froze properties; children of replaced images.
With --fix what is sure is repaired, by one PATCH per image; the rest is for you to decide.

    goldsmith audit --cloud production
    goldsmith audit --cloud production --all-projects --fix

Ends 0 when nothing is left, 1 when something is, 3 when the cloud did not take a repair.
docs/audit.md lists the rules."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cloud", metavar="NAME", required=True, help="an entry of clouds.yaml")
    parser.add_argument("--all-projects", action="store_true", help="the images of all projects; for administrators")
    parser.add_argument("--fix", action="store_true", help="repair what is sure")


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.publish.audit import report
    from goldsmith.publish.audit.run import audit, planned_by_build
    from goldsmith.publish.glance.service import connect

    with context.progress.step(f"audit: the images of {args.cloud}"):
        glance = connect(args.cloud)
        planned = planned_by_build(context.settings.images_dir)
        found = audit(glance, planned, all_projects=args.all_projects, fix=args.fix)
    if args.all_projects and not glance.is_administrator():
        context.progress.note("without the role admin only this project's, public and shared images were looked at")
    exit_code = ExitCode.CHECK_FAILED if any(each.left for each in found.wrong) else ExitCode.GOOD
    if any(each.failed for each in found.wrong):
        exit_code = ExitCode.HOST
    return Outcome(report.document(args.cloud, found), report.as_text(args.cloud, found), exit_code)
