"""goldsmith build."""

from __future__ import annotations

import argparse

from goldsmith.commands import arguments
from goldsmith.commands.context import Context, Outcome

NAME = "build"
SUMMARY = "bake images; nothing is built whose inputs did not change"
DESCRIPTION = """\
Bake each recipe's image with diskimage-builder and keep it, with its manifest, in the store.  An image whose recipe,
elements, tools and packages are those of the last build is not built again.  Needs root, or sudo."""


def configure(parser: argparse.ArgumentParser) -> None:
    arguments.recipes(parser)
    parser.add_argument("--again", action="store_true", help="build even where nothing changed")
    arguments.recovery(parser)


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.commands import work

    documents, lines = [], []
    for plan in work.planned(args.recipes, context.settings, context.progress):
        built = work.build(plan, context, again=args.again, recover_registry=args.recover_registry)
        documents.append(
            {
                "name": plan.recipe.name,
                "image": str(built.image),
                "sha256": built.manifest.sha256,
                "size": built.manifest.size,
                "built": not built.cached,
                "reasons": list(built.reasons),
            }
        )
        lines.append(f"{plan.recipe.name}: {'nothing to do, ' if built.cached else 'built '}{built.image}")
    return Outcome({"recipes": documents}, "\n".join(lines))
