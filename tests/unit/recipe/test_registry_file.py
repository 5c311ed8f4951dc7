"""registry.yaml: closed and typed, its parameters put in, and refused where it does not belong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from tests.unit.recipe.recipe_help import Workplace, problems_of

from goldsmith.recipe import windows
from goldsmith.recipe.element_schema import fill
from goldsmith.recipe.elements import load_folder
from goldsmith.recipe.examine import Draft, examine
from goldsmith.recipe.model import ElementUse
from goldsmith.recipe.registry import Entry, IniOption, json_schema
from goldsmith.settings import PROJECT_ROOT, from_environment

KEY = r"HKLM\SYSTEM\CurrentControlSet\Control\x"


def test_names_and_bytes() -> None:
    entry = Entry.model_validate({"key": r"HKLM\SOFTWARE\A b\c", "value": "@", "type": "REG_SZ", "data": "x"})
    assert (entry.hive, entry.names, entry.name, entry.encoded()) == ("SOFTWARE", ("A b", "c"), "", (1, b"x\0\0\0"))
    assert Entry.model_validate({"key": KEY, "value": "v", "absent": True}).encoded() is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"type": "REG_DWORD", "data": 2**32}, "no number of 32 bits"),
        ({"type": "REG_DWORD", "data": -1}, "no number of 32 bits"),
        ({"type": "REG_QWORD", "data": 2**64}, "no number of 64 bits"),
        ({"type": "REG_DWORD", "data": "1"}, "is a number, found the string `1`"),
        ({"type": "REG_DWORD", "data": True}, "Input should be"),
        ({"type": "REG_SZ", "data": 1}, "is a text, found the number 1"),
        ({"type": "REG_SZ", "data": "a\0b"}, "NUL"),
        ({"type": "REG_MULTI_SZ", "data": "x"}, "a list of texts"),
        ({"type": "REG_MULTI_SZ", "data": ["x", ""]}, "empty text"),
        ({"type": "REG_BINARY", "data": "abc"}, "pairs of hex digits"),
        ({"type": "REG_SZ", "data": {"volume": {"partition": 1}}}, "a volume is a REG_BINARY"),
        ({"type": "REG_BINARY", "data": {"volume": {}}}, "a volume is one of"),
        ({"type": "REG_BINARY", "data": {"volume": {"partition": 1, "guid": "x"}}}, "a volume is one of"),
        ({"type": "REG_BINARY", "data": {"volume": {"signature": "5cbea03e"}}}, "belong together"),
        ({"type": "REG_BINARY", "data": {"volume": {"guid": "x"}}}, "is not a GUID"),
        ({"type": "REG_BINARY", "data": {"volume": {"partition": 0}}}, "greater than or equal to 1"),
        ({"type": "REG_NONE", "data": ""}, "REG_SZ"),
        ({"data": 1}, "type and data are needed"),
        ({"absent": True, "data": 1}, "absent cannot stand"),
        ({"absent": False}, "Input should be True"),
        ({"absent": True, "key": r"HKLM\SAM\x"}, "should match pattern"),
        ({"absent": True, "key": r"HKCU\Software\x"}, "should match pattern"),
        ({"absent": True, "key": "HKLM\\SYSTEM"}, "should match pattern"),
        ({"absent": True, "more": 1}, "Extra inputs"),
    ],
    ids=str,
)
def test_wrong_entries(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Entry.model_validate({"key": KEY, "value": "v", **given})


@pytest.mark.parametrize("files", [[], ["Windows\\x"], ["\\x:y"], ["C:\\x"], ["\\a\\\\b"]])
def test_wrong_files(files: list[str]) -> None:
    with pytest.raises(ValidationError):
        IniOption.model_validate({"files": files, "section": "DEFAULT", "option": "a", "value": "1"})
    IniOption.model_validate({"files": ["\\a\\b"], "section": "DEFAULT", "option": "a", "value": "1"})


SCHEMA = """
    summary: Windows
    parameters:
      type: object
      properties:
        active: {type: boolean, default: true}
        number: {type: integer, default: 5}
        names: {type: array, items: {type: string}, default: [A, B]}
"""
REGISTRY = r"""
    entries:
      - {key: HKLM\SYSTEM\CurrentControlSet\Control\x, value: n, type: REG_DWORD, data: "${number}", when: "${active}"}
      - {key: HKLM\SYSTEM\x, value: "v-${item}", absent: true, for_each: "${names}"}
