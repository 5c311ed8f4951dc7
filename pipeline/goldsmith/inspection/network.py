"""What configures the network of a Linux, and what keeps it to one default route.

``stacks`` answers as post-install.d of the element single-default-route does, in the same order; the element's script
runs in images and cannot read Python, so tests/unit/elements/test_stacks_agree.py runs both on the same trees.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from goldsmith.inspection.facts import Unknown, found, is_executable, settings_of, shown, text_of
from goldsmith.inspection.units import is_enabled
from goldsmith.verify.tree import Tree

#: files that match one pattern and are read; a folder of an image may hold any number
_MOST_FILES = 256
_CONF = "/etc/single-default-route.conf"
_NETPLAN = ("/usr/sbin/netplan", "/usr/lib/netplan/generate", "/usr/libexec/netplan/generate")
#: glob to what a line of such a file says about default routes, and to whom the file belongs
_KNOWN: tuple[tuple[str, str, str], ...] = (
    ("/etc/dhcp/dhclient-enter-hooks", "dhclient", r"\bnew_routers\b"),
    ("/etc/dhcp/dhclient-enter-hooks.d/*", "dhclient", r"\bnew_routers\b"),
    ("/etc/dhcpcd.conf", "dhcpcd", r"^[ \t]*(nogateway|metric[ \t]+\d+)\b"),
    ("/etc/sysconfig/network", "ifcfg", r"^[ \t]*GATEWAYDEV=\S+"),
    ("/etc/sysconfig/network-scripts/ifcfg-*", "ifcfg", r"^[ \t]*DEFROUTE=\S+"),
    ("/etc/systemd/network/*.network", "networkd", r"^[ \t]*(UseGateway|UseRoutes|RouteMetric)[ \t]*=\s*\S+"),
    ("/etc/systemd/network/*.network.d/*.conf", "networkd", r"^[ \t]*(UseGateway|UseRoutes|RouteMetric)[ \t]*=\s*\S+"),
    ("/etc/NetworkManager/conf.d/*.conf", "networkmanager", r"^[ \t]*ipv[46]\.(route-metric|route-table)[ \t]*=\s*\S+"),
    (
        "/etc/NetworkManager/system-connections/*",
        "networkmanager",
        r"^[ \t]*(never-default|route-metric)[ \t]*=\s*\S+",
    ),
    ("/etc/netplan/*.yaml", "netplan", r"^[ \t]*(use-routes|route-metric):[ \t]*\S+"),
)


@dataclass(frozen=True)
class RoutePolicy:
    """One thing that decides about default routes."""

    #: "goldsmith" for the element, else the stack that reads the file
    by: str
    path: str
    #: the line that says so
    says: str


@dataclass(frozen=True)
class Network:
    #: in the element's words and order: networkd, netplan, networkmanager, dhclient, dhcpcd, ifcfg
    stacks: tuple[str, ...] | Unknown
    #: ifupdown, which starts dhclient or dhcpcd, is there
    ifupdown: bool | Unknown
    default_route: tuple[RoutePolicy, ...] | Unknown


def network(tree: Tree) -> Network:
    return Network(found(lambda: stacks(tree)), found(lambda: _has_ifup(tree)), found(lambda: tuple(_policies(tree))))


def stacks(tree: Tree) -> tuple[str, ...]:
    """The network stacks of a Linux, by what is in it and not by its name."""
    names = []
    if is_enabled(tree, "systemd-networkd.service"):
        names.append("networkd")
    if any(tree.stat(path) is not None for path in _NETPLAN):
        # Its generator starts networkd or NetworkManager at boot, whichever its files name.
        names += ["netplan", *([] if "networkd" in names else ["networkd"])]
    if is_executable(tree, "/usr/sbin/NetworkManager"):
        names.append("networkmanager")
    if is_executable(tree, "/sbin/dhclient") or is_executable(tree, "/usr/sbin/dhclient"):
        names.append("dhclient")
    # cloud-init brings dhcpcd along for a use of its own.
    has_dhcpcd = is_executable(tree, "/usr/sbin/dhcpcd") or is_executable(tree, "/sbin/dhcpcd")
    if has_dhcpcd and (_has_ifup(tree) or is_enabled(tree, "dhcpcd.service")):
        names.append("dhcpcd")
    entry = tree.stat("/etc/sysconfig/network-scripts")
    if entry is not None and stat.S_ISDIR(entry.mode):
        names.append("ifcfg")
    return tuple(names)


def _has_ifup(tree: Tree) -> bool:
    return is_executable(tree, "/usr/sbin/ifup") or is_executable(tree, "/sbin/ifup")


def _policies(tree: Tree) -> Iterator[RoutePolicy]:
    text = text_of(tree, _CONF)
    if text is not None:
        values = settings_of(text)
        enabled = is_enabled(tree, "single-default-route.service")
        words = [f"{name}={values.get(name, '')}" for name in ("choice", "policy", "stacks")]
        yield RoutePolicy("goldsmith", _CONF, shown(", ".join([*words, *([] if enabled else ["but not enabled"])])))
    for pattern, stack, regex in _KNOWN:
        for path in tree.glob(pattern)[:_MOST_FILES]:
            match = re.search(regex, text_of(tree, path) or "", re.MULTILINE)
            # The element's own files are told by its line.
            if match and "single-default-route" not in path:
                yield RoutePolicy(stack, shown(path), shown(" ".join(match[0].split())))
