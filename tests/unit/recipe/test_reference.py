"""The reference in docs/ is that of the elements as they are."""

from __future__ import annotations

from pathlib import Path

from goldsmith.recipe.reference import reference
from goldsmith.settings import PROJECT_ROOT


def test_the_reference_is_current() -> None:
    text = reference(PROJECT_ROOT / "elements")
    assert (PROJECT_ROOT / "docs" / "reference.md").read_text() == text, "run: make docs"


def test_it_has_parameters_checks_and_prose(tmp_path: Path) -> None:
    folder = tmp_path / "all" / "swapless"
    folder.mkdir(parents=True)
    (folder / "README.rst").write_text("========\nswapless\n========\n\nNo ``swap``.\n\nWhy\n---\n\nIt is slow.\n")
    (folder / "schema.yaml").write_text(
        "summary: No swap\nparameters: {type: object, properties: {level: {type: integer, minimum: 1, default: 3,"
        " description: 'How | much', x-dib: {variable: DIB_LEVEL}}}}\n"
    )
    (folder / "checks.yaml").write_text("checks: [{id: none, says: there is no swap, sysctl: {name: x, equals: y}}]\n")
    text = reference(tmp_path / "all")
    assert "| `level` | integer from 1 | `3` | `DIB_LEVEL` | How \\| much |" in text
    assert "* `none`: there is no swap" in text
    assert "No `swap`." in text
    assert "### Why" in text
    assert "====" not in text
