"""goldsmith diff."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import ExitCode, InputError, Problem

T = TypeVar("T")

NAME = "diff"
SUMMARY = "are two images the same, and where not, which file differs and why"
DESCRIPTION = """\
Compare two images of guests, without a boot and without writing to them: partition tables, file systems, boot areas,
and every file with its mode, owner, time, xattrs and content.  What differs is told with its cause: a package's other
version, an element, a time stamp, lines in another order, an identifier of the disk.  Of what is secret only the path
is shown.

    goldsmith diff images/debian-13.qcow2 last-week.qcow2
    goldsmith diff recipes/debian-13.yaml images/debian-13.qcow2     a recipe stands for its image in the store

Ends 0 when the guests' content is the same, however it is packed, and 1 when something differs.  docs/diff.md"""


def configure(parser: argparse.ArgumentParser) -> None:
    for name in ("A", "B"):
        parser.add_argument(
            name.lower(),
            metavar=name,
            type=Path,
            help="an image's file (qcow2, raw, vmdk, vhd or vhdx), or the recipe of an image that was built",
        )
    parser.add_argument("--all", action="store_true", help="show every path, not the first of each cause")


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.boot.accelerator import choose
    from goldsmith.inspection.comparison import report
    from goldsmith.inspection.comparison.compare import Subject, compared, manifest_beside
    from goldsmith.inspection.image import examined

    def subject(path: Path) -> Subject:
        image = examined(path, accelerator.scale)
        return Subject(image, manifest_beside(image))

    files = _each(lambda path: _file(path, context), (args.a, args.b))
    accelerator = choose(context.settings)
    with context.progress.step("diff: the images' formats"):
        a, b = _each(subject, files)
    comparison = compared(a, b, accelerator, context.progress)
    exit_code = ExitCode.CHECK_FAILED if comparison.verdict == "different" else ExitCode.GOOD
    return Outcome(report.document(comparison), report.as_text(comparison, everything=args.all), exit_code)


def _each(look: Callable[[Path], T], paths: Iterable[Path]) -> list[T]:
    """What ``look`` makes of each.  Raises one InputError with what is wrong with any."""
    found, errors = [], []
    for path in paths:
        try:
            found.append(look(path))
        except InputError as error:
            problems = error.problems or [Problem(error.where or str(path), "", error.message, error.hint)]
            errors.append((error, problems))
    if len(errors) == 1:
        raise errors[0][0]
    if errors:
        raise InputError(problems=[problem for _, problems in errors for problem in problems])
    return found


def _file(path: Path, context: Context) -> Path:
    """The image's file, of a recipe that which the store has."""
    if path.suffix not in (".yaml", ".yml"):
        return path
    from goldsmith.commands import work

    (plan,) = work.planned([path], context.settings)
    return work.existing(plan, context).image
