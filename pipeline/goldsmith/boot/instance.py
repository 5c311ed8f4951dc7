"""One description of a guest, and the documents the metadata service tells it about itself.

Shapes and names follow nova: nova/api/metadata/base.py for both trees, nova/virt/netutils.py for network_data.json.
goldsmith.boot.seed tells the same on a disk.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from goldsmith.errors import InputError

EC2_VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
)
OPENSTACK_VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
)
#: the first version that offers a file; the others are as old as the service
_SINCE = {
    "password": "2013-04-04",
    "vendor_data.json": "2013-10-17",
    "network_data.json": "2015-10-15",
    "vendor_data2.json": "2016-10-06",
}
#: seconds; dnsmasq takes none shorter (dnsmasq(8), --dhcp-range)
LEAST_LEASE = 120
_MAC = re.compile(r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")


@dataclass(frozen=True)
class Network:
    """A tenant network as Neutron would have made it: a subnet with DHCP, and one with SLAAC where it has IPv6.

    The DHCP port has the first address that is not the gateway's.  ``reply_delay`` and ``lease`` are in seconds;
    Neutron's own lease is a day, and dnsmasq's shortest is LEAST_LEASE.  ``subnet6`` is a /64 whose router
    advertises itself.  Raises InputError where the addresses contradict each other.
    """

    name: str
    subnet: str
    gateway: str
    mtu: int = 1450
    lease: int = 86400
    reply_delay: int = 0
    subnet6: str | None = None

    def __post_init__(self) -> None:
        try:
            hosts = ipaddress.IPv4Network(self.subnet)
            gateway = ipaddress.IPv4Address(self.gateway)
        except ValueError as error:
            raise InputError(f"network {self.name}: {error}") from error
        if gateway not in hosts or hosts.num_addresses < 16:
            raise InputError(
                f"network {self.name}: {self.gateway} must lie in {self.subnet}, and that be /28 or larger"
            )

        if self.lease < LEAST_LEASE or self.reply_delay < 0:
            raise InputError(f"network {self.name}: a lease is {LEAST_LEASE} s or longer, a delay no less than 0 s")
        if (prefix := self.prefix6) and prefix.prefixlen != 64:
            raise InputError(f"network {self.name}: SLAAC needs a /64, not {self.subnet6}")

    @property
    def prefix6(self) -> ipaddress.IPv6Network | None:
        """The IPv6 subnet; None where the network has none."""
        try:
            return ipaddress.IPv6Network(self.subnet6) if self.subnet6 else None
        except ValueError as error:
            raise InputError(f"network {self.name}: {error}") from error

    @property
    def dhcp_address(self) -> str:
        """Address of the DHCP port, through which the metadata service is reached too."""
        return next(str(host) for host in self.addresses.hosts() if str(host) != self.gateway)

    @property
    def addresses(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self.subnet)


@dataclass(frozen=True)
class Nic:
    """A port: ``mac`` in lower case with colons, the network it is on, the fixed address that DHCP gives it."""

    mac: str
    network: Network
    address: str

    def __post_init__(self) -> None:
        if not _MAC.match(self.mac):
            raise InputError(f"{self.mac!r} is not a MAC address in lower case with colons")
        try:
            inside = ipaddress.IPv4Address(self.address) in self.network.addresses
        except ValueError as error:
            raise InputError(f"NIC {self.mac}: {error}") from error
        if not inside or self.address in (self.network.gateway, self.network.dhcp_address):
            raise InputError(f"NIC {self.mac}: {self.address} is not free in {self.network.subnet}")

    @property
    def device(self) -> str:
        """The port's device name on the hypervisor, as Neutron names it."""
        return f"tap{hashlib.sha256(self.mac.encode()).hexdigest()[:8]}-{self.mac[-2:]}"

    @property
    def address6(self) -> str | None:
        """The address that SLAAC makes of the prefix and the MAC (EUI-64), which is the one Neutron expects."""
        if self.network.prefix6 is None:
            return None
        octets = bytes.fromhex(self.mac.replace(":", ""))
        identifier = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
        return str(self.network.prefix6[int.from_bytes(identifier, "big")])


def make_nics(networks: Sequence[Network]) -> tuple[Nic, ...]:
    """One NIC per network, in order, with Neutron's MAC prefix and a free address from the tenth of its subnet on."""
    nics: list[Nic] = []
    for index, network in enumerate(networks):
        taken = {network.gateway, network.dhcp_address, *(nic.address for nic in nics)}
        candidates = itertools.chain(range(10, network.addresses.num_addresses - 1), range(1, 10))
        address = next(text for n in candidates if (text := str(network.addresses[n])) not in taken)
        nics.append(Nic(f"fa:16:3e:00:{index:02x}:01", network, address))
    return tuple(nics)


