"""Facts about a Windows: a real SYSTEM, a SOFTWARE made for the test, and what is broken."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from inspection_help import fill

import windows_samples as samples
from goldsmith.inspection.disk import Partition, PartitionTable
from goldsmith.inspection.facts import Unknown, plain
from goldsmith.inspection.ntfs import NtfsState
from goldsmith.inspection.windows import registry as registry_module
from goldsmith.inspection.windows.clock import clock
from goldsmith.inspection.windows.disks import meaning
from goldsmith.inspection.windows.product import hotfixes
from goldsmith.inspection.windows.registry import hive_states, opened
from goldsmith.inspection.windows.windows import Windows, windows

CONFIG = "Windows/System32/config"
DRIVERS = "Windows/System32/drivers"
ZONE = ("ControlSet001", "Control", "TimeZoneInformation")
TABLE = PartitionTable(
    "mbr",
    f"{samples.SIGNATURE:08x}",
    (
        Partition(1, 2**27, 2**20, "0x07", "", active=True),
        Partition(2, samples.START, 2**26, "0x07", ""),
    ),
    "Windows",
)
CLOUDBASE = "Program Files/Cloudbase Solutions/Cloudbase-Init/conf/cloudbase-init.conf"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return samples.real_system(tmp_path_factory.mktemp("hive") / "SYSTEM").read_bytes()


@pytest.fixture
def root(tmp_path: Path, system: bytes) -> Path:
    fill(tmp_path, {f"{CONFIG}/SYSTEM": system})
    samples.new_hive(tmp_path / CONFIG / "SOFTWARE", samples.software())
    return tmp_path


def edit(root: Path, keys: samples.Keys, hive: str = "SYSTEM") -> None:
    samples.edit(root / CONFIG / hive, keys)


def looked(root: Path, table: PartitionTable | None = TABLE, **volumes: NtfsState | Unknown) -> Windows:
    return windows(samples.WindowsTree(root), "/Windows", table, "/dev/sda", volumes, 1.0)


def test_a_windows_as_it_comes(root: Path) -> None:
    facts = plain(looked(root))
    assert [(hive["name"], hive["state"], hive["sequence"]) for hive in facts["hives"]] == [
        ("SYSTEM", "clean", [13983, 13983]),
        ("SOFTWARE", "clean", facts["hives"][1]["sequence"]),
    ]
    assert facts["product"] == {
        "name": "Windows Server 2019 Standard",
        "edition": "ServerStandard",
        "installation": "Server",
        "version": "10.0",
        "build": "17763.1879",
        "release": "1809",
        "service_pack": None,
    }
    assert facts["architecture"] == "i686"
    assert facts["clock"] == {
        "real_time_is_universal": None,
        "type": None,
        "time_zone": "Eastern Standard Time",
        "bias": 300,
        "active_bias": 240,
    }
    assert [(drive["letter"], drive["kind"], drive["device"]) for drive in facts["drives"]] == [
        ("A:", "device", None),
        ("C:", "mbr", "/dev/sda2"),
        ("D:", "device", None),
        ("E:", "device", None),
    ]
    assert facts["drives"][0]["identity"].startswith("\\??\\FDC#GENERIC_FLOPPY_DRIVE#")
    assert facts["san_policy"] == "OnlineAll"
    assert facts["hotfixes"] == {"installed": ["KB4480056"], "rollups": ["17763.1879.1.4"]}
    assert facts["cloudbase_init"] is None
    assert facts["agents"] == []
    assert facts["sleep"] == {"hibernation": "absent", "fast_startup": None, "dirty_volumes": []}
    # Its services are there, their files are not in this tree.
    assert {driver["service"] for driver in facts["drivers"]} == {"msahci", "intelide", "atapi"}
    assert {driver["file"] for driver in facts["drivers"]} == {None}


def test_drivers(root: Path) -> None:
    fill(root, {f"{DRIVERS}/VIOSTOR.SYS": "x", f"{DRIVERS}/netkvm.sys": "x"})
    override = {(*samples.SERVICES, "vioscsi", "StartOverride"): {"0": samples.dword(3)}}
    edit(root, {**samples.driver("viostor"), **samples.driver("netkvm", 3), **samples.driver("vioscsi"), **override})
    facts = looked(root)
    assert not isinstance(facts.drivers, Unknown)
    by_name = {driver.service: driver for driver in facts.drivers}
    assert by_name["viostor"].file == f"/{DRIVERS}/VIOSTOR.SYS"
    assert (by_name["viostor"].at_boot, by_name["netkvm"].at_boot, by_name["netkvm"].usable) == (True, False, True)
    assert (by_name["vioscsi"].file, by_name["vioscsi"].start_override, by_name["vioscsi"].usable) == (None, 3, False)
    fill(root, {f"{DRIVERS}/vioscsi.sys": "x"})
    again = looked(root)
    assert not isinstance(again.drivers, Unknown)
    # The file is there now, and StartOverride keeps it from being started at boot.
    scsi = next(driver for driver in again.drivers if driver.service == "vioscsi")
    assert (scsi.file is not None, scsi.at_boot) == (True, False)


@pytest.mark.parametrize(
    "image",
    [
        "\\SystemRoot\\System32\\drivers\\viostor.sys",
        "%SystemRoot%\\system32\\DRIVERS\\viostor.sys",
        "system32\\drivers\\viostor.sys",
        "\\??\\C:\\Windows\\System32\\drivers\\viostor.sys",
    ],
)
def test_spellings_of_a_drivers_path(root: Path, image: str) -> None:
    fill(root, {f"{DRIVERS}/viostor.sys": "x"})
    edit(root, {(*samples.SERVICES, "viostor"): {"Start": samples.dword(0), "ImagePath": samples.text(image)}})
    drivers = looked(root).drivers
    assert not isinstance(drivers, Unknown)
    assert [driver.file for driver in drivers if driver.service == "viostor"] == [f"/{DRIVERS}/viostor.sys"]


def test_a_drivers_path_does_not_climb(root: Path) -> None:
    fill(root, {"secret": "x"})
    edit(root, {(*samples.SERVICES, "viostor"): {"ImagePath": samples.text("..\\secret")}})
    drivers = looked(root).drivers
    assert not isinstance(drivers, Unknown)
    assert [driver.file for driver in drivers if driver.service == "viostor"] == [None]


@pytest.mark.parametrize(
    ("value", "number", "type_", "says"),
    [
        (samples.dword(1), 1, "REG_DWORD", "for UTC"),
        ((11, struct.pack("<Q", 1)), 1, "REG_QWORD", "for UTC"),
        (samples.dword(0), 0, "REG_DWORD", "for local time"),
        (samples.text("1"), None, "REG_SZ", "for local time"),
        ((4, b"\1"), None, "REG_DWORD", "for local time"),
    ],
)
def test_the_clock(root: Path, value: samples.RawValue, number: int | None, type_: str, says: str) -> None:
    edit(root, {ZONE: {"RealTimeIsUniversal": value, "Bias": samples.dword(-60)}})
    tree = samples.WindowsTree(root)
    with opened(tree, hive_states(tree, "/Windows")[0]) as registry:
        found = clock(registry)
    assert (found.real_time_is_universal, found.type, found.bias) == (number, type_, -60)
    assert says in found.says


GUID = "09931f21-7faf-a94f-81d8-1e73c14b9eaf"
GPT = PartitionTable("gpt", "x", (Partition(3, 2**20, 2**20, "t", "", guid=GUID),), "")


@pytest.mark.parametrize(
    ("raw", "table", "device", "note"),
    [
        (samples.mbr_letter(0x5CBEA03E, 2**20), TABLE, "/dev/sda2", ""),
        (samples.mbr_letter(0x5CBEA03E, 2**21), TABLE, None, "no partition of this disk begins there"),
        (samples.mbr_letter(0x12345678, 2**20), TABLE, None, "another disk: the signature of this one is 5cbea03e"),
        (samples.mbr_letter(0x5CBEA03E, 2**20), GPT, None, "this disk has no MBR partitions"),
        (samples.mbr_letter(0x5CBEA03E, 2**20), None, None, "this disk has no MBR partitions"),
        (samples.gpt_letter(GUID), GPT, "/dev/sda3", ""),
        (samples.gpt_letter(GUID.replace("0", "1")), GPT, None, "another disk"),
        (samples.gpt_letter(GUID), TABLE, None, "this disk has no GPT"),
        ((3, "\\??\\XY\x1b".encode("utf-16-le")), TABLE, None, "no partition"),
        ((3, b"DMIO:ID:" + bytes(3)), GPT, None, "no partition"),
        ((3, b""), TABLE, None, "no partition"),
    ],
)
def test_drive_letters(raw: samples.RawValue, table: PartitionTable | None, device: str | None, note: str) -> None:
    letter = meaning("C:", raw[1], table, "/dev/sda")
    assert letter.device == device
    assert letter.note.startswith(note) or note in letter.note
    assert letter.identity.isprintable()


def test_cloudbase_init(root: Path) -> None:
    image = (
        '"C:\\Cloudbase\\bin\\OpenStackService.exe" cloudbase-init "C:\\Cloudbase\\cloudbase-init.exe" '
        '--config-file "C:\\Cloudbase\\conf\\cloudbase-init.conf"'
    )
    service = {(*samples.SERVICES, "cloudbase-init"): {"Start": samples.dword(2), "ImagePath": samples.text(image)}}
    edit(root, service)
    facts = plain(looked(root))["cloudbase_init"]
    assert "there is no" in facts["path"]["unknown"] and "unknown" in facts["settings"]
    text = (
        "[DEFAULT]\nusername=Admin\nreal_time_clock_utc = true\nsecret=x\nplugins=a.NTPClientPlugin,\n  b.X\n"
        "[other]\nusername=y\n"
    )
    fill(root, {"cloudbase/Conf/cloudbase-init.conf": text})
    facts = plain(looked(root))["cloudbase_init"]
    assert facts == {
        "start": 2,
        "path": "/cloudbase/Conf/cloudbase-init.conf",
        "settings": {"plugins": "a.NTPClientPlugin, b.X", "real_time_clock_utc": "true", "username": "Admin"},
        "sets_real_time_is_universal": 1,
    }


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ("[DEFAULT]\nusername=x\n", 0),
        ("[DEFAULT]\nplugins=cloudbaseinit.plugins.common.mtu.MTUPlugin\nreal_time_clock_utc=true\n", None),
        ("\ufeff[DEFAULT]\nreal_time_clock_utc=True\n", 1),
        ("no section\n", "unknown"),
        ("", 0),
    ],
)
def test_cloudbase_init_by_its_file_alone(root: Path, text: str, sets: Any) -> None:
    fill(root, {CLOUDBASE: text})
    facts = plain(looked(root))["cloudbase_init"]
    found = facts["sets_real_time_is_universal"]
    assert (next(iter(found)) if isinstance(found, Mapping) else found) == sets


@pytest.mark.parametrize(
    ("content", "state"),
    [(b"hibr" + bytes(5000), "hibernated"), (b"HIBR", "hibernated"), (b"WAKE", "resumed"), (bytes(4096), "empty")],
)
def test_hibernation(root: Path, content: bytes, state: str) -> None:
    fill(root, {"hiberfil.sys": content})
    sleep = looked(root, **{"/dev/sda2": NtfsState("3.1", dirty=state == "empty")}).sleep
    assert (sleep.hibernation, sleep.writable) == (state, state == "resumed")
    assert sleep.dirty_volumes == (("/dev/sda2",) if state == "empty" else ())


def test_hibernation_that_says_nothing(root: Path) -> None:
    fill(root, {"Hiberfil.sys": b"\x01\x02\x03\x04"})
    power = ("ControlSet001", "Control", "Session Manager", "Power")
    edit(root, {power: {"HiberbootEnabled": samples.dword(1)}})
    sleep = looked(root).sleep
    assert isinstance(sleep.hibernation, Unknown) and not sleep.writable
    assert sleep.fast_startup is True


def test_a_dirty_hive_is_read_and_named(root: Path) -> None:
    samples.make_dirty(root / CONFIG / "SYSTEM")
    fill(root, {f"{CONFIG}/SYSTEM.LOG1": b"regf", f"{CONFIG}/SYSTEM.LOG2": b""})
    facts = plain(looked(root))
    assert facts["hives"][0]["state"] == "dirty"
    assert facts["hives"][0]["sequence"] == [13984, 13983]
    assert facts["hives"][0]["logs"] == [f"/{CONFIG}/SYSTEM.LOG1"]
    assert facts["san_policy"] == "OnlineAll"


@pytest.mark.parametrize("content", [b"", b"regf", b"regf" + bytes(508), b"MZ" * 4096])
def test_hives_that_are_none(root: Path, content: bytes) -> None:
    (root / CONFIG / "SYSTEM").write_bytes(content)
    (root / CONFIG / "SOFTWARE").unlink()
    facts = plain(looked(root))
    assert [hive["state"] for hive in facts["hives"]] == ["damaged", "missing"]
    assert facts["clock"] == {"unknown": "the hive SYSTEM is damaged"}
    assert facts["product"] == {"unknown": "the hive SOFTWARE is missing"}


def test_a_hive_that_ends_early(root: Path) -> None:
    whole = (root / CONFIG / "SYSTEM").read_bytes()
    (root / CONFIG / "SYSTEM").write_bytes(whole[:4096])
    facts = plain(looked(root))
    assert "unknown" in facts["clock"] and "unknown" in facts["drives"]


def test_a_hive_that_is_too_large(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "LARGEST_HIVE", 2**20)
    facts = plain(looked(root))
    assert [hive["state"] for hive in facts["hives"]] == ["too large", "clean"]
    assert facts["clock"]["unknown"].endswith("is too large")


def test_a_control_set_that_is_none(root: Path) -> None:
    edit(root, {("Select",): {"Current": samples.dword(0)}})
    facts = plain(looked(root))
    assert "no number of a control set" in facts["clock"]["unknown"]
    edit(root, {("Select",): {"Current": samples.dword(7)}})
    assert plain(looked(root))["clock"]["time_zone"] is None


def test_hotfixes_are_read_until_a_time(root: Path) -> None:
    tree = samples.WindowsTree(root)
    with opened(tree, hive_states(tree, "/Windows")[1]) as registry:
        with pytest.raises(Exception, match="more packages than could be read in 0 s"):
            hotfixes(registry, 0)
        assert hotfixes(registry, 60).installed == ("KB4480056",)


def test_a_software_without_a_version(root: Path) -> None:
    samples.new_hive(root / CONFIG / "SOFTWARE", {("Microsoft",): {}})
    facts = plain(looked(root))
    assert "has no key" in facts["product"]["unknown"]
    assert "no packages" in facts["hotfixes"]["unknown"]


def test_an_older_windows(root: Path) -> None:
    values = {
        "ProductName": samples.text("Windows 7 Professional"),
        "CurrentVersion": samples.text("6.1"),
        "CurrentBuildNumber": samples.text("7601"),
        "CSDVersion": samples.text("Service Pack 1"),
    }
    samples.new_hive(root / CONFIG / "SOFTWARE", {samples.VERSION: values})
    facts = plain(looked(root))["product"]
    assert (facts["version"], facts["build"], facts["service_pack"]) == ("6.1", "7601", "Service Pack 1")


def test_any_case(root: Path) -> None:
    (root / "Windows").rename(root / "WINDOWS")
    (root / "WINDOWS/System32").rename(root / "WINDOWS/system32")
    assert plain(looked(root))["san_policy"] == "OnlineAll"
