from __future__ import annotations

import json

import pytest

from goldsmith.boot.instance import Instance, Network, Nic, make_nics
from goldsmith.errors import InputError

FRONT = Network("front", "10.20.0.0/24", "10.20.0.1", mtu=1450)
BACK = Network("back", "10.30.0.0/28", "10.30.0.14", mtu=1500)
UUID = "6a1d0bb2-95f8-4b6c-8c1e-7d1f37f1b7c0"


def guest(**fields: object) -> Instance:
    return Instance(UUID, "guest", make_nics([FRONT, BACK]), **fields)  # type: ignore[arg-type]


def test_the_dhcp_port_is_not_the_gateway() -> None:
    assert FRONT.dhcp_address == "10.20.0.2"
    assert BACK.dhcp_address == "10.30.0.1"


@pytest.mark.parametrize(
    ("subnet", "gateway"),
    [("10.20.0.0/24", "10.21.0.1"), ("10.20.0.5/24", "10.20.0.1"), ("10.20.0.0/30", "10.20.0.1"), ("x", "10.20.0.1")],
)
def test_networks_that_cannot_be_are_refused(subnet: str, gateway: str) -> None:
    with pytest.raises(InputError, match="network n:"):
        Network("n", subnet, gateway)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"lease": 119}, "120 s or longer"),
        ({"reply_delay": -1}, "no less than 0 s"),
        ({"subnet6": "fd20::/48"}, "a /64"),
        ({"subnet6": "fd20::1/64"}, "host bits"),
        ({"subnet6": "10.20.0.0/24"}, "network n:"),
    ],
)
def test_servers_that_cannot_be_are_refused(change: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Network("n", "10.20.0.0/24", "10.20.0.1", **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mac", "address"),
    [
        ("FA:16:3E:00:00:01", "10.20.0.9"),
        ("fa163e000001", "10.20.0.9"),
        ("fa:16:3e:00:00:01", "10.99.0.9"),
        ("fa:16:3e:00:00:01", "10.20.0.1"),
        ("fa:16:3e:00:00:01", "10.20.0.2"),
        ("fa:16:3e:00:00:01", "nine"),
    ],
)
def test_nics_that_cannot_be_are_refused(mac: str, address: str) -> None:
    with pytest.raises(InputError):
        Nic(mac, FRONT, address)


def test_nics_have_addresses_and_macs_of_their_own() -> None:
    nics = make_nics([FRONT, FRONT, BACK])
    assert (
        len({nic.mac for nic in nics}) == len({nic.address for nic in nics}) == len({nic.device for nic in nics}) == 3
    )


def test_network_data_has_novas_shape() -> None:
    document = json.loads(guest().documents()["/openstack/latest/network_data.json"])
    assert [link["ethernet_mac_address"] for link in document["links"]] == ["fa:16:3e:00:00:01", "fa:16:3e:00:01:01"]
    assert [link["mtu"] for link in document["links"]] == [1450, 1500]
    assert {link["type"] for link in document["links"]} == {"bridge"}
    assert [network["type"] for network in document["networks"]] == ["ipv4_dhcp", "ipv4_dhcp"]
    assert [network["link"] for network in document["networks"]] == [link["id"] for link in document["links"]]
    assert all(len(link["id"]) <= 15 for link in document["links"])
    assert document["services"] == [
        {"type": "dns", "address": "10.20.0.2"},
        {"type": "dns", "address": "10.30.0.1"},
    ]


def test_an_ipv6_subnet_is_slaac_to_nova_and_the_address_is_the_one_of_the_mac() -> None:
    dual = Network("front", "10.20.0.0/24", "10.20.0.1", subnet6="fd20:20::/64")
    document = Instance(UUID, "guest", make_nics([dual, BACK])).network_data()
    assert [(network["id"], network["type"]) for network in document["networks"]] == [
        ("network0", "ipv4_dhcp"),
        ("network1", "ipv6_slaac"),
        ("network2", "ipv4_dhcp"),
    ]
    four, six, _ = document["networks"]
    assert (six["link"], six["network_id"]) == (four["link"], four["network_id"])
    assert six["ip_address"] == "fd20:20::f816:3eff:fe00:1"
    assert six["netmask"] == "ffff:ffff:ffff:ffff::"
    assert six["routes"] == [{"network": "::", "netmask": "::", "gateway": "fd20:20::1"}]
    assert make_nics([BACK])[0].address6 is None


def test_a_version_offers_what_it_knew() -> None:
    documents = guest(user_data="#!/bin/sh\n").documents()
    assert documents["/openstack/2012-08-10"].split() == ["meta_data.json", "user_data"]
    assert "network_data.json" not in documents["/openstack/2013-10-17"].split()
    assert "/openstack/2013-10-17/network_data.json" not in documents
    assert "vendor_data2.json" in documents["/openstack/2016-10-06"].split()
    assert documents["/openstack/latest"] == documents["/openstack/2020-10-14"]


def test_every_listing_leads_to_documents() -> None:
    """Walk both trees as a client does, by what the listings say."""
    documents = guest(user_data="#cloud-config\n", key=("mine", "ssh-ed25519 AAAA")).documents()
    seen = set()

    def walk(path: str) -> None:
        for name in documents[path].splitlines():
            if path.endswith("/public-keys"):
                name = f"{name.partition('=')[0]}/"
            child = f"{path}/{name.rstrip('/')}"
            assert child in documents, child
            seen.add(child)
            if name.endswith("/"):
                walk(child)

    for version in documents[""].splitlines():
        walk(f"/{version}")
    for version in documents["/openstack"].splitlines():
        walk(f"/openstack/{version}")
    assert "/2009-04-04/meta-data/placement/availability-zone" in seen
    assert "/latest/meta-data/public-keys/0/openssh-key" in seen
    assert "/openstack/latest/user_data" in seen
    assert documents["/latest/meta-data/local-ipv4"] == "10.20.0.10"


def test_without_user_data_and_key_neither_is_offered() -> None:
    documents = guest().documents()
    assert not [path for path in documents if "user" in path or "key" in path]
    assert not [path for path, text in documents.items() if "user" in text or "public-keys" in text]


def test_meta_data_names_the_instance() -> None:
    document = json.loads(guest(meta={"role": "test"}).documents()["/openstack/2018-08-27/meta_data.json"])
    assert document["uuid"] == UUID
    assert document["hostname"] == "guest.novalocal"
    assert document["meta"] == {"role": "test"}
