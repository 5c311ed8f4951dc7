"""Variables that elements cannot do without."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from goldsmith.recipe import dib, requirements
from goldsmith.recipe.requirements import provided, required, script_requires


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ('X=${DIB_X:?"Please set it."}\n', {"DIB_X": "Please set it."}),
        (": ${DIB_X?}\n", {"DIB_X": ""}),
        (": ${DIB_X:?one} ${DIB_Y:?two}\n", {"DIB_X": "one", "DIB_Y": "two"}),
        (
            'if [ -z "$DIB_X" ]; then\n    echo "set DIB_X "\n    echo "now"\n    exit 1\nfi\n',
            {"DIB_X": "set DIB_X now"},
        ),
        ('if [[ -z "${DIB_X:-}" ]] ; then\n    exit 2\nfi\n', {"DIB_X": ""}),
        ('if [ -z "$DIB_X" ]\nthen\n    exit 1\nfi\n', {"DIB_X": ""}),
        ("if [ -z $DIB_X ]; then\n    die 'no X'\nfi\n", {"DIB_X": "no X"}),
        ('[ -z "$DIB_X" ] && exit 1\n', {"DIB_X": ""}),
        ('[ -n "${DIB_X:-}" ] || { echo no; exit 1; }\n', {"DIB_X": ""}),
    ],
)
def test_patterns_that_demand_a_variable(script: str, found: dict[str, str]) -> None:
    assert script_requires("#!/bin/bash\nset -eu\n" + script) == found


@pytest.mark.parametrize(
    "script",
    [
        "X=${DIB_X:-default}\n",
        "# X=${DIB_X:?}\n",
        "if true; then\n    X=${DIB_X:?}\nfi\n",
        'if [ -z "$DIB_X" ]; then\n    exit 0\nfi\n',
        'if [ -z "$DIB_X" ]; then\n    DIB_X=1\nfi\n',
        'if [ -z "$DIB_X" ]; then\n    DIB_X=1\nelse\n    exit 1\nfi\n',
        'if [ -z "$DIB_X" ]; then\n    if [ "$Y" ]; then\n        exit 1\n    fi\nfi\n',
        'if [ -z "$DIB_X" -a -z "$DIB_Y" ]; then\n    exit 1\nfi\n',
        'if [ -z "$OTHER" ]; then\n    exit 1\nfi\n',
        "DIB_X=${DIB_X:-a}\n: ${DIB_X:?}\n",
        'export DIB_X=${DIB_X:-a}\nif [ -z "$DIB_X" ]; then\n    exit 1\nfi\n',
        '[ -z "$DIB_X" ] || exit 1\n',
        '[ -n "$DIB_X" ] && exit 1\n',
    ],
)
def test_what_demands_nothing_for_certain(script: str) -> None:
    assert script_requires(script) == {}


def test_element_is_read_in_all_phases_and_nowhere_else(tmp_path: Path) -> None:
    for place in ("install.d/50-a", "static/usr/bin/b", "bin/c"):
        path = tmp_path / place
        path.parent.mkdir(parents=True)
        path.write_text(f": ${{DIB_{path.name[-1].upper()}:?}}\n")
    assert required("x", tmp_path) == {"DIB_A": ""}


def test_binary_files_are_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "install.d").mkdir()
    (tmp_path / "install.d" / "50-a").write_bytes(b"\x7fELF\xff\xfe\n: ${DIB_A:?}\n")
    assert required("x", tmp_path) == {"DIB_A": ""}


def test_provided_reads_environment_only(tmp_path: Path) -> None:
    for phase, text in (
        ("environment.d", "export DIB_A=${DIB_A:-1}\nDIB_B=2\nif x; then\n  DIB_C=3\nfi\n"),
        ("install.d", "DIB_D=4\n"),
    ):
        (tmp_path / phase).mkdir()
        (tmp_path / phase / "10-x").write_text(text)
    assert provided(tmp_path) == {"DIB_A", "DIB_B", "DIB_C"}


@pytest.mark.parametrize(
    ("element", "variable"),
    [
        ("cloud-init-datasources", "DIB_CLOUD_INIT_DATASOURCES"),
        ("modprobe-blacklist", "DIB_MODPROBE_BLACKLIST"),
    ],
)
def test_the_scan_alone_finds_what_dib_demands(element: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_curated", dict)
    assert variable in required(element, dib.elements_folder() / element)


def test_curated_elements_and_variables_exist_in_dib() -> None:
    curated = yaml.safe_load(Path(requirements.__file__).with_name("dib_variables.yaml").read_text())
    for element, variables in curated.items():
        folder = dib.elements_folder() / element
        text = "".join(path.read_text(errors="replace") for path in folder.glob("*.d/*"))
        assert all(variable in text for variable in variables), element
        assert all(isinstance(words, str) and words for words in variables.values()), element


@pytest.mark.parametrize("value", ["", '""', "${DIB_X:-}", '${DIB_X:-""}', '"${DIB_X:-}"', "$DIB_X", "${DIB_X-}"])
def test_an_assignment_of_nothing_gives_no_value(tmp_path: Path, value: str) -> None:
    script = f"export DIB_X={value}\n"
    assert script_requires(script + ": ${DIB_X:?}\n") == {"DIB_X": ""}
    (tmp_path / "environment.d").mkdir()
    (tmp_path / "environment.d" / "10-x").write_text(script)
    assert provided(tmp_path) == set()


def test_one_line_condition() -> None:
    assert script_requires('if [ -z "$DIB_X" ]; then echo no; exit 1; fi\n') == {"DIB_X": ""}