@dataclass(frozen=True)
class Instance:
    """A server as Nova knows it."""

    uuid: str
    name: str
    nics: tuple[Nic, ...] = ()
    user_data: str | None = None
    #: name and public key, as from ``openstack keypair create``
    key: tuple[str, str] | None = None
    meta: dict[str, str] = field(default_factory=dict)
    availability_zone: str = "nova"
    #: what nova's dhcp_domain appends to the name
    domain: str = "novalocal"

    @property
    def hostname(self) -> str:
        return f"{self.name}.{self.domain}" if self.domain else self.name

    def network_data(self) -> dict[str, Any]:
        """network_data.json: every IPv4 subnet by DHCP, as with enable_dhcp, every IPv6 subnet by SLAAC."""
        links = [
            {
                "id": nic.device,
                "vif_id": _uuid_of(f"port {nic.mac}"),
                "type": "bridge",
                "mtu": nic.network.mtu,
                "ethernet_mac_address": nic.mac,
            }
            for nic in self.nics
        ]
        networks: list[dict[str, Any]] = []
        for nic in self.nics:
            of = {"link": nic.device, "network_id": _uuid_of(f"network {nic.network.name}")}
            networks.append({"id": f"network{len(networks)}", "type": "ipv4_dhcp", **of})
            if prefix := nic.network.prefix6:
                subnet = {
                    "ip_address": nic.address6,
                    "netmask": str(prefix.netmask),
                    "routes": [{"network": "::", "netmask": "::", "gateway": str(prefix[1])}],
                    "services": [],
                }
                networks.append({"id": f"network{len(networks)}", "type": "ipv6_slaac", **of, **subnet})
        services = [{"type": "dns", "address": nic.network.dhcp_address} for nic in self.nics]
        return {"links": links, "networks": networks, "services": services}

    def meta_data(self) -> dict[str, Any]:
        """meta_data.json."""
        seed = b"".join(hashlib.sha512(f"{self.uuid} {index}".encode()).digest() for index in range(8))
        document: dict[str, Any] = {
            "uuid": self.uuid,
            "hostname": self.hostname,
            "name": self.name,
            "launch_index": 0,
            "availability_zone": self.availability_zone,
            "random_seed": base64.b64encode(seed).decode(),
            "project_id": _uuid_of("project").replace("-", ""),
            "devices": [],
            "dedicated_cpus": [],
        }
        if self.meta:
            document["meta"] = self.meta
        if self.key:
            name, data = self.key
            document["public_keys"] = {name: data}
            document["keys"] = [{"name": name, "type": "ssh", "data": data}]
        return document

    def ec2_meta_data(self) -> dict[str, Any]:
        """The EC2 tree below meta-data as nested dicts; a public key is added by ``documents``."""
        address = self.nics[0].address if self.nics else ""
        return {
            "ami-id": "ami-00000001",
            "ami-launch-index": "0",
            "ami-manifest-path": "FIXME",
            "block-device-mapping": {"ami": "vda", "root": "/dev/vda"},
            "hostname": self.hostname,
            "instance-action": "none",
            "instance-id": "i-00000001",
            "instance-type": "m1.small",
            "local-hostname": self.hostname,
            "local-ipv4": address,
            "placement": {"availability-zone": self.availability_zone},
            "public-hostname": self.hostname,
            "public-ipv4": "",
            "reservation-id": "r-00000001",
            "security-groups": "default",
        }

    def openstack_files(self, version: str) -> dict[str, str]:
        """What a version of OpenStack's tree holds, by name; ``version`` is one of OPENSTACK_VERSIONS, or latest."""
        files = {
            "meta_data.json": json.dumps(self.meta_data()),
            "network_data.json": json.dumps(self.network_data()),
            "vendor_data.json": "{}",
            "vendor_data2.json": '{"static": {}}',
            "password": "",
        }
        if self.user_data is not None:
            files["user_data"] = self.user_data
        # "latest" sorts behind all dates.
        return {name: text for name, text in files.items() if _SINCE.get(name, "") <= version}

    def documents(self) -> dict[str, str]:
        """Everything the metadata service answers: path (no trailing slash, "" is the root) to text."""
        found = {"": "\n".join([*EC2_VERSIONS, "latest"]), "/openstack": "\n".join([*OPENSTACK_VERSIONS, "latest"])}
        for version in (*OPENSTACK_VERSIONS, "latest"):
            files = self.openstack_files(version)
            found[f"/openstack/{version}"] = "\n".join(sorted(files))
            found.update({f"/openstack/{version}/{name}": text for name, text in files.items()})
        for version in (*EC2_VERSIONS, "latest"):
            found[f"/{version}"] = "meta-data/" + ("\nuser-data" if self.user_data is not None else "")
            if self.user_data is not None:
                found[f"/{version}/user-data"] = self.user_data
            tree = self.ec2_meta_data()
            _add_tree(found, f"/{version}/meta-data", tree)
            if self.key:
                name, data = self.key
                # Listed as "public-keys/", which holds "0=NAME" and not "0/".
                found[f"/{version}/meta-data"] = "\n".join(sorted([*_listing(tree), "public-keys/"]))
                found[f"/{version}/meta-data/public-keys"] = f"0={name}"
                found[f"/{version}/meta-data/public-keys/0"] = "openssh-key"
                found[f"/{version}/meta-data/public-keys/0/openssh-key"] = data
        return found


def _listing(tree: dict[str, Any]) -> list[str]:
    return [f"{name}/" if isinstance(value, dict) else name for name, value in tree.items()]


def _add_tree(found: dict[str, str], path: str, tree: dict[str, Any]) -> None:
    found[path] = "\n".join(sorted(_listing(tree)))
    for name, value in tree.items():
        if isinstance(value, dict):
            _add_tree(found, f"{path}/{name}", value)
        else:
            found[f"{path}/{name}"] = value


def _uuid_of(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
