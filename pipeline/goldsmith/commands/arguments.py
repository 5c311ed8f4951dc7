"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def recipes(parser: argparse.ArgumentParser) -> None:
    """RECIPE..."""
    parser.add_argument(
        "recipes", metavar="RECIPE", nargs="+", type=Path, help="a recipe's file, such as recipes/debian-13.yaml"
    )
