"""goldsmith schema."""

from __future__ import annotations

import argparse
import json

from goldsmith.commands.context import Context, Outcome

NAME = "schema"
SUMMARY = "the JSON Schema of recipes, for editors"
DESCRIPTION = """\
Print the JSON Schema of a recipe with the parameters of every element that is found.  An editor with a YAML language
server completes and checks recipes by it:

    goldsmith schema > recipe.schema.json
    # yaml-language-server: $schema=recipe.schema.json      (as the recipe's first line)"""


def configure(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.recipe.schema import json_schema

    document = json_schema(context.settings)
    return Outcome(document, json.dumps(document, indent=2, ensure_ascii=False))
