"""YAML: positions of errors, duplicate keys, and nothing that JSON cannot hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_help import problems_of

from goldsmith.errors import Problem
from goldsmith.recipe.yamlfile import parse, read


def wrong(text: str) -> list[Problem]:
    return problems_of(lambda: parse(text, "f.yaml"))


def test_plain_document() -> None:
    text = "a: [1, 2.5, true, null, text]\nb: {c: yes}\n"
    assert parse(text, "f.yaml") == {"a": [1, 2.5, True, None, "text"], "b": {"c": True}}


def test_empty_document_is_none() -> None:
    assert parse("# nothing\n", "f.yaml") is None


def test_dates_stay_text() -> None:
    assert parse("day: 2025-08-09\n", "f.yaml") == {"day": "2025-08-09"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", "line 3, column 2"),
        ("a: 1\n\tb: 2\n", "line 2, column 1"),
        ("a: 'open\n", "line 2, column 1"),
        ("a: *nobody\n", "line 1, column 4"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1"),
        ("a: 1\nb: x\x07\n", "line 2, column 5"),
        ("a: !!python/object:os.system x\n", "line 1, column 4"),
    ],
)
def test_syntax_error_has_line_and_column(text: str, place: str) -> None:
    (problem,) = wrong(text)
    assert problem.file == "f.yaml"
    assert place in problem.message


def test_every_duplicate_key_is_found_with_its_path_and_line() -> None:
    problems = wrong("a: 1\nb:\n  - c: 1\n    d: 2\n    c: 3\na: 2\n")
    assert [(each.path, each.message, each.suggestion) for each in problems] == [
        ("b[0].c", "duplicate key `c` at line 5, column 5", "it is at line 3 already"),
        ("a", "duplicate key `a` at line 6, column 1", "it is at line 1 already"),
    ]


def test_merge_key_is_no_duplicate() -> None:
    assert parse("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n", "f.yaml")["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("a: {1: x}\n", "a", "the key 1 is not a string"),
        ("on: x\n", "", "the key True is not a string"),
        ("a: .nan\n", "a", "nan is not a finite number"),
        ("a: [-.inf]\n", "a[0]", "-inf is not a finite number"),
        ('a: "x\\0y"\n', "a", "holds a NUL character"),
        ("a: !!binary eHk=\n", "a", "a bytes is neither text"),
        ("a: !!set {x, y}\n", "a", "a set is neither text"),
        ("a: &a [*a]\n", "", "is too large, or its aliases contain themselves"),
    ],
)
def test_what_json_cannot_hold_is_refused(text: str, path: str, message: str) -> None:
    (problem,) = wrong(text)
    assert problem.path == path
    assert problem.message.startswith(message)


def test_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (problem,) = wrong("\n".join(lines))
    assert "too large" in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "[" * 200_000,
        "[" * 990 + "\n" + "]" * 990,
        "{a: " * 100_000,
        "- " * 240 + "a",
        "- " * 100_000 + "a",
        "\n".join("  " * depth + "a:" for depth in range(3000)),
        "\n".join(" " * depth + "a:" for depth in range(490)),
    ],
    ids=lambda text: f"{text[:2]}-{len(text)}",
)
def test_deep_nesting_is_an_error_and_no_crash(text: str) -> None:
    (problem,) = wrong(text)
    assert "nested" in problem.message or "too large" in problem.message or "line 1" in problem.message


def test_missing_file_suggests_its_sibling(tmp_path: Path) -> None:
    (tmp_path / "debian-13.yaml").write_text("a: 1\n")
    (problem,) = problems_of(lambda: read(tmp_path / "debian13.yaml"))
    assert (problem.message, problem.suggestion) == ("no such file", "did you mean `debian-13.yaml`")


def test_missing_folder_is_named(tmp_path: Path) -> None:
    (problem,) = problems_of(lambda: read(tmp_path / "no" / "r.yaml"))
    assert problem.suggestion == f"the folder {tmp_path / 'no'} does not exist either"


def test_folder_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(lambda: read(tmp_path))
    assert problem.message == "is a folder, not a file"


def test_latin1_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"name: caf\xe9\n")
    (problem,) = problems_of(lambda: read(tmp_path / "r.yaml"))
    assert problem.message == "is not UTF-8 text at byte 9"
