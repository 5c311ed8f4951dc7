"""goldsmith inspect, as it is typed, on disks of Windows and on Linux in places that are not plain."""

from __future__ import annotations

import re

import inspections
import pytest
from early_jobs import EarlyJobs
from windows_disks import GPT_SYSTEM

from goldsmith.boot.properties import shape_from

pytestmark = pytest.mark.system


def begin_early(jobs: EarlyJobs) -> None:
    jobs.begin("inspections", inspections.inspections)


@pytest.fixture(scope="module")
def inspected(early):
    """From a disk's name to the document's disk and its only system; the image was not written."""
    results = early.result("inspections")

    def look(name):
        done = results[name]
        assert done.result.returncode in (0, 1), done.result.stderr
        assert done.unchanged
        (system,) = done.result.document["systems"]
        found = values(system)
        shape_from(found, "uefi" if found.get("hw_firmware_type") == "uefi" else "bios")
        return done.result.document["disk"], system

    return look


def values(system):
    return {name: each["value"] for name, each in system["properties"].items()}


def test_windows_on_an_mbr(inspected):
    disk, system = inspected("mbr")
    assert (system["type"], system["name"], system["architecture"]) == (
        "windows",
        "Windows Server 2019 Standard",
        "i386",
    )
    assert (disk["table"]["kind"], disk["table"]["id"], disk["table"]["boot_code"]) == ("mbr", "5cbea03e", "Windows")
    assert [(each["type"], each["label"]) for each in disk["file_systems"]] == [
        ("ntfs", "C"),
        ("ntfs", "System Reserved"),
    ]
    assert [state["dirty"] for state in disk["ntfs"].values()] == [False, False]
    assert system["firmware"]["can_boot"] == ["bios"]
    facts = system["facts"]
    assert [hive["state"] for hive in facts["hives"]] == ["clean", "clean"]
    assert (facts["product"]["version"], facts["product"]["build"]) == ("10.0", "17763.1879")
    assert [(each["letter"], each["device"]) for each in facts["drives"]] == [
        ("A:", None),
        ("C:", "/dev/sda1"),
        ("D:", None),
        ("E:", None),
    ]
    assert facts["clock"]["real_time_is_universal"] is None
    assert facts["clock"]["time_zone"] == "Eastern Standard Time"
    assert facts["hotfixes"]["installed"] == ["KB4480056"]
    drivers = {each["service"]: (each["start"], each["file"]) for each in facts["drivers"]}
    assert drivers["viostor"] == (0, "/Windows/System32/drivers/viostor.sys")
    assert drivers["netkvm"] == (3, "/Windows/System32/drivers/netkvm.sys")
    assert drivers["atapi"] == (0, None)
    assert facts["sleep"] == {"hibernation": "absent", "fast_startup": None, "dirty_volumes": []}
    assert facts["cloudbase_init"] is None
    assert values(system) == {
        "architecture": "i686",
        "hw_disk_bus": "virtio",
        "hw_firmware_type": "bios",
        "hw_vif_model": "virtio",
        "os_distro": "windows",
        "os_type": "windows",
        "os_version": "10.0",
    }


def test_windows_on_a_gpt(inspected):
    disk, system = inspected("gpt")
    assert (disk["table"]["kind"], system["architecture"]) == ("gpt", "x86_64")
    assert disk["esp"] == "/dev/sda1"
    assert disk["loaders"]["fallback"] == ["x86_64"]
    assert (system["firmware"]["can_boot"], system["firmware"]["needs_boot_entry"]) == (["uefi"], False)
    facts = system["facts"]
    drive = next(each for each in facts["drives"] if each["letter"] == "C:")
    assert (drive["kind"], drive["identity"], drive["device"]) == ("gpt", GPT_SYSTEM, "/dev/sda3")
    assert (facts["san_policy"], facts["clock"]["real_time_is_universal"]) == ("OfflineShared", 1)
    assert (facts["sleep"]["hibernation"], facts["sleep"]["fast_startup"]) == ("hibernated", True)
    assert facts["cloudbase_init"]["settings"] == {"real_time_clock_utc": "true", "username": "Admin"}
    assert [agent["name"] for agent in facts["agents"]] == ["qemu-guest-agent"]
    assert values(system) == {
        "architecture": "x86_64",
        "hw_disk_bus": "scsi",
        "hw_firmware_type": "uefi",
        "hw_qemu_guest_agent": "yes",
        "hw_scsi_model": "virtio-scsi",
        "hw_vif_model": "e1000",
        "os_distro": "windows",
        "os_type": "windows",
        "os_version": "10.0",
    }


def test_windows_that_was_not_shut_down(inspected):
    _, system = inspected("dirty")
    facts = system["facts"]
    assert (facts["hives"][0]["state"], facts["hives"][0]["sequence"]) == ("dirty", [13985, 13984])
    assert facts["hives"][1]["state"] == "clean"
    assert facts["san_policy"] == "OnlineAll"
    assert "may be outdated" in system["properties"]["hw_disk_bus"]["reason"]


def checked(system):
    """What holds of each Linux of linux_disks."""
    assert (system["name"], system["architecture"]) == ("Debian GNU/Linux 13 (trixie)", "x86_64")
    assert system["unread"] == []
    facts = system["facts"]
    assert facts["network"]["stacks"] == ["dhclient"]
    assert facts["network"]["default_route"] == []
    assert facts["console"]["consoles"] == ["tty0", "ttyS0,115200"]
    assert (facts["cloud_init"]["version"], facts["cloud_init"]["datasources"]) == ("25.1.4", ["OpenStack", "None"])
    assert [agent["name"] for agent in facts["agents"]] == ["qemu-guest-agent"]
    assert values(system)["os_distro"] == "debian"
    assert (values(system)["hw_disk_bus"], values(system)["hw_vif_model"]) == ("virtio", "virtio")


def test_a_root_on_lvm(inspected):
    disk, system = inspected("lvm")
    checked(system)
    assert (system["root"], system["separate_boot"]) == ("/dev/system/root", "/dev/sda1")
    assert disk["logical_volumes"] == ["/dev/system/root"]
    assert [each["type_name"] for each in disk["table"]["partitions"]] == ["Linux", "Linux LVM"]
    assert disk["subvolumes"] == []


def test_a_root_in_a_btrfs_subvolume(inspected):
    disk, system = inspected("btrfs")
    checked(system)
    # The appliance's kernel names disks as they answer, its own among them.  libguestfs translates that back for
    # partitions, but not for subvolumes (1.48).
    device = re.fullmatch(r"btrfsvol:(/dev/sd[ab]1)/@", system["root"])
    assert device
    assert {"/", "/home"} <= set(system["mounts"])
    assert disk["subvolumes"] in ([f"{name}:@", f"{name}:@home"] for name in ("/dev/sda1", device[1]))
    assert system["separate_boot"] is None


def test_a_boot_of_its_own(inspected):
    disk, system = inspected("boot")
    checked(system)
    assert (system["mounts"]["/boot"], system["mounts"]["/var"]) == ("/dev/sda1", "/dev/sda2")
    assert system["separate_boot"] == "/dev/sda1"
    assert (disk["table"]["kind"], disk["logical_volumes"]) == ("gpt", [])
    # Nothing starts it: it holds a root and no boot code.
    assert system["firmware"]["can_boot"] == []
