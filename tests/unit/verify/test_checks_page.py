"""docs/checks.md says what the models say: its examples are read by them, its tables have all kinds and keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from goldsmith.recipe.yamlfile import parse as parse_yaml
from goldsmith.verify.compare import Comparators
from goldsmith.verify.model import DEFAULTS, LAYERS, Check, json_schema
from goldsmith.verify.user_checks import load

PAGE = Path(__file__).resolve().parents[3] / "docs/checks.md"


def examples() -> list[str]:
    """The blocks of the page that are files of checks."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", PAGE.read_text(), re.MULTILINE)
    texts = ["\n".join(line[4:] for line in block.splitlines()) + "\n" for block in blocks]
    return [text.lstrip("\n") for text in texts if text.lstrip("\n").startswith("checks:")]


def kinds_shown() -> list[str]:
    return [
        kind for text in examples() for check in parse_yaml(text, "page")["checks"] for kind in check if kind in LAYERS
    ]


def test_every_kind_has_an_example() -> None:
    assert set(kinds_shown()) == set(LAYERS)
    assert len(examples()) == 2


@pytest.mark.parametrize("text", examples())
def test_the_examples_are_good(text: str, tmp_path: Path) -> None:
    path = tmp_path / "page.yaml"
    path.write_text(text)
    assert load(path)
    jsonschema.Draft202012Validator(json_schema()).validate(parse_yaml(text, "page"))


def rows() -> dict[str, list[str]]:
    """The table of kinds: kind to its columns."""
    section = PAGE.read_text().partition("\n## Kinds\n")[2].partition("\n### ")[0]
    cells = [[cell.strip() for cell in line.split(" | ")] for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip("|` "): row for row in cells}


@pytest.mark.parametrize("kind", LAYERS)
def test_the_table_has_the_layers_of_a_kind(kind: str) -> None:
    usual, _, more = rows()[kind][1].partition(" (")
    assert set(usual.split(", ")) == set(DEFAULTS.get(kind, LAYERS[kind]))
    named = set(usual.split(", ")) | set(filter(None, more.rstrip(")").split(", ")))
    assert named == set(LAYERS[kind])


@pytest.mark.parametrize("kind", LAYERS)
def test_the_table_has_the_keys_of_a_kind(kind: str) -> None:
    model: Any = Check.model_fields[kind].annotation
    fields = next(each for each in model.__args__ if each is not type(None)).model_fields
    keys = rows()[kind][2]
    assert [key for key in fields if f"`{key}`" not in keys] == []


def test_the_comparators_are_named() -> None:
    section = PAGE.read_text().partition("\n## Comparators\n")[2].partition("\n## ")[0]
    assert [key for key in Comparators.model_fields if f"`{key}`" not in section] == []


def test_a_page_that_lacks_a_kind_is_seen() -> None:
    assert "no_such_kind" not in rows()
    assert set(rows()) == set(LAYERS)
