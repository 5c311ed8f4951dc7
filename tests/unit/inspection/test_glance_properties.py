"""The Glance properties that follow from facts: each is one that a machine can be made of."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from goldsmith.boot.properties import shape_from
from goldsmith.boot.systems import System
from goldsmith.inspection.boot import Console, FirmwareFacts
from goldsmith.inspection.facts import Unknown
from goldsmith.inspection.linux import DRIVERS, OTHER_DRIVERS, Agent, Kernel, Linux
from goldsmith.inspection.network import Network
from goldsmith.inspection.properties import lacking, properties
from goldsmith.inspection.windows.clock import Clock
from goldsmith.inspection.windows.product import Product
from goldsmith.inspection.windows.registry import HiveState
from goldsmith.inspection.windows.services import Driver, WindowsAgent
from goldsmith.inspection.windows.windows import Sleep, Windows

BIOS = FirmwareFacts(("bios",), "GRUB", "no EFI system partition", False, None, None)
UEFI = FirmwareFacts(("uefi",), "no boot code", "BOOTX64.EFI", False, "/dev/sda1", None)
BOTH = FirmwareFacts(("bios", "uefi"), "GRUB", "BOOTX64.EFI", False, "/dev/sda1", None)
NONE = FirmwareFacts((), "no boot code", "no EFI system partition", False, None, None)


def system(architecture: str = "x86_64", kind: str = "linux") -> System:
    return System("/dev/sda1", kind, "x", "x", "1.0", architecture, {"/": "/dev/sda1"})


def linux(*drivers: str, **more: Any) -> Linux:
    places: dict[str, Any] = {name: "module" if name in drivers else "missing" for name in (*DRIVERS, *OTHER_DRIVERS)}
    facts = Linux(
        id="debian",
        release="13",
        pretty_name="Debian",
        kernels=(Kernel("6.1", places),),
        initramfs="",
        selinux=Unknown("x"),
        network=Network((), False, ()),
        console=Console((), (), (), ()),
        cloud_init=None,
        agents=(),
    )
    return dataclasses.replace(facts, **more)


def driver(name: str, start: int = 0, file: str | None = "/x.sys") -> Driver:
    return Driver(name, "", start, None, file)


def windows(*drivers: Driver, version: str = "10.0", state: Any = "clean", **more: Any) -> Windows:
    facts = Windows(
        hives=(HiveState("SYSTEM", "/x", state, (1, 1), ()),),
        product=Product("Windows", None, None, version, "1", None, None),
        architecture=None,
        drivers=drivers,
        agents=(),
        clock=Clock(1, "REG_DWORD", "UTC", 0, 0),
        drives=(),
        san_policy=None,
        hotfixes=Unknown("x"),
        cloudbase_init=None,
        sleep=Sleep("absent", None, ()),
    )
    return dataclasses.replace(facts, **more)


def derived(facts: Linux | Windows, firmware: FirmwareFacts = BOTH, architecture: str = "x86_64") -> dict[str, str]:
    found = properties(system(architecture), facts, firmware)
    assert [each.name for each in found] == sorted({each.name for each in found})
    assert all(each.reason for each in found)
    values = {each.name: each.value for each in found}
    # Nova's own names and values, and none that contradicts another.
    shape_from(values, "uefi" if values.get("hw_firmware_type") == "uefi" else "bios")
    return values


def hardware(values: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name.startswith("hw_")}


def test_a_linux() -> None:
    assert derived(linux("virtio_blk", "virtio_net", "virtio_rng"), BIOS) == {
        "architecture": "x86_64",
        "hw_disk_bus": "virtio",
        "hw_firmware_type": "bios",
        "hw_rng_model": "virtio",
        "hw_vif_model": "virtio",
        "os_distro": "debian",
        "os_type": "linux",
        "os_version": "13",
    }


@pytest.mark.parametrize(
    ("drivers", "wanted"),
    [
        (("virtio_scsi", "e1000"), {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi", "hw_vif_model": "e1000"}),
        (("ata_piix", "ahci", "8139cp"), {"hw_disk_bus": "ide", "hw_machine_type": "pc", "hw_vif_model": "rtl8139"}),
        (("ahci",), {"hw_disk_bus": "sata"}),
        ((), {}),
    ],
)
def test_a_linux_without_virtio(drivers: tuple[str, ...], wanted: dict[str, str]) -> None:
    assert hardware(derived(linux(*drivers))) == wanted


@pytest.mark.parametrize(("firmware", "value"), [(BIOS, "bios"), (UEFI, "uefi"), (BOTH, None), (NONE, None)])
def test_firmware_where_it_is_no_choice(firmware: FirmwareFacts, value: str | None) -> None:
    assert derived(linux(), firmware).get("hw_firmware_type") == value


def test_the_agent_counts_where_it_is_started() -> None:
    for starts, value in ((True, "yes"), (False, None), (Unknown("x"), None)):
        agents = (Agent("qemu-guest-agent", "/usr/sbin/qemu-ga", starts),)
        assert derived(linux(agents=agents)).get("hw_qemu_guest_agent") == value
    assert "hw_qemu_guest_agent" not in derived(linux(agents=(Agent("spice-vdagent", "/x", True),)))
    assert derived(windows(agents=(WindowsAgent("qemu-guest-agent", "QEMU-GA", 2),)))["hw_qemu_guest_agent"] == "yes"
    assert "hw_qemu_guest_agent" not in derived(windows(agents=(WindowsAgent("qemu-guest-agent", "QEMU-GA", 4),)))


def test_what_is_not_known_is_not_derived() -> None:
    why = Unknown("x")
    facts = linux(id=why, release=why, kernels=why, agents=why)
    assert derived(facts, NONE, "unknown") == {"os_type": "linux"}
    facts_of_windows = windows(product=why, drivers=why, agents=why, clock=why)
    assert derived(facts_of_windows, NONE, "unknown") == {"os_distro": "windows", "os_type": "windows"}


def test_novas_word_for_32_bits() -> None:
    assert derived(linux(), architecture="i386")["architecture"] == "i686"


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (windows(driver("viostor"), driver("netkvm", 3)), {"hw_disk_bus": "virtio", "hw_vif_model": "virtio"}),
        (
            windows(driver("vioscsi"), driver("viostor", 3)),
            {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi", "hw_vif_model": "e1000"},
        ),
        (
            windows(driver("viostor", file=None), driver("atapi"), driver("netkvm", 4)),
            {"hw_disk_bus": "ide", "hw_machine_type": "pc", "hw_vif_model": "e1000"},
        ),
        (windows(driver("storahci")), {"hw_disk_bus": "sata", "hw_vif_model": "e1000"}),
        (
            windows(driver("atapi"), version="5.2"),
            {"hw_disk_bus": "ide", "hw_machine_type": "pc", "hw_vif_model": "rtl8139"},
        ),
        (windows(), {"hw_vif_model": "e1000"}),
    ],
)
def test_a_windows(facts: Windows, wanted: dict[str, str]) -> None:
    values = derived(facts)
    assert (values["os_type"], values["os_distro"]) == ("windows", "windows")
    assert hardware(values) == wanted


def test_a_dirty_hive_is_said_with_what_follows_from_it() -> None:
    found = properties(system(), windows(driver("viostor"), state="dirty"), BOTH)
    reasons = {each.name: each.reason for each in found}
    assert "may be outdated" in reasons["hw_disk_bus"] and "may be outdated" not in reasons["os_type"]
    assert "right where hosts run on UTC" in reasons["os_type"]


AGENT = Agent("qemu-guest-agent", "/usr/sbin/qemu-ga", starts=False)
WINDOWS_AGENT = WindowsAgent("qemu-guest-agent", "QEMU-GA", 4)


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        (linux(), {"qemu-guest-agent"}),
        (linux(agents=(AGENT,)), set()),
        (linux(agents=Unknown("x")), set()),
        (windows(), {"qemu-guest-agent", "viostor", "vioscsi", "netkvm"}),
        (windows(driver("viostor"), driver("netkvm", 3), agents=(WINDOWS_AGENT,)), {"vioscsi"}),
        (windows(driver("viostor", 3), driver("vioscsi"), agents=(WINDOWS_AGENT,)), {"viostor", "netkvm"}),
        (
            windows(driver("viostor", file=None), driver("vioscsi"), driver("netkvm", 4), agents=(WINDOWS_AGENT,)),
            {"viostor", "netkvm"},
        ),
        (windows(state="dirty"), set()),
    ],
)
def test_only_what_is_certainly_not_there_is_said_to_be_missing(facts: Linux | Windows, missing: set[str]) -> None:
    assert set(lacking(facts)) == missing


def test_drivers_that_are_not_known_are_not_missing() -> None:
    facts = dataclasses.replace(windows(agents=(WINDOWS_AGENT,)), drivers=Unknown("x"))
    assert lacking(facts) == ()
