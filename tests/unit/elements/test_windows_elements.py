"""The elements for Windows on a SYSTEM hive: what registry.yaml sets is what checks.yaml asks for, and nothing less."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bake.hive_help import SmallHive

from goldsmith.bake.registry import merge
from goldsmith.bake.registry_reader import Hive, Key
from goldsmith.bake.registry_volumes import Partition, PartitionTable, resolved
from goldsmith.recipe import windows
from goldsmith.recipe.element_schema import fill
from goldsmith.recipe.elements import load_folder
from goldsmith.recipe.problems import schema_problems
from goldsmith.recipe.substitute import expand, substitute
from goldsmith.settings import PROJECT_ROOT
from goldsmith.verify import tree as trees
from goldsmith.verify.kinds.registry import RegistryAssertion, registry

DISK = PartitionTable((Partition(1, 2**20), Partition(2, 2**30)), signature=0x5CBEA03E)
PARTMGR = ("ControlSet001", "Services", "partmgr")
LETTERS = {"letters": [{"letter": "R", "volume": {"partition": 2}}], "free": ["E"]}


class WindowsTree(trees.FolderTree):
    @contextlib.contextmanager
    def hive(self, path: str) -> Iterator[trees.Hive]:
        yield Opened((self.root / path.lstrip("/")).read_bytes())

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root


class Opened:
    """Our reader as the checks take a hive."""

    def __init__(self, content: bytes) -> None:
        self.reader = Hive(content)
        self.keys: list[Key] = []

    def key(self, path: Sequence[str]) -> int | None:
        found = self.reader.find(path)
        if found is None:
            return None
        self.keys.append(found)
        return len(self.keys) - 1

    def value(self, key: int, name: str) -> tuple[int, bytes] | None:
        values = self.reader.values(self.keys[key])
        return next((value for each, value in values.items() if each.upper() == name.upper()), None)


@pytest.fixture
def tree(tmp_path: Path) -> WindowsTree:
    """A Windows as it must not stay: local time asked for where UTC is, a letter kept, disks offline."""
    below: dict[tuple[str, ...], dict[str, tuple[int, bytes]]] = {
        ("Select",): {"Current": (4, b"\x01\0\0\0")},
        ("ControlSet001",): {},
        ("ControlSet001", "Control"): {},
        ("ControlSet001", "Control", "TimeZoneInformation"): {"RealTimeIsUniversal": (4, bytes(4))},
        ("ControlSet001", "Services"): {},
        PARTMGR: {},
        (*PARTMGR, "Parameters"): {"SanPolicy": (4, b"\x02\0\0\0")},
        ("MountedDevices",): {"\\DosDevices\\E:": (3, bytes(12))},
    }
    folder = tmp_path / "Windows/System32/config"
    folder.mkdir(parents=True)
    (folder / "SYSTEM").write_bytes(SmallHive(below).content)
    return WindowsTree(tmp_path)


@pytest.mark.parametrize(
    ("name", "parameters", "checks"),
    [
        ("windows-clock", {}, ["takes-utc"]),
        ("windows-clock", {"hosts": "local"}, ["takes-local"]),
        ("windows-disks-online", {}, ["san-policy"]),
        ("windows-disks-online", {"policy": 4}, ["san-policy"]),
        ("windows-drive-letters", LETTERS, ["pinned-R", "free-E"]),
    ],
)
def test_checks_fail_before_and_pass_after(
    tree: WindowsTree, name: str, parameters: dict[str, Any], checks: list[str]
) -> None:
    element = load_folder(PROJECT_ROOT / "elements" / name)
    values = fill(element.parameters, parameters)
    asked = [each for raw in element.checks for each in expand(raw, values)]
    assert [each["id"] for each in asked] == checks

    def passed() -> list[bool]:
        return [registry(RegistryAssertion.model_validate(each["registry"]), tree) == [] for each in asked]

    assert passed() == [False] * len(checks)
    found, problems = windows.resolve(element, values, [])
    assert problems == []
    entries = [each.entry for each in found if isinstance(each, windows.PlannedEntry)]
    merge(tree.root / "Windows/System32/config/SYSTEM", resolved(entries, DISK))
    assert passed() == [True] * len(checks)
    assert {key: substitute(text, values) for key, text in element.properties.items()} == {"os_type": "windows"}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("windows-clock", {"hosts": "UTC"}),
        ("windows-clock", {"universal": 1}),
        ("windows-disks-online", {"policy": 0}),
        ("windows-disks-online", {"policy": 5}),
        ("windows-drive-letters", {"free": ["C"]}),
        ("windows-drive-letters", {"free": ["E:"]}),
        ("windows-drive-letters", {"letters": [{"letter": "r", "volume": {"partition": 1}}]}),
        ("windows-drive-letters", {"letters": [{"letter": "R"}]}),
        ("windows-drive-letters", {"letters": [{"letter": "R", "volume": {"part": 1}}]}),
    ],
)
def test_wrong_parameters(name: str, parameters: dict[str, Any]) -> None:
    element = load_folder(PROJECT_ROOT / "elements" / name)
    assert schema_problems(element.parameters, parameters, "recipe.yaml")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"letters": [{"letter": "R", "volume": {}}]}, "a volume is one of"),
        ({"letters": [{"letter": "E", "volume": {"partition": 1}}], "free": ["E"]}, "to something else"),
        ({"letters": [{"letter": "R", "volume": {"partition": n}} for n in (1, 2)]}, "to something else"),
    ],
)
def test_letters_that_contradict(parameters: dict[str, Any], message: str) -> None:
    element = load_folder(PROJECT_ROOT / "elements/windows-drive-letters")
    _, problems = windows.resolve(element, fill(element.parameters, parameters), [])
    assert any(message in each.message for each in problems)


def test_the_clock_tells_cloudbase_init_the_same() -> None:
    element = load_folder(PROJECT_ROOT / "elements/windows-clock")
    for hosts, value in (("utc", "true"), ("local", "false")):
        found, _ = windows.resolve(element, fill(element.parameters, {"hosts": hosts}), [])
        (option,) = [each.option for each in found if isinstance(each, windows.PlannedIni)]
        assert (option.section, option.option, option.value) == ("DEFAULT", "real_time_clock_utc", value)
        assert len(option.files) == 4
