"""Every key and value of a real hive before and after a merge, by regipy: minutes, and no code that is shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.bake.hive_help import MOUNTED, absent, entry

from goldsmith.bake.registry import merge
from windows_samples import real

pytestmark = pytest.mark.system


def everything(path: Path) -> dict[str, dict[str, tuple[str, str]]]:
    from regipy.registry import RegistryHive

    found: dict[str, dict[str, tuple[str, str]]] = {}
    todo: list[tuple[str, Any]] = [("", RegistryHive(str(path)).root)]
    while todo:
        name, key = todo.pop()
        values = key.iter_values(as_json=True) if key.values_count else ()
        found[name] = {each.name: (str(each.value_type), repr(each.value)) for each in values}
        todo += [(f"{name}\\{each.name}", each) for each in (key.iter_subkeys() if key.subkey_count else ())]
    return found


def test_nothing_else_differs(tmp_path: Path) -> None:
    path = tmp_path / "SYSTEM"
    path.write_bytes(real("SYSTEM"))
    before = everything(path)
    assert len(before) == 30756

    merge(path, [entry(), absent("\\DosDevices\\E:", key=MOUNTED)])

    before["\\ControlSet001\\Control\\TimeZoneInformation"]["RealTimeIsUniversal"] = ("REG_DWORD", "1")
    del before["\\MountedDevices"]["\\DosDevices\\E:"]
    after = everything(path)
    assert [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)] == []
