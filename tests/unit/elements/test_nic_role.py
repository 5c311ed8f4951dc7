"""single-default-route's nic-role on made-up devices."""

from __future__ import annotations

from pathlib import Path

import pytest
from elements_help import Devices


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    found = Devices.create(tmp_path / "root")
    found.configure()
    return found


def test_the_lowest_slot_is_primary_whatever_it_is_called(devices: Devices) -> None:
    second = devices.net(devices.pci("0000:00:04.0", virtio=0), "eth0")
    # Its network device is not there yet: which one is probed first must not matter.
    holder = devices.pci("0000:00:03.0", virtio=1)
    assert devices.role(second, "eth0") == "secondary"
    assert devices.role(devices.net(holder, "eth1"), "eth1") == "primary"


def test_asked_by_name_it_says_the_same(devices: Devices) -> None:
    devices.two_nics()
    assert [devices.role("nic0"), devices.role("nic1")] == ["primary", "secondary"]


def test_other_pci_devices_do_not_count(devices: Devices) -> None:
    devices.pci("0000:00:01.0", kind="0x030000")
    first = devices.net(devices.pci("0000:00:09.0", virtio=0), "a")
    assert devices.role(first, "a") == "primary"


@pytest.mark.parametrize("name", ["lo", "nothing", ""])
def test_what_is_no_nic_has_no_role(devices: Devices, name: str) -> None:
    devices.two_nics()
    devices.net(None, "lo", "00:00:00:00:00:00")
    assert devices.role(name) == ""


def test_the_role_stays_when_a_nic_is_plugged_into_a_lower_slot(devices: Devices) -> None:
    devices.two_nics()
    assert devices.role("nic0") == "primary"
    devices.net(devices.pci("0000:00:02.0", virtio=2), "late")
    assert [devices.role("late"), devices.role("nic0")] == ["secondary", "primary"]
    # The next boot decides anew.
    (devices.root / "run/single-default-route/primary").unlink()
    assert [devices.role("late"), devices.role("nic0")] == ["primary", "secondary"]


def test_the_role_moves_when_the_primary_was_unplugged(devices: Devices) -> None:
    (devices.root / "run/single-default-route").mkdir()
    (devices.root / "run/single-default-route/primary").write_text("/devices/pci0000:00/0000:00:02.0\n")
    devices.two_nics()
    assert devices.role("nic0") == "primary"


def test_without_pci_the_lowest_path_is_primary(devices: Devices) -> None:
    for name in ("vif-1", "vif-0"):
        holder = devices.root / f"sys/devices/{name}"
        holder.mkdir(parents=True)
        devices.net(holder, f"eth-{name}")
    assert [devices.role("eth-vif-1"), devices.role("eth-vif-0")] == ["secondary", "primary"]


@pytest.mark.parametrize("choice", ["nic1", "fa:16:3e:00:01:01"])
def test_by_name_and_by_mac(devices: Devices, choice: str) -> None:
    devices.two_nics()
    devices.configure(choice)
    assert [devices.role("nic0"), devices.role("nic1")] == ["secondary", "primary"]


def test_a_name_is_the_one_that_udev_is_about_to_give(devices: Devices) -> None:
    path = devices.net(devices.pci("0000:00:03.0", virtio=0), "eth0")
    devices.configure("ens3")
    assert [devices.role(path, "ens3"), devices.role(path, "eth0")] == ["primary", "secondary"]


def test_by_driver_it_is_the_lowest_of_that_driver(devices: Devices) -> None:
    devices.net(devices.pci("0000:00:03.0", virtio=0), "v0")
    devices.net(devices.pci("0000:00:05.0", driver="mlx5_core"), "m1")
    devices.net(devices.pci("0000:00:04.0", driver="mlx5_core"), "m0")
    devices.configure("driver:mlx5_core")
    assert [devices.role(n) for n in ("v0", "m1", "m0")] == ["secondary", "secondary", "primary"]
    (devices.root / "run/single-default-route/primary").unlink()
    devices.configure("driver:virtio_net")
    assert [devices.role(n) for n in ("v0", "m1", "m0")] == ["primary", "secondary", "secondary"]


def test_by_path(devices: Devices) -> None:
    devices.two_nics()
    devices.configure("path:pci-0000:00:04.0")
    assert devices.role("nic0", ID_PATH="pci-0000:00:03.0") == "secondary"
    assert devices.role("nic1", ID_PATH="pci-0000:00:04.0") == "primary"


@pytest.mark.parametrize("choice", ["ens99", "fa:16:3e:ff:ff:ff", "driver:e1000", "path:pci-0000:00:1f.0"])
def test_a_choice_that_is_not_there_makes_all_secondary(devices: Devices, choice: str) -> None:
    devices.two_nics()
    devices.configure(choice)
    assert [devices.role("nic0"), devices.role("nic1")] == ["secondary", "secondary"]
