"""goldsmith publish."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from goldsmith.commands import arguments
from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import ExitCode

if TYPE_CHECKING:
    from goldsmith.commands.store import Look
    from goldsmith.publish.signatures import Signer

NAME = "publish"
SUMMARY = "put proven images into the catalogue"
DESCRIPTION = """\
Put the images that were built from recipes, and that passed all their checks with each firmware, into the catalogue:
the folder images/ (or GOLDSMITH_IMAGES).  Beside NAME.qcow2 stand its manifest, its bill of materials (SPDX) and its
Glance properties.  The former image of the name is replaced in one step.  One that was not booted is refused.

With --cloud they go to Glance instead: uploaded out of sight, verified, then shown in place of the former one in one
switch.  What is there already is not done again, so a run that failed for one cloud is completed by the next.
With --sign-key and --sign-certificate they are signed, and Glance verifies the signature as it takes the bytes.

With --verify-store what Swift holds of them is compared with the files, without a download."""


def configure(parser: argparse.ArgumentParser) -> None:
    arguments.recipes(parser)
    arguments.clouds(parser)
    arguments.method(parser)
    arguments.signing(parser)
    arguments.store(parser)


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.commands import work
    from goldsmith.commands.cloud_options import of_clouds

    signer, look = of_clouds(args)
    if args.cloud:
        return _to_clouds(args, signer, look, context)
    documents, lines = [], []
    for plan in work.planned(args.recipes, context.settings):
        image = work.existing(plan, context)
        there = work.published(plan, image.manifest, context.settings)
        entry = there or work.publish(plan, image, context)
        documents.append(
            {
                "name": plan.recipe.name,
                "image": str(entry.image),
                "sha256": entry.manifest.sha256,
                "properties": entry.manifest.properties,
                "published": there is None,
            }
        )
        lines.append(f"{plan.recipe.name}: {'nothing to do, ' if there else ''}{entry.image}")
    return Outcome({"recipes": documents}, "\n".join(lines))


def _to_clouds(args: argparse.Namespace, signer: Signer | None, look: Look | None, context: Context) -> Outcome:
    from goldsmith.commands import clouds, work

    documents, lines, code = [], [], ExitCode.GOOD
    # All images are found before the first is sent: an error here would hide what was done.
    images = [(plan, work.existing(plan, context)) for plan in work.planned(args.recipes, context.settings)]
    for plan, built in images:
        done = clouds.publish(plan, built, args.cloud, context, method=args.method, signer=signer, look=look)
        documents.append({"name": plan.recipe.published_name, "clouds": done})
        lines += [plan.recipe.published_name, *clouds.as_text(done)]
        code = max(code, clouds.worst(done))
    return Outcome({"recipes": documents}, "\n".join(lines), code)
