"""goldsmith rollback."""

from __future__ import annotations

import argparse

from goldsmith.commands import arguments
from goldsmith.commands.context import Context, Outcome

NAME = "rollback"
SUMMARY = "the previous image of a name back, in one switch"
DESCRIPTION = """\
Show the image that the current one of a name replaced, and hide the current one: one switch in each cloud, without an
upload.  A second rollback returns to where the first began.  NAME is the name that users know the image by."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the image's public name")
    arguments.clouds(parser, required=True)


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.commands import clouds

    documents = clouds.rollback(args.name, args.cloud, context)
    text = "\n".join([args.name, *clouds.as_text(documents)])
    return Outcome({"name": args.name, "clouds": documents}, text, clouds.worst(documents))
