"""Values of a registry: a stand-in hive for what is said of it; test_registry_hives.py opens a real one."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from goldsmith.errors import HarnessError
from goldsmith.verify.kinds.registry import RegistryAssertion, registry, require_clean
from goldsmith.verify.tree import FolderTree, Hive

HIVES = Path(__file__).parents[2] / "data/hives"
TIME = r"HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation"


def text(*parts: str) -> bytes:
    return "".join(f"{part}\0" for part in parts).encode("utf-16-le")


@dataclass
class FakeHive:
    values: dict[tuple[str, ...], dict[str, tuple[int, bytes]]]
    keys: list[tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = list(self.values)

    def key(self, path: Sequence[str]) -> int | None:
        wanted = tuple(name.lower() for name in path)
        return next((n for n, key in enumerate(self.keys) if tuple(map(str.lower, key)) == wanted), None)

    def value(self, key: int, name: str) -> tuple[int, bytes] | None:
        return {each.lower(): value for each, value in self.values[self.keys[key]].items()}.get(name.lower())


CURRENT = ("ControlSet002", "Control", "TimeZoneInformation")
SYSTEM = FakeHive(
    {
        ("Select",): {"Current": (4, b"\x02\0\0\0")},
        ("ControlSet001", "Control", "TimeZoneInformation"): {"RealTimeIsUniversal": (4, b"\0\0\0\0")},
        CURRENT: {
            "RealTimeIsUniversal": (4, b"\x01\0\0\0"),
            "Big": (11, b"\xff" * 8),
            "Short": (4, b"\x01"),
            "Name": (1, text("W. Europe")),
            "Path": (2, text("%SystemRoot%\\x")),
            "Unended": (1, "abc".encode("utf-16-le")),
            "Odd": (1, b"abc"),
            "Several": (7, text("one", "two", "")),
            "None": (7, text("", "")),
            "Raw": (3, b"\xde\xad\xbe\xef"),
            "Strange": (0xFFFF0001, b"\x01"),
            "": (1, text("the key's own")),
        },
    }
)


def base_block(first: int = 7, second: int = 7) -> bytes:
    head = b"regf" + struct.pack("<II", first, second)
    head += bytes(508 - len(head))
    checksum = 0
    for word in struct.unpack("<127I", head):
        checksum ^= word
    return head + struct.pack("<I", checksum)


class WindowsTree(FolderTree):
    opened: list[str]

    @contextlib.contextmanager
    def hive(self, path: str) -> Iterator[Hive]:
        self.opened = [path]
        yield SYSTEM


@pytest.fixture
def tree(tmp_path: Path) -> WindowsTree:
    folder = tmp_path / "WINDOWS/system32/Config"
    folder.mkdir(parents=True)
    (folder / "SYSTEM").write_bytes(base_block())
    return WindowsTree(tmp_path)


def findings(tree: FolderTree, **assertion: Any) -> list[tuple[str, str]]:
    return [(f.expected, f.seen) for f in registry(RegistryAssertion.model_validate(assertion), tree)]


@pytest.mark.parametrize(
    "good",
    [
        {"value": "RealTimeIsUniversal", "type": "REG_DWORD", "equals": 1},
        {"value": "realtimeisuniversal", "equals": 1},
        {"value": "Big", "type": "REG_QWORD", "equals": 2**64 - 1},
        {"value": "Name", "type": "REG_SZ", "equals": "W. Europe"},
        {"value": "Unended", "equals": "abc"},
        {"value": "Path", "type": "REG_EXPAND_SZ", "equals": "%SystemRoot%\\x"},
        {"value": "Several", "type": "REG_MULTI_SZ", "equals": ["one", "two"]},
        {"value": "None", "equals": []},
        {"value": "Raw", "type": "REG_BINARY", "equals": "DE AD be ef"},
        {"value": "@", "equals": "the key's own"},
        {"value": "Nothing", "exists": False},
        {},
        {"key": r"HKLM\SYSTEM\CurrentControlSet\Control\Nothing", "exists": False},
        {"key": r"HKLM\SYSTEM\CurrentControlSet\Control\Nothing", "value": "x", "exists": False},
        {"key": r"hkey_local_machine\system\ControlSet001\control\TimeZoneInformation", "value": "RealTimeIsUniversal"},
        {"key": r"ControlSet001\Control\TimeZoneInformation", "hive": "/windows/System32/config/SYSTEM"},
    ],
    ids=str,
)
def test_what_holds(tree: WindowsTree, good: dict[str, Any]) -> None:
    assert findings(tree, **{"key": TIME, **good}) == []
    assert tree.opened == ["/WINDOWS/system32/Config/SYSTEM"]


@pytest.mark.parametrize(
    ("bad", "expected", "seen"),
    [
        ({"value": "RealTimeIsUniversal", "equals": 0}, "RealTimeIsUniversal is 0", "REG_DWORD 1"),
        ({"value": "RealTimeIsUniversal", "equals": "1"}, "is '1'", "REG_DWORD 1"),
        ({"value": "RealTimeIsUniversal", "type": "REG_SZ"}, "is REG_SZ", "REG_DWORD 1"),
        ({"value": "RealTimeIsUniversal", "exists": False}, "does not exist", "REG_DWORD 1"),
        ({"value": "Short", "equals": 1}, "Short is 1", "REG_DWORD '01'"),
        ({"value": "Odd", "equals": "abc"}, "Odd is 'abc'", "REG_SZ '616263'"),
        ({"value": "Several", "equals": ["one"]}, "is ('one',)", "REG_MULTI_SZ ('one', 'two')"),
        ({"value": "Raw", "equals": "00"}, "Raw is '00'", "REG_BINARY 'deadbeef'"),
        ({"value": "Strange", "type": "REG_DWORD"}, "is REG_DWORD", "type 4294901761 '01'"),
        ({"value": "Nothing"}, "Nothing exists", "the key has no such value"),
        ({"exists": False}, "does not exist", "it exists"),
        ({"key": r"HKLM\SYSTEM\Nothing"}, "the key HKLM\\SYSTEM\\Nothing exists", "no such key"),
        ({"key": r"HKLM\SYSTEM\Nothing", "value": "x", "equals": 1}, "exists", "no such key"),
        (
            {
                "key": r"HKLM\SYSTEM\ControlSet001\Control\TimeZoneInformation",
                "value": "RealTimeIsUniversal",
                "equals": 1,
            },
            "is 1",
            "REG_DWORD 0",
        ),
    ],
)
def test_what_does_not_hold(tree: WindowsTree, bad: dict[str, Any], expected: str, seen: str) -> None:
    ((said, found),) = findings(tree, **{"key": TIME, **bad})
    assert said.endswith(expected)
    assert found == seen


def test_a_tree_that_is_no_windows_or_opens_no_hive(tmp_path: Path, tree: WindowsTree) -> None:
    with pytest.raises(HarnessError, match="there is no such registry hive"):
        findings(FolderTree(tmp_path / "nothing"), key=TIME)
    with pytest.raises(HarnessError, match="there is no such registry hive"):
        findings(tree, key=r"HKLM\SOFTWARE\x", exists=False)
    with pytest.raises(HarnessError, match="in the appliance only"):
        findings(FolderTree(tmp_path), key=TIME)


def test_no_number_of_a_control_set(tree: WindowsTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SYSTEM.values, ("Select",), {"Current": (4, b"")})
    with pytest.raises(HarnessError, match="no number of a control set"):
        findings(tree, key=TIME, exists=False)


def test_a_dirty_hive_says_nothing(tree: WindowsTree, tmp_path: Path) -> None:
    real = (HIVES / "SYSTEM_B.head").read_bytes()
    hive = tmp_path / "WINDOWS/system32/Config/SYSTEM"
    for head, numbers in ((real, "1622 and 1621"), (base_block(8, 7), "8 and 7")):
        hive.write_bytes(head)
        with pytest.raises(HarnessError, match=f"is dirty: its sequence numbers are {numbers}") as caught:
            findings(tree, key=TIME, value="RealTimeIsUniversal", exists=False)
        assert "shutdown /s" in str(caught.value)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", "is no registry hive"),
        (b"regf" + bytes(100), "is no registry hive"),
        (b"MZ" + base_block()[2:], "is no registry hive"),
        (base_block()[:508] + b"\1\2\3\4", "is damaged: the checksum"),
    ],
)
def test_what_is_no_hive(head: bytes, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        require_clean(head, "/x")
    require_clean(base_block(), "/x")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"key": r"HKCU\Software\x"}, "key begins with one of"),
        ({"key": "HKLM"}, "key begins with one of"),
        ({"key": "HKLM\\SYSTEM\\"}, "should match pattern"),
        ({"key": TIME, "equals": 1}, "give value"),
        ({"key": TIME, "value": "x", "exists": False, "equals": 1}, "cannot stand with"),
        ({"key": TIME, "value": "x", "type": "DWORD"}, "'REG_NONE'"),
        ({"key": "x", "hive": "C:\\x"}, "should match pattern"),
    ],
)
def test_wrong_assertions(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RegistryAssertion.model_validate(asked)
