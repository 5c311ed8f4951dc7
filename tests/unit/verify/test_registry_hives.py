"""A real hive on an NTFS disk, opened in the appliance, which is started once here."""

from __future__ import annotations

import lzma
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goldsmith.boot.accelerator import Accelerator
from goldsmith.errors import HarnessError
from goldsmith.verify import appliance
from goldsmith.verify.compare import Finding
from goldsmith.verify.kinds.registry import RegistryAssertion, registry
from goldsmith.verify.tree import Tree

ACCELERATOR = Accelerator("tcg", "a test", {"tcg": 0.1}, 1.0)
HIVE = Path(__file__).parents[2] / "data/hives/SYSTEM.xz"
MIB = 2**20
ZONE = r"HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation"


def make_disk(folder: Path) -> Path:
    """MBR with one NTFS partition, which a program outside the kernel mounts to fill it."""
    partition, disk, mount = folder / "ntfs", folder / "windows.raw", folder / "mount"
    with lzma.open(HIVE) as stream:
        hive = stream.read()
    with partition.open("wb") as raw:
        raw.truncate(40 * MIB)
    subprocess.run(["/usr/sbin/mkntfs", "-q", "-F", "-f", partition], check=True, capture_output=True)
    mount.mkdir()
    subprocess.run(["ntfs-3g", partition, mount], check=True)
    try:
        config = mount / "WINDOWS/System32/config"
        config.mkdir(parents=True)
        (config / "SYSTEM").write_bytes(hive)
        # As a Windows leaves it that was not shut down: the first number is ahead.
        dirty = bytearray(hive[:4096])
        dirty[4] += 1
        (config / "SOFTWARE").write_bytes(bytes(dirty))
        # The head is whole, what it leads to is not there.
        (config / "SAM").write_bytes(hive[:4096])
    finally:
        subprocess.run(["umount", mount], check=True)
    with disk.open("wb") as raw:
        raw.truncate(42 * MIB)
    subprocess.run(["/usr/sbin/sfdisk", "-q", disk], input="label: dos\nstart=1MiB, type=7\n", text=True, check=True)
    with disk.open("r+b") as raw:
        raw.seek(MIB)
        raw.write(partition.read_bytes())
    return disk


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    disk = make_disk(tmp_path_factory.mktemp("windows"))
    with appliance.launched({"windows": (disk, "raw")}, ACCELERATOR) as running, running.tree("windows") as tree:
        yield tree


def findings(tree: Tree, key: str, **asked: Any) -> list[Finding]:
    return registry(RegistryAssertion.model_validate({"key": key, **asked}), tree)


def test_a_real_hive(tree: Tree) -> None:
    assert findings(tree, r"HKLM\SYSTEM\Select", value="Current", type="REG_DWORD", equals=1) == []
    assert findings(tree, r"HKLM\SYSTEM\select", value="CURRENT", equals=2)[0].seen == "REG_DWORD 1"
    assert findings(tree, ZONE) == findings(tree, ZONE, value="RealTimeIsUniversal", exists=False) == []
    assert findings(tree, ZONE, value="RealTimeIsUniversal", equals=1)[0].seen == "the key has no such value"
    assert findings(tree, ZONE, value="TimeZoneKeyName", type="REG_SZ") == []
    assert findings(tree, ZONE, value="Bias", exists=False)[0].seen.startswith("REG_DWORD ")
    assert findings(tree, r"HKLM\SYSTEM\CurrentControlSet\Nothing\below", exists=False) == []
    same = ZONE.replace("CurrentControlSet", "ControlSet001")
    assert findings(tree, same) == []
    assert findings(tree, r"HKLM\SYSTEM\MountedDevices", value="\\DosDevices\\C:", type="REG_BINARY") == []
    assert findings(tree, r"MountedDevices", hive="/windows/system32/CONFIG/system", exists=False) != []


def test_hives_that_say_nothing(tree: Tree) -> None:
    with pytest.raises(HarnessError, match="is dirty: its sequence numbers are"):
        findings(tree, r"HKLM\SOFTWARE\x", exists=False)
    with pytest.raises(HarnessError):
        findings(tree, r"HKLM\SAM\x", exists=False)
    with pytest.raises(HarnessError, match="there is no such registry hive"):
        findings(tree, r"HKLM\SECURITY\x", exists=False)
    # One hive is closed before the next is opened, also after an error.
    assert findings(tree, r"HKLM\SYSTEM\Select") == []
