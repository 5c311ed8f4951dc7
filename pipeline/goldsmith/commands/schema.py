"""goldsmith schema."""

from __future__ import annotations

import argparse
import json

from goldsmith.commands.context import Context, Outcome

NAME = "schema"
SUMMARY = "the JSON Schemas of recipes, checks and registry.yaml, for editors"
DESCRIPTION = """\
Print the JSON Schema of a recipe with the parameters of every element that is found.  An editor with a YAML language
server completes and checks recipes by it:

    goldsmith schema > recipe.schema.json
    # yaml-language-server: $schema=recipe.schema.json      (as the recipe's first line)

`goldsmith schema checks` prints that of a file of checks, for `goldsmith verify --checks`; `goldsmith schema registry`
that of the registry.yaml of an element for Windows."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=("recipe", "checks", "registry"),
        nargs="?",
        default="recipe",
        help="which schema (default: recipe)",
    )


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.recipe import registry
    from goldsmith.recipe.schema import json_schema
    from goldsmith.verify import model

    match args.what:
        case "checks":
            document = model.json_schema()
        case "registry":
            document = registry.json_schema()
        case _:
            document = json_schema(context.settings)
    return Outcome(document, json.dumps(document, indent=2, ensure_ascii=False))
