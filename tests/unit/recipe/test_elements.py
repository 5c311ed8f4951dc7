"""Elements on disk."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recipe_help import Workplace, problems_of

from goldsmith.recipe import dib
from goldsmith.recipe.elements import available, find, load_folder


def test_own_element(work: Workplace) -> None:
    work.element(
        "mine",
        schema="summary: Mine\nparameters: {type: object, properties: {a: {type: string}}}\n"
        "requires: {elements: [cloud-init], conflicts: [other]}\n",
        checks="checks: [{id: a, command: {run: '${a}'}}]\n",
        properties="properties: {os_type: linux, hw_x: '${a}'}\n",
    )
    element = find("mine", work.settings)
    assert (element.name, element.own, element.folder) == ("mine", True, work.root / "elements/mine")
    assert element.parameters["additionalProperties"] is False
    assert (element.needs, element.conflicts) == (("cloud-init",), ("other",))
    assert element.checks == [{"id": "a", "command": {"run": "${a}"}}]
    assert element.properties == {"os_type": "linux", "hw_x": "${a}"}


def test_dibs_own_element(work: Workplace) -> None:
    element = find("cloud-init", work.settings)
    assert (element.own, element.folder) == (False, dib.elements_folder() / "cloud-init")
    assert (element.checks, element.properties, element.needs) == ([], {}, ())
    assert element.parameters["additionalProperties"] is False


def test_first_folder_of_the_path_wins(work: Workplace) -> None:
    work.element("cloud-init")
    assert find("cloud-init", work.settings).own
    other = work.root / "other"
    (other / "cloud-init").mkdir(parents=True)
    settings = replace(work.settings, elements_path=(other, *work.settings.elements_path))
    assert find("cloud-init", settings).folder == other / "cloud-init"


def test_available_leaves_out_what_is_no_element(work: Workplace) -> None:
    work.write("elements/.hidden/x", "")
    work.write("elements/file", "")
    settings = replace(work.settings, elements_path=(*work.settings.elements_path, work.root / "nowhere"))
    names = available(settings)
    assert "debian-minimal" in names
    assert not {".hidden", "file", "__pycache__"} & set(names)


def test_unknown_element_has_a_suggestion(work: Workplace) -> None:
    (problem,) = problems_of(lambda: find("cloud-innit", work.settings))
    assert (problem.message, problem.suggestion) == ("unknown element `cloud-innit`", "did you mean `cloud-init`")


@pytest.mark.parametrize(
    ("file", "text", "path", "message"),
    [
        ("schema", "summry: x\n", "summry", "unknown key `summry`"),
        ("schema", "- a\n", "", "must be a mapping, found a list"),
        ("schema", "summary: [\n", "", "not valid YAML at line 2, column 1"),
        ("schema", "summary: 3\n", "summary", "must be a string, found the number 3"),
        ("schema", "summary: x\nparameters: []\n", "parameters", "must be a mapping, found a list"),
        ("schema", "summary: x\nrequires: {element: [a]}\n", "requires.element", "unknown key `element`"),
        ("schema", "summary: x\nsummary: y\n", "summary", "duplicate key `summary` at line 2, column 1"),
        ("checks", "checks: [{says: x}]\n", "checks[0]", "key `id` is missing"),
        ("checks", "checks: {id: x}\n", "checks", "must be a list, found a mapping"),
        ("checks", "checks: [{id: a}, {id: a}]\n", "checks[1].id", "the id `a` is there twice"),
        ("checks", "checks: [{id: a, run: 'x ${b}'}]\n", "checks[0].run", "unknown parameter `b`"),
        ("checks", "check: []\n", "check", "unknown key `check`"),
        ("properties", "properties: {hw_x: 1}\n", "properties.hw_x", "must be a string, found the number 1"),
        ("properties", "properties: {hw_x: yes}\n", "properties.hw_x", "must be a string, found the boolean true"),
        ("properties", "properties: {os_type: Windows}\n", "properties.os_type", "os_type must be exactly"),
        ("properties", "properties: {a: '${b}'}\n", "properties.a", "unknown parameter `b`"),
        ("properties", "os_type: linux\n", "os_type", "unknown key `os_type`"),
    ],
)
def test_a_file_that_is_wrong(work: Workplace, file: str, text: str, path: str, message: str) -> None:
    folder = work.element("mine", **{file: text})
    problems = problems_of(lambda: load_folder(folder))
    assert {each.file for each in problems} == {str(folder / f"{file}.yaml")}
    assert (problems[0].path, problems[0].message[: len(message)]) == (path, message)


def test_numbers_as_properties_are_to_be_quoted(work: Workplace) -> None:
    folder = work.element("mine", properties="properties: {hw_x: 1}\n")
    (problem,) = problems_of(lambda: load_folder(folder))
    assert problem.suggestion == "put the value in quotes"


def test_all_files_are_judged_at_once(work: Workplace) -> None:
    folder = work.element("mine", schema="a: 1\n", checks="b: 1\n", properties="c: 1\n")
    files = {each.file for each in problems_of(lambda: load_folder(folder))}
    assert files == {str(folder / name) for name in ("schema.yaml", "checks.yaml", "properties.yaml")}
