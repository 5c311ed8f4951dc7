"""Kinds about the network: route, address (asked of the guest), metadata (counted by the service)."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from goldsmith.errors import HarnessError
from goldsmith.verify.compare import Finding, Strict
from goldsmith.verify.subjects import LiveGuest, MetadataTally

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]")
#: each network device that hangs on a bus, with where
_NICS = (
    'for d in /sys/class/net/*/device; do [ ! -e "$d" ] || echo "$(basename "${d%/device}") $(readlink -f "$d")"; done'
)


def _is_destination(text: str) -> str:
    if text != "default":
        ipaddress.ip_network(text)
    return text


def _is_interface(text: str) -> str:
    ipaddress.ip_interface(text)
    return text


_Device = Annotated[
    str, Field(pattern=r"^[^\s/']{1,15}$", description="Name, or first, second, ...: the NIC's place in PCI order")
]


class RouteAssertion(Strict):
    """Routes of the main table to one destination."""

    family: Literal["ipv4", "ipv6"]
    destination: Annotated[str, AfterValidator(_is_destination)] = Field(description="default, or a CIDR")
    count: int | None = Field(default=None, ge=0, description="How many there are; at least one where not given")
    device: _Device | None = Field(default=None, description="Where the preferred one, of the lowest metric, leads")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.count == 0 and self.device is not None:
            raise ValueError("count: 0 cannot stand with device")
        if self.destination != "default" and f"ipv{ipaddress.ip_network(self.destination).version}" != self.family:
            raise ValueError(f"{self.destination} is not {self.family}")
        return self


class AddressAssertion(Strict):
    """Addresses of a NIC."""

    device: _Device
    present: tuple[Annotated[str, AfterValidator(_is_interface)], ...] = Field(
        min_length=1, description="With prefix length, such as 10.20.0.5/24; any prefix where none is given"
    )


class MetadataAssertion(Strict):
    """What a boot asks of the metadata service."""

    max_requests: int | None = Field(default=None, ge=0)
    max_connections: int | None = Field(default=None, ge=0)
    min_requests: int = Field(default=1, ge=0, description="0 where the guest need not ask at all")

    @model_validator(mode="after")
    def _something_is_bounded(self) -> Self:
        if self.max_requests is None and self.max_connections is None and self.min_requests == 0:
            raise ValueError("bounds nothing: give max_requests, max_connections or min_requests")
        return self


def nics(guest: LiveGuest) -> list[str]:
    """Names of the guest's NICs in PCI order."""
    found = []
    for line in guest.output(_NICS).splitlines():
        name, _, path = line.partition(" ")
        found.append((_PCI_ADDRESS.findall(path), name))
    return [name for _, name in sorted(found)]


def _device_name(device: str, guest: LiveGuest) -> str | None:
    """The name that an ordinal stands for, None where the guest has no such NIC."""
    if device not in ORDINALS:
        return device
    names = nics(guest)
    place = ORDINALS.index(device)
    return names[place] if place < len(names) else None


def _ip(guest: LiveGuest, arguments: str) -> list[dict[str, Any]]:
    text = guest.output(f"ip -j {arguments}")
    try:
        document = json.loads(text or "[]")
    except ValueError as error:
        raise HarnessError(f"ip -j {arguments} gave no JSON: {text[:200]!r}") from error
    # iproute2 lists an empty object for what a filter leaves out.
    return [entry for entry in document if entry]


def route(assertion: RouteAssertion, guest: LiveGuest) -> list[Finding]:
    flag = "-4" if assertion.family == "ipv4" else "-6"
    table = _ip(guest, f"{flag} route show table main")
    routes = [entry for entry in table if _same_destination(assertion, str(entry.get("dst")))]
    what = f"{assertion.family} route to {assertion.destination}"
    seen = "\n".join(_as_words(entry) for entry in routes) or "none"
    if assertion.count is None and not routes:
        return [Finding(f"there is an {what}", "none")]
    findings = []
    if assertion.count is not None and len(routes) != assertion.count:
        findings.append(Finding(f"there is {assertion.count} {what}", f"{len(routes)}:\n{seen}" if routes else "none"))
    if assertion.device is not None and routes:
        name = _device_name(assertion.device, guest)
        lowest = min(int(entry.get("metric", 0)) for entry in routes)
        preferred = {dev for entry in routes if int(entry.get("metric", 0)) == lowest for dev in _devices(entry)}
        if preferred != {name}:
            alias = f" ({name or 'no such NIC'})" if assertion.device in ORDINALS else ""
            findings.append(Finding(f"the {what} is on {assertion.device}{alias}", seen))
    return findings


def _same_destination(assertion: RouteAssertion, destination: str) -> bool:
    if "default" in (assertion.destination, destination):
        return assertion.destination == destination
    try:
        return ipaddress.ip_network(destination) == ipaddress.ip_network(assertion.destination)
    except ValueError:
        return False


def _devices(entry: dict[str, Any]) -> list[str]:
    return [str(hop["dev"]) for hop in [entry, *entry.get("nexthops", [])] if "dev" in hop]


def _as_words(entry: dict[str, Any]) -> str:
    words = [str(entry.get("dst"))]
    for key, word in (("gateway", "via"), ("protocol", "proto"), ("metric", "metric")):
        words += [word, str(entry[key])] if key in entry else []
    return " ".join([*words, *(f"dev {device}" for device in _devices(entry))])


def address(assertion: AddressAssertion, guest: LiveGuest) -> list[Finding]:
    name = _device_name(assertion.device, guest)
    present = [
        ipaddress.ip_interface(f"{info['local']}/{info['prefixlen']}")
        for link in _ip(guest, "address show")
        if link.get("ifname") == name
        for info in link.get("addr_info", [])
        if "local" in info
    ]
    seen = ", ".join(map(str, present)) or ("no address" if name else "no such NIC")
    return [
        Finding(f"{assertion.device} has {wanted}", seen)
        for wanted in assertion.present
        if not any(_is(wanted, found) for found in present)
    ]


def _is(wanted: str, found: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> bool:
    return (
        found == ipaddress.ip_interface(wanted) if "/" in wanted else str(found.ip) == str(ipaddress.ip_address(wanted))
    )


def metadata(assertion: MetadataAssertion, tally: MetadataTally) -> list[Finding]:
    findings = []
    for most, count, what in (
        (assertion.max_requests, tally.requests, "requests"),
        (assertion.max_connections, tally.connections, "connections"),
    ):
        if most is not None and count > most:
            findings.append(Finding(f"at most {most} {what} to the metadata service", str(count)))
    if tally.requests < assertion.min_requests:
        findings.append(
            Finding(f"at least {assertion.min_requests} requests to the metadata service", str(tally.requests))
        )
    return findings