"""


def planned(work: Workplace, **parameters: Any) -> list[Entry]:
    element = load_folder(work.element("win", schema=SCHEMA, registry=REGISTRY))
    found, problems = windows.resolve(element, fill(element.parameters, parameters), [])
    assert problems == []
    return [each.entry for each in found if isinstance(each, windows.PlannedEntry)]


def test_parameters_are_put_in(work: Workplace) -> None:
    found = planned(work)
    assert [(each.value, each.data, each.absent) for each in found] == [
        ("n", 5, None),
        ("v-A", None, True),
        ("v-B", None, True),
    ]
    assert [each.value for each in planned(work, active=False, names=[])] == []
    assert planned(work, number=7)[0].encoded() == (4, b"\x07\0\0\0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (REGISTRY.replace("${number}", "${numbr}"), "unknown parameter `numbr`"),
        (REGISTRY.replace("REG_DWORD", "DWORD"), "must be one of"),
        (REGISTRY.replace("absent: true", "absnt: true"), "unknown key `absnt`"),
        (REGISTRY + "    more: []\n", "unknown key `more`"),
        ("    entries: []\n", "must not be empty"),
        ("    ini: []\n", "`entries` is missing"),
    ],
)
def test_wrong_files_are_refused_when_they_are_loaded(work: Workplace, text: str, message: str) -> None:
    folder = work.element("win", schema=SCHEMA, registry=text)
    assert any(message in str(each) for each in problems_of(lambda: load_folder(folder)))


def test_an_element_is_for_one_of_both(work: Workplace) -> None:
    folder = work.element("win", schema=SCHEMA, registry=REGISTRY)
    work.write("elements/win/install.d/10-x", "#!/bin/bash\n")
    (problem,) = problems_of(lambda: load_folder(folder))
    assert "for Windows or for Linux, and this one has install.d too" in problem.message


def test_wrong_values_are_named(work: Workplace) -> None:
    element = load_folder(work.element("win", schema=SCHEMA, registry=REGISTRY))
    _, problems = windows.resolve(element, {"active": True, "number": 2**40, "names": [""]}, [])
    assert [(each.path, each.message) for each in problems] == [
        ("entries[0]", "1099511627776 is no number of 32 bits without a sign")
    ]
    _, problems = windows.resolve(element, {"active": True, "number": None, "names": []}, [])
    assert "type and data are needed" in problems[0].message
    found, _ = windows.resolve(element, {"active": True, "number": 1, "names": []}, [])
    entries = [each for each in found if isinstance(each, windows.PlannedEntry)]
    _, problems = windows.resolve(element, {"active": True, "number": 2, "names": ["A", "A"]}, entries)
    assert "`n` of HKLM\\SYSTEM\\CurrentControlSet\\Control\\x is set by `win` too" in problems[0].message
    assert len(problems) == 1


def test_no_windows_element_on_a_base_that_is_built(work: Workplace) -> None:
    work.element("win", schema=SCHEMA, registry=REGISTRY)
    (problem,) = work.problems("elements: [win]")
    assert problem.path == "elements[0]"
    assert "`win` is for Windows, which diskimage-builder cannot build" in problem.message
    assert problem.suggestion == "write base: {image: FILE or https URL}"
    work.element("plain")
    assert [each.name for each in work.load("elements: [plain]").elements] == ["plain"]


def test_no_linux_element_beside_a_windows_one(work: Workplace) -> None:
    win = load_folder(work.element("win", schema=SCHEMA, registry=REGISTRY))
    linux = work.element("linux")
    work.write("elements/linux/post-install.d/10-x", "#!/bin/bash\n")
    ((name, message, _),) = windows.judge([load_folder(linux), win], onto_image=True)
    assert (name, message) == ("linux", "`linux` is for Linux (it has post-install.d), `win` for Windows")
    assert list(windows.judge([win], onto_image=True)) == []
    assert list(windows.judge([load_folder(linux)], onto_image=True)) == []


SETTINGS = from_environment({"HOME": "/nonexistent", "PATH": "/usr/bin"})


def clock(parameters: dict[str, Any], **properties: str) -> list[str]:
    """Problems of a Windows recipe with the project's own element, its base left aside."""
    use = ElementUse(name="windows-clock", parameters=parameters)
    draft = Draft(None, ((0, use),), {}, properties, lambda path: "recipe.yaml")
    found = examine(draft, SETTINGS)
    assert found.properties["os_type"] == properties.get("os_type", "windows")
    return [str(each) for each in found.problems if "which diskimage-builder cannot build" not in each.message]


@pytest.mark.parametrize(
    "good", [{}, {"hosts": "local"}, {"hosts": "utc", "universal": True}, {"hosts": "local", "universal": False}]
)
def test_clocks_that_are_right(good: dict[str, Any]) -> None:
    assert clock(good) == []


def test_value_1_on_hosts_with_local_time_is_refused_with_the_reason() -> None:
    (problem,) = clock({"hosts": "local", "universal": True})
    assert problem.startswith(
        "recipe.yaml: elements[0].windows-clock.universal: with os_type=windows nova gives the guest"
    )
    assert "the clock is wrong by H at boot, and H is not 0 where hosts are not on UTC" in problem
    (problem,) = clock({"hosts": "utc", "universal": False})
    assert "the clock is wrong by H - G = -G at boot" in problem


def test_another_os_type_is_refused() -> None:
    (problem,) = clock({}, os_type="linux")
    assert "properties.os_type: a Windows needs os_type=windows: os_type is linux and RealTimeIsUniversal 1" in problem
    assert any(
        "os_type must be exactly `linux` or `windows`, found `Windows`" in each for each in clock({}, os_type="Windows")
    )


def test_the_schema_for_editors() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    judge = Draft202012Validator(schema)
    from goldsmith.recipe import yamlfile

    for name in ("windows-clock", "windows-drive-letters", "windows-disks-online"):
        assert list(judge.iter_errors(yamlfile.read(Path(PROJECT_ROOT) / "elements" / name / "registry.yaml"))) == []
    assert list(judge.iter_errors({"entries": [{"key": "x", "value": "y", "typo": 1}]}))
