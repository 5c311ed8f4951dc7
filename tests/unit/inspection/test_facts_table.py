"""Facts as people see them, and that the documentation names each."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from inspection_help import fill

import windows_samples as samples
from goldsmith.boot.systems import System
from goldsmith.inspection import boot, cloudinit, disk, linux, network, ntfs, report, storage
from goldsmith.inspection.facts import Unknown
from goldsmith.inspection.image import Image
from goldsmith.inspection.look import Inspection, Seen
from goldsmith.inspection.properties import properties
from goldsmith.inspection.windows import clock, cloudbase, disks, product, registry, services, windows
from goldsmith.verify.tree import FolderTree

TABLE = disk.PartitionTable(
    "mbr",
    f"{samples.SIGNATURE:08x}",
    (disk.Partition(1, samples.START, 2**31, "0x07", "NTFS or exFAT", active=True),),
    "Windows",
)
DISK = storage.Storage(
    device="/dev/sda",
    size=2**32,
    table=TABLE,
    file_systems=(storage.FileSystem("/dev/sda1", "ntfs", "C", "x"),),
    logical_volumes=(),
    subvolumes=Unknown("no answer"),
    ntfs={"/dev/sda1": ntfs.NtfsState("3.1", dirty=True)},
    esp=None,
    loaders=None,
)


def rendered(kind: str, facts: linux.Linux | windows.Windows) -> str:
    system = System("/dev/sda1", kind, "x", "X", "1.0", "x86_64", {"/": "/dev/sda1"})
    firmware = boot.firmware(TABLE, None, None, "x86_64")
    seen = Seen(system, () if kind == "linux" else None, (), facts, firmware, properties(system, facts, firmware))
    inspection = Inspection(Image(Path("/x"), "raw", "ab", 1), (seen,), (), DISK)
    # The document is JSON, whatever is in it.
    assert json.loads(json.dumps(report.document(inspection)))["systems"][0]["facts"]
    return report.as_text(inspection)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def test_a_windows(tmp_path: Path, wide: None) -> None:
    config = tmp_path / "Windows/System32/config"
    config.mkdir(parents=True)
    samples.real_system(config / "SYSTEM")
    samples.make_dirty(config / "SYSTEM")
    samples.new_hive(config / "SOFTWARE", samples.software())
    fill(tmp_path, {"hiberfil.sys": b"hibr"})
    facts = windows.windows(samples.WindowsTree(tmp_path), "/Windows", TABLE, "/dev/sda", DISK.ntfs, 1.0)
    text = rendered("windows", facts)
    for line in (
        "  partitions       MBR 5cbea03e\n                   /dev/sda1    2.0 GiB  NTFS or exFAT, active\n",
        "  btrfs            unknown: no answer\n",
        "  boots with       BIOS: boot code of Windows in the first sector, and partition 1 is active\n",
        "                   not UEFI: no EFI system partition\n",
        "  product          Windows Server 2019 Standard, ServerStandard, Server, 1809; version 10.0, build ",
        "  registry         SYSTEM dirty: sequence numbers 13984 and 13983; what follows may be outdated",
        "  clock            RealTimeIsUniversal absent: takes the machine's clock for local time",
        "                   time zone Eastern Standard Time, UTC is 300 minutes later\n",
        "                   C: /dev/sda1 (5cbea03e at 1048576)\n",
        "  SAN policy       OnlineAll\n",
        "  hotfixes         KB4480056; cumulative 17763.1879.1.4\n",
        "  cloudbase-init   not installed\n",
        "  left as          hibernated: do not write to it\n                   dirty volumes: /dev/sda1\n",
        "os_type=windows: Nova compares it as it stands, in lower case",
    ):
        assert line in text, line


def test_a_linux(tmp_path: Path, wide: None) -> None:
    fill(
        tmp_path,
        {
            "etc/os-release": "ID=debian\nVERSION_ID=13\nPRETTY_NAME=Debian\x1b[2J\n",
            "usr/bin/cloud-init*": "",
            "etc/cloud/cloud.cfg": "datasource_list:\n  - OpenStack\n",
            "usr/sbin/dhclient*": "",
            "etc/dhcp/dhclient-enter-hooks.d/x": "unset new_routers\n",
        },
    )
    text = rendered("linux", linux.linux(FolderTree(tmp_path)))
    assert "\x1b" not in text
    for line in (
        "  network          dhclient\n",
        "  default route    dhclient: new_routers (/etc/dhcp/dhclient-enter-hooks.d/x)\n",
        "  kernel is told   unknown: /boot: no entry of GRUB's menu is found\n",
        "  cloud-init       version unknown: ",
        "datasources: all that ds-identify knows\n",
        "but cloud-init itself reads: OpenStack; write the list on one line\n",
        "  agents           none\n",
    ):
        assert line in text, line


def test_an_empty_one_has_no_policy(tmp_path: Path, wide: None) -> None:
    text = rendered("linux", linux.linux(FolderTree(tmp_path)))
    assert "  default route    no policy: each NIC may have one\n" in text
    assert "  cloud-init       not installed\n" in text


def test_long_lines_are_wrapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    text = rendered("linux", linux.linux(FolderTree(tmp_path)))
    assert max(map(len, text.splitlines())) <= 90


def test_the_documentation_has_every_fact() -> None:
    text = (Path(__file__).parents[3] / "docs/inspect.md").read_text()
    modules = (
        boot, cloudinit, disk, linux, network, ntfs, storage, clock, cloudbase, disks, product, registry, services,
        windows,
    )  # fmt: skip
    facts = {
        each
        for module in modules
        for each in vars(module).values()
        if dataclasses.is_dataclass(each) and isinstance(each, type) and each.__module__ == module.__name__
    }
    assert len(facts) > 20
    missing = {f"{each.__name__}.{field.name}" for each in facts for field in dataclasses.fields(each)
               if f"`{field.name}`" not in text}  # fmt: skip
    assert missing == set()
