"""What the lab's dnsmasq processes are told: a network's DHCP server as Neutron's, and its router's advertisements."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Network
from pathlib import Path

from goldsmith.boot import metadata
from goldsmith.boot.instance import Network, Nic

#: seconds between a router's advertisements, and for how long one makes it a default router
RA_INTERVAL = 30
RA_LIFETIME = 1800


def dnsmasq_configuration(network: Network, nics: Sequence[Nic], bridge: str, lease_file: Path) -> str:
    """dnsmasq.conf for the DHCP server of one network, with what Neutron's driver passes.

    Options 121 and 249 hold the metadata route and, because an RFC 3442 client ignores option 3, the default route
    again.
    """
    addresses = network.addresses
    routes = f"{metadata.ADDRESS}/32,{network.dhcp_address},0.0.0.0/0,{network.gateway}"
    lines = [
        # Names are another process's: this one listens on an interface, with the metadata address that all bridges
        # have.  Only so does dnsmasq bind its DHCP socket to a device; of several that are bound to none, a unicast
        # reaches one, and the other networks' renewals would go unanswered.
        "port=0",
        "bind-interfaces",
        f"interface={bridge}",
        "pid-file=",
        f"dhcp-leasefile={lease_file}",
        "dhcp-authoritative",
        f"dhcp-range=set:subnet,{addresses[3]},{addresses[-2]},{addresses.netmask},{network.lease}s",
        f"dhcp-option-force=option:mtu,{network.mtu}",
        f"dhcp-option=tag:subnet,option:router,{network.gateway}",
        f"dhcp-option=tag:subnet,option:dns-server,{network.dhcp_address}",
        f"dhcp-option=tag:subnet,option:classless-static-route,{routes}",
        f"dhcp-option=tag:subnet,249,{routes}",
        *(f"dhcp-host={nic.mac},host-{nic.address.replace('.', '-')},{nic.address}" for nic in nics),
        "log-dhcp",
    ]
    if network.reply_delay:
        lines.append(f"dhcp-reply-delay={network.reply_delay}")
    return "".join(f"{line}\n" for line in lines)


def names_configuration(networks: Sequence[Network]) -> str:
    """dnsmasq.conf for the DNS of all networks' DHCP ports, which answers, as in Neutron, but here knows no names."""
    lines = ["no-resolv", "no-hosts", "bind-interfaces", "pid-file="]
    # By address: the metadata address can be bound once only.
    return "".join(f"{line}\n" for line in [*lines, *(f"listen-address={n.dhcp_address}" for n in networks)])


def router_configuration(prefix: IPv6Network, mtu: int, bridge: str, lease_file: Path) -> str:
    """dnsmasq.conf for the advertisements of an IPv6 subnet's router, as radvd sends them for Neutron's.

    The prefix is for SLAAC, and the router offers itself as a default one.  A process of its own, as in Neutron: the
    DHCP server listens on an address, an advertisement needs an interface.
    """
    lines = [
        "port=0",
        "no-resolv",
        "no-hosts",
        "bind-interfaces",
        f"interface={bridge}",
        "pid-file=",
        f"dhcp-leasefile={lease_file}",
        "enable-ra",
        f"ra-param={bridge},mtu:{mtu},{RA_INTERVAL},{RA_LIFETIME}",
        f"dhcp-range={prefix.network_address},ra-only,64",
        "log-dhcp",
    ]
    return "".join(f"{line}\n" for line in lines)
