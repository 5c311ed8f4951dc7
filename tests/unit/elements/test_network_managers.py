"""ifupdown, netplan and networkmanager: what they write, and that they are the only one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from elements_help import Image

#: element to the units that must run, and to those of others that must not
UNITS = {
    "ifupdown": ({"networking.service"}, {"systemd-networkd.service", "NetworkManager.service"}),
    "netplan": (
        {"systemd-networkd.service", "systemd-resolved.service", "systemd-networkd-wait-online.service"},
        {"networking.service", "NetworkManager.service"},
    ),
    "networkmanager": ({"NetworkManager.service"}, {"systemd-networkd.service"}),
}


@pytest.fixture
def image(tmp_path: Path) -> Image:
    made = Image(tmp_path / "image")
    for unit in set().union(*(mine | others for mine, others in UNITS.values())):
        made.unit(unit)
    for folder in ("etc/network", "etc/netplan", "etc/cloud/cloud.cfg.d"):
        (made.root / folder).mkdir(parents=True)
    return made


def _refused(image: Image, element: str, **variables: str) -> str:
    done = image.phase(element, "post-install.d", check=False, **variables)
    assert done.returncode != 0
    return done.stdout


@pytest.mark.parametrize("element", UNITS)
def test_it_is_the_only_manager(image: Image, element: str) -> None:
    mine, others = UNITS[element]
    for unit in others:
        image.enable(unit)
    image.phase(element, "post-install.d")
    assert all(image.enabled(unit) for unit in mine)
    assert not any(image.enabled(unit) for unit in others)
    drop_in = image.read(f"etc/cloud/cloud.cfg.d/95-{element}-owns-network.cfg")
    assert yaml.safe_load(drop_in) == {"network": {"config": "disabled"}}


@pytest.mark.parametrize("element", UNITS)
def test_it_can_be_applied_twice(image: Image, element: str) -> None:
    def files() -> dict[str, str]:
        return {str(p): p.read_text() for p in (image.root / "etc").rglob("*") if p.is_file() and not p.is_symlink()}

    image.phase(element, "post-install.d")
    once = files()
    image.phase(element, "post-install.d")
    assert files() == once


def test_ifupdown_configures_every_nic_at_boot_and_when_plugged_in(image: Image) -> None:
    image.phase("ifupdown", "post-install.d")
    lines = image.read("etc/network/interfaces").splitlines()
    assert "auto /en*=nic /eth*=nic" in lines
    assert "allow-hotplug /en*=nic /eth*=nic" in lines
    assert "iface nic inet dhcp" in lines


def test_ifupdown_takes_other_names(image: Image) -> None:
    image.phase("ifupdown", "post-install.d", DIB_IFUPDOWN_MATCH="ens3 wan?")
    assert "auto /ens3=nic /wan?=nic" in image.read("etc/network/interfaces").splitlines()


@pytest.mark.parametrize("match", ["en* $(reboot)", "a/b", " "])
def test_names_that_are_none_are_refused(image: Image, match: str) -> None:
    assert "DIB_IFUPDOWN_MATCH" in _refused(image, "ifupdown", DIB_IFUPDOWN_MATCH=match)
    assert "DIB_NETPLAN_MATCH" in _refused(image, "netplan", DIB_NETPLAN_MATCH=match)
    assert not (image.root / "etc/network/interfaces").exists()
    assert not (image.root / "etc/netplan/50-dhcp.yaml").exists()


def test_ifupdown_refuses_a_client_that_it_would_not_use(image: Image) -> None:
    assert "must be dhclient or dhcpcd" in _refused(image, "ifupdown", DIB_IFUPDOWN_CLIENT="udhcpc")
    image.phase("ifupdown", "post-install.d", DIB_IFUPDOWN_CLIENT="dhcpcd")
    image.program("dhclient")
    assert "would take dhclient" in _refused(image, "ifupdown", DIB_IFUPDOWN_CLIENT="dhcpcd")


def test_netplan_matches_each_word(image: Image) -> None:
    image.phase("netplan", "post-install.d", DIB_NETPLAN_MATCH="en* eth*")
    file = image.root / "etc/netplan/50-dhcp.yaml"
    assert file.stat().st_mode & 0o777 == 0o600
    network = yaml.safe_load(file.read_text())["network"]
    assert (network["version"], network["renderer"]) == (2, "networkd")
    nics = list(network["ethernets"].values())
    assert [nic["match"]["name"] for nic in nics] == ["en*", "eth*"]
    assert all(nic["dhcp4"] is True and nic["dhcp-identifier"] == "mac" for nic in nics)
