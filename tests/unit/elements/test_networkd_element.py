"""The element networkd: what it writes, and networkd itself reading it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from elements_help import Image, run

FOLDER = "etc/systemd/network"
NETWORKD = Path("/usr/lib/systemd/systemd-networkd")


@pytest.fixture
def image(tmp_path: Path) -> Image:
    made = Image(tmp_path / "image")
    for unit in ("systemd-resolved.service", "systemd-networkd-wait-online.service"):
        made.unit(unit)
    made.lay("networkd")
    return made


def write(image: Image, **variables: str) -> dict[str, dict[str, list[str]]]:
    """Run install.d; each file's sections, with their lines."""
    image.phase("networkd", "install.d", **{f"DIB_NETWORKD_{name.upper()}": value for name, value in variables.items()})
    return {path.name: sections(path.read_text()) for path in sorted((image.root / FOLDER).glob("*.network"))}


def sections(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in filter(None, text.splitlines()):
        if line.startswith("["):
            name = line.strip("[]")
            assert name == "Route" or name not in found, f"[{name}] stands there twice"
            found.setdefault(name, [])
        else:
            found[name].append(line)
    return found


def refused(image: Image, **variables: str) -> str:
    environment = {f"DIB_NETWORKD_{name.upper()}": value for name, value in variables.items()}
    done = image.phase("networkd", "install.d", check=False, **environment)
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_the_defaults(image: Image) -> None:
    (found,) = write(image).values()
    assert found["Match"] == ["Type=ether", "Kind=!*", "Name=en* eth*"]
    assert {"DHCP=yes", "IPv6AcceptRA=yes"} <= set(found["Network"])
    assert found["DHCPv4"] == ["ClientIdentifier=mac", "UseMTU=yes"]
    assert "Link" not in found


def test_each_kind_of_match_has_a_file(image: Image) -> None:
    match = "ens* fa:16:3e:00:00:01 driver:mlx5_core eth0 path:pci-0000:00:03.0 type:wlan fa:16:3e:00:00:02"
    found = {name: file["Match"] for name, file in write(image, match=match).items()}
    assert found == {
        "80-dhcp.network": ["Type=ether", "Kind=!*", "Name=ens* eth0"],
        "80-dhcp-by-macaddress.network": ["Type=ether", "Kind=!*", "MACAddress=fa:16:3e:00:00:01 fa:16:3e:00:00:02"],
        "80-dhcp-by-driver.network": ["Type=ether", "Kind=!*", "Driver=mlx5_core"],
        "80-dhcp-by-path.network": ["Type=ether", "Kind=!*", "Path=pci-0000:00:03.0"],
        "80-dhcp-by-type.network": ["Type=wlan", "Kind=!*"],
    }


def test_globs_are_networkds(image: Image) -> None:
    image.write("ens-in-the-root")
    (found,) = write(image, match="ens* *").values()
    assert found["Match"][-1] == "Name=ens* *"


def test_mtu_and_dns_replace_those_of_dhcp(image: Image) -> None:
    (found,) = write(image, mtu="1400", dns="192.0.2.53 2001:db8::53").values()
    assert found["Link"] == ["MTUBytes=1400"]
    assert {"DNS=192.0.2.53", "DNS=2001:db8::53"} <= set(found["Network"])
    assert {"UseMTU=no", "UseDNS=no"} <= set(found["DHCPv4"])
    assert "UseDNS=no" in found["DHCPv6"] and found["IPv6AcceptRA"] == ["UseDNS=no"]


@pytest.mark.parametrize(("dhcp", "expected"), [("yes", "ipv4"), ("ipv4", "ipv4"), ("no", "no")])
def test_without_ipv6(image: Image, dhcp: str, expected: str) -> None:
    (found,) = write(image, ipv6="0", dhcp=dhcp).values()
    assert {f"DHCP={expected}", "IPv6AcceptRA=no", "LinkLocalAddressing=no"} <= set(found["Network"])


def test_addresses_and_routes_of_an_interface_are_in_one_file_before(image: Image) -> None:
    found = write(
        image,
        addresses="ens4=10.30.0.200/24 ens4=2001:db8::4/64 driver:e1000=192.0.2.1/24",
        routes="ens4=10.99.0.0/16,10.30.0.9 ens4=10.98.0.0/16,10.30.0.9 ens5=2001:db8:9::/48,fe80::1",
    )
    assert list(found) == [
        "70-static-driver-e1000.network", "70-static-ens4.network", "70-static-ens5.network", "80-dhcp.network",
    ]  # fmt: skip
    four = found["70-static-ens4.network"]
    assert four["Match"][-1] == "Name=ens4"
    assert {"Address=10.30.0.200/24", "Address=2001:db8::4/64", "DHCP=yes"} <= set(four["Network"])
    assert four["Route"] == [
        "Destination=10.99.0.0/16", "Gateway=10.30.0.9", "Destination=10.98.0.0/16", "Gateway=10.30.0.9",
    ]  # fmt: skip
    assert found["70-static-driver-e1000.network"]["Match"][-1] == "Driver=e1000"
    assert found["70-static-ens5.network"]["Route"] == ["Destination=2001:db8:9::/48", "Gateway=fe80::1"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dhcp", "maybe"), ("dhcp", "true"), ("ipv6", "yes"), ("mtu", "big"), ("mtu", "-1"), ("dns", "ns.example"),
        ("addresses", "ens4"), ("addresses", "=10.0.0.1/24"), ("addresses", "ens4=10.0.0.1"),
        ("routes", "ens4=10.99.0.0/16"), ("routes", "10.99.0.0/16,10.0.0.1"), ("routes", "ens4=10.99.0.0,10.0.0.1"),
        ("match", "speed:fast"), ("match", "driver:"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_with_the_value(image: Image, name: str, value: str) -> None:
    assert value in refused(image, **{name: value})


def test_ipv6_off_and_dhcp_for_ipv6_contradict_each_other(image: Image) -> None:
    assert "DIB_NETWORKD_IPV6" in refused(image, ipv6="0", dhcp="ipv6")


def test_other_managers_are_put_out_of_service(image: Image) -> None:
    others = ["networking.service", "ifupdown-wait-online.service", "NetworkManager.service", "dhcpcd.service"]
    for unit in others:
        image.unit(unit)
        image.enable(unit)
    image.write("usr/lib/udev/rules.d/80-ifupdown.rules", "")
    image.write("usr/lib/systemd/system-generators/netplan", "#!/bin/sh\n", 0o755)
    image.phase("networkd", "post-install.d")
    assert [unit for unit in others if image.enabled(unit)] == []
    assert all(image.enabled(f"systemd-{name}.service") for name in ("networkd", "resolved", "networkd-wait-online"))
    for masked in ("etc/udev/rules.d/80-ifupdown.rules", "etc/systemd/system-generators/netplan"):
        assert str((image.root / masked).readlink()) == "/dev/null"


def test_nothing_is_masked_that_is_not_there(image: Image) -> None:
    image.phase("networkd", "post-install.d")
    assert not (image.root / "etc/udev").exists()
    assert not (image.root / "etc/systemd/system-generators").exists()


def test_wait_online_is_bounded_and_never_fails(image: Image) -> None:
    write(image)
    text = image.read("etc/systemd/system/systemd-networkd-wait-online.service.d/50-bounded.conf")
    assert sections(text)["Service"] == [
        "ExecStart=", "ExecStart=-/usr/lib/systemd/systemd-networkd-wait-online --timeout=30",
    ]  # fmt: skip


def complaints(image: Image) -> list[str]:
    """What networkd says of the files: it runs in a network namespace of its own for two seconds."""
    # It drops to a user of its own, and a user namespace has but one.
    passwd = image.write("tmp/passwd", "root:x:0:0::/:/bin/sh\nsystemd-network:x:0:0::/:/bin/sh\n")
    group = image.write("tmp/group", "root:x:0:\nsystemd-network:x:0:\n")
    lines = [f"mount --bind {shlex.quote(str(image.root / FOLDER))} /etc/systemd/network"]
    lines += [f"mount --bind {passwd} /etc/passwd", f"mount --bind {group} /etc/group"]
    lines += ["mount -t tmpfs none /run", "mkdir -p /run/systemd/netif", f"timeout 2 {NETWORKD} 2>&1 || true"]
    argv = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-ec", "\n".join(lines)]
    said = run(argv, SYSTEMD_LOG_TARGET="console", SYSTEMD_LOG_LEVEL="info").stdout
    assert "Enumeration completed" in said, said
    return [line for line in said.splitlines() if f"/{FOLDER}" in line]


@pytest.mark.skipif(not NETWORKD.exists(), reason="systemd-networkd is not installed here")
def test_networkd_reads_the_files_without_a_complaint(image: Image) -> None:
    write(
        image,
        match="ens* fa:16:3e:00:00:01 driver:mlx5_core type:wlan path:pci-0000:00:03.0",
        mtu="1400",
        dns="192.0.2.53",
        addresses="ens4=10.30.0.200/24",
        routes="ens4=10.99.0.0/16,10.30.0.9",
    )
    image.lay("single-default-route")
    image.enable("systemd-networkd.service")
    image.phase("single-default-route", "post-install.d")
    assert complaints(image) == []
    # The control: it does complain.
    image.write(f"{FOLDER}/80-dhcp.network.d/10-spoiled.conf", "[Network]\nMisspelt=yes\n")
    assert complaints(image)
