from __future__ import annotations

import json
from typing import Any

import pytest
from verify_standins import FakeShell, Said

from goldsmith.errors import HarnessError
from goldsmith.verify.kinds import network as kinds
from goldsmith.verify.subjects import LiveGuest, MetadataTally

#: names in an order that is not PCI's
NICS = (
    "ens3 /sys/devices/pci0000:00/0000:00:04.0/virtio2\n"
    "ens9 /sys/devices/pci0000:00/0000:00:03.0/virtio1\n"
    "enp1 /sys/devices/pci0000:00/0000:00:1f.0/0000:01:00.0/virtio3\n"
)


def default(device: str, **more: Any) -> dict[str, Any]:
    return {"dst": "default", "gateway": "10.20.0.1", "dev": device, "protocol": "dhcp", **more}


METADATA = {"dst": "169.254.169.254", "gateway": "10.20.0.2", "dev": "ens9"}
LOCAL = {"dst": "10.20.0.0/24", "dev": "ens9"}


def routes(table: list[dict[str, Any]], **assertion: Any) -> list[tuple[str, str]]:
    model = kinds.RouteAssertion.model_validate({"family": "ipv4", "destination": "default", **assertion})
    guest = LiveGuest(FakeShell({"ip -j -4 route": Said(json.dumps(table)), "/sys/class/net": Said(NICS)}))
    return [(f.expected, f.seen) for f in kinds.route(model, guest)]


def test_nics_are_in_pci_order() -> None:
    assert kinds.nics(LiveGuest(FakeShell({"/sys/class/net": Said(NICS)}))) == ["ens9", "ens3", "enp1"]


def test_one_default_route_on_the_first_nic() -> None:
    wanted = {"count": 1, "device": "first"}
    assert routes([default("ens9"), METADATA, LOCAL], **wanted) == []
    assert routes([LOCAL], **wanted) == [("there is 1 ipv4 route to default", "none")]
    assert routes([default("ens3"), LOCAL], **wanted) == [
        ("the ipv4 route to default is on first (ens9)", "default via 10.20.0.1 proto dhcp dev ens3")
    ]
    two = routes([default("ens9", metric=100), default("ens3", metric=200)], **wanted)
    assert [expected for expected, _ in two] == ["there is 1 ipv4 route to default"]
    assert "metric 200 dev ens3" in two[0][1]


def test_the_preferred_route_has_the_lowest_metric() -> None:
    table = [default("ens3", metric=1024), default("ens9", metric=100)]
    assert routes(table, device="first") == []
    assert routes(table, device="ens9", count=2) == []
    assert routes(table, device="second") != []
    assert routes([default("ens3"), default("ens9")], device="first") != [], "two of one metric are no preference"
    assert routes([default("ens9")], device="fourth")[0][0].endswith("fourth (no such NIC)")


def test_other_destinations() -> None:
    assert routes([METADATA], destination="169.254.169.254/32", device="first") == []
    assert routes([METADATA], destination="169.254.169.254", device="first") == []
    assert routes([LOCAL], destination="10.20.0.0/24") == []
    assert routes([LOCAL], destination="10.20.0.0/16") == [("there is an ipv4 route to 10.20.0.0/16", "none")]
    assert routes([LOCAL], count=0) == []
    assert routes([default("ens9")], count=0) != []


def test_routes_over_several_hops() -> None:
    hops = {"dst": "default", "nexthops": [{"dev": "ens9"}, {"dev": "ens3"}]}
    assert routes([hops], device="first") == [
        ("the ipv4 route to default is on first (ens9)", "default dev ens9 dev ens3")
    ]


def test_what_is_no_json_breaks_the_check() -> None:
    model = kinds.RouteAssertion(family="ipv4", destination="default")
    with pytest.raises(HarnessError, match="no JSON"):
        kinds.route(model, LiveGuest(FakeShell({"ip -j": Said("Object not found")})))


def test_addresses() -> None:
    links = [
        {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {
            "ifname": "ens9",
            "addr_info": [{"local": "10.20.0.10", "prefixlen": 24}, {"local": "fd00::1", "prefixlen": 64}],
        },
        {},
    ]
    guest = LiveGuest(FakeShell({"ip -j address": Said(json.dumps(links)), "/sys/class/net": Said(NICS)}))

    def findings(device: str, *present: str) -> list[tuple[str, str]]:
        found = kinds.address(kinds.AddressAssertion(device=device, present=present), guest)
        return [(f.expected, f.seen) for f in found]

    assert findings("first", "10.20.0.10/24", "10.20.0.10", "fd00:0::1/64") == []
    assert findings("lo", "127.0.0.1/8") == []
    assert findings("first", "10.20.0.10/25", "10.20.0.5/24") == [
        ("first has 10.20.0.10/25", "10.20.0.10/24, fd00::1/64"),
        ("first has 10.20.0.5/24", "10.20.0.10/24, fd00::1/64"),
    ]
    assert findings("second", "10.20.0.10/24")[0][1] == "no address"
    assert findings("fifth", "10.20.0.10/24")[0][1] == "no such NIC"


def test_metadata() -> None:
    def findings(tally: MetadataTally, **assertion: int) -> list[tuple[str, str]]:
        found = kinds.metadata(kinds.MetadataAssertion.model_validate(assertion), tally)
        return [(f.expected, f.seen) for f in found]

    tally = MetadataTally(requests=28, connections=20)
    assert findings(tally, max_requests=28, max_connections=20, min_requests=28) == []
    assert findings(tally, max_requests=27, max_connections=19) == [
        ("at most 27 requests to the metadata service", "28"),
        ("at most 19 connections to the metadata service", "20"),
    ]
    never = MetadataTally(0, 0)
    assert findings(never, max_requests=40) == [("at least 1 requests to the metadata service", "0")]
    assert findings(never, max_requests=0, min_requests=0) == []
