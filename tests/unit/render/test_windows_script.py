"""A recipe for Windows as a script for cloudbase-init: the text as it is, and what every such text must be.

There is no PowerShell here, so nothing runs; tests/unit/render/windows.golden.ps1 was read by eye.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from goldsmith.errors import InputError
from goldsmith.recipe.examine import Draft, examine
from goldsmith.recipe.model import Base, ElementUse, Recipe
from goldsmith.recipe.plan import Plan
from goldsmith.recipe.registry import Entry
from goldsmith.render import windows
from goldsmith.render.cloud_config import render
from goldsmith.render.userdata import Part
from goldsmith.settings import from_environment

GOLDEN = Path(__file__).parent / "windows.golden.ps1"
SETTINGS = from_environment({"HOME": "/nonexistent", "PATH": "/usr/bin"})
USES = (
    ElementUse(name="windows-clock", parameters={}),
    ElementUse(name="windows-disks-online", parameters={}),
    ElementUse(
        name="windows-drive-letters",
        parameters={
            "letters": [
                {"letter": "R", "volume": {"partition": 3}},
                {"letter": "S", "volume": {"signature": "5cbea03e", "offset": 1048576}},
                {"letter": "T", "volume": {"guid": "09931f21-7faf-44a9-81d8-1e73c14b9eaf"}},
            ],
            "free": ["E"],
        },
    ),
)


def windows_plan(*uses: ElementUse) -> Plan:
    """A plan whose base is left aside: the script does not depend on it."""
    found = examine(Draft(None, tuple(enumerate(uses)), {}, {}, lambda path: "recipe.yaml"), SETTINGS)
    assert [each for each in found.problems if "which diskimage-builder cannot build" not in each.message] == []
    recipe = Recipe(name="windows-server", base=Base(distribution="none", release="none"), elements=uses)
    return Plan(
        recipe=recipe, elements=tuple(found.elements), dib_elements=(), environment={}, checks=(), properties={},
        inputs={}, digest="", registry=tuple(found.registry), ini=tuple(found.ini),
    )  # fmt: skip


def test_the_text() -> None:
    rendered = render(windows_plan(*USES))
    assert rendered.document == GOLDEN.read_text()
    assert rendered.applied == tuple(use.name for use in USES)
    assert rendered.digest[:16] in rendered.document
    assert render(windows_plan(*USES)).document == rendered.document
    assert render(windows_plan(*USES[:2])).digest != rendered.digest
    assert any("os_type=windows" in note for note in rendered.notes)


def test_what_cloudbase_init_asks_for() -> None:
    document = render(windows_plan(*USES)).document
    # cloudbaseinit/plugins/common/userdatautils.py
    assert re.match(rb"^#(ps1|ps1_sysnative)\s", document.encode())
    assert document.isascii()
    # cloudbaseinit/plugins/common/execcmd.py: 1001 restarts and is done, 1002 is run again
    assert re.findall(r"exit (\d+)", document) == ["1002", "1001", "0"]
    assert "@" not in re.sub(r"@\(", "", document)
    code = "\n".join(line for line in document.splitlines() if not line.lstrip().startswith("#"))
    bare = re.sub(r"'(?:[^']|'')*'", "''", code)
    for opening, closing in ("()", "{}", "[]"):
        assert bare.count(opening) == bare.count(closing)
    used = set(re.findall(r"^    ([A-Z][a-z]+-[A-Z]\w+)", code.split("try {")[1], re.MULTILINE))
    assert used == {"Set-Value", "Remove-Value", "Set-IniOption"}
    assert all(f"function {name}(" in code for name in used | {"Get-PartitionBytes"})


def entry(kind: str, data: Any) -> Entry:
    return Entry.model_validate({"key": r"HKLM\SOFTWARE\A'b", "value": "v", "type": kind, "data": data})


@pytest.mark.parametrize(
    ("kind", "data", "wanted"),
    [
        ("REG_DWORD", 1, "DWord ([int]1)"),
        ("REG_DWORD", 2**32 - 1, "DWord ([int]-1)"),
        ("REG_QWORD", 2**63, "QWord ([long]-9223372036854775808)"),
        ("REG_SZ", "it's $x", "String 'it''s $x'"),
        ("REG_SZ", "", "String ''"),
        ("REG_EXPAND_SZ", "%a%", "ExpandString '%a%'"),
        ("REG_SZ", "a’b\n", "String (-join @('a', [char]0x2019, 'b', [char]0x000a))"),
        ("REG_SZ", "\U0001f600", "String (-join @([char]0xd83d, [char]0xde00))"),
        ("REG_MULTI_SZ", ["a", "b"], "MultiString ([string[]]@('a', 'b'))"),
        ("REG_BINARY", "00 ff", "Binary ([byte[]]@(0x00, 0xff))"),
        ("REG_BINARY", {"volume": {"partition": 2}}, "Binary (Get-PartitionBytes 2)"),
    ],
)
def test_values(kind: str, data: Any, wanted: str) -> None:
    assert windows.entry_call(entry(kind, data)) == f"Set-Value 'SOFTWARE\\A''b' 'v' {wanted}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"parts": [Part("own.ps1", "#ps1_sysnative\n")]},
            "--with is not for Windows: cloudbase-init runs no part after",
        ),
        ({"vendor": True}, "--vendor is not for Windows"),
        ({"install_packages": True}, "--packages is not for Windows"),
    ],
)
def test_what_linux_has_and_windows_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        render(windows_plan(*USES), **options)


def test_nothing_to_set() -> None:
    with pytest.raises(InputError, match="nothing of this recipe is set at boot"):
        render(windows_plan(ElementUse(name="windows-drive-letters", parameters={})))
