"""What a Linux is: os-release, kernels and their virtio drivers, SELinux, guest agents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from goldsmith.inspection.boot import Console, console
from goldsmith.inspection.cloudinit import CloudInit, cloud_init
from goldsmith.inspection.facts import Unknown, found, is_executable, is_file, settings_of, shown, text_of
from goldsmith.inspection.network import Network, network
from goldsmith.inspection.units import is_enabled, unit_file
from goldsmith.verify.tree import Tree

#: what a guest of Nova may have to drive, by the kernel's own names of the modules
DRIVERS = ("virtio_blk", "virtio_scsi", "virtio_net", "virtio_balloon", "virtio_rng")
#: others that a guest without virtio is given
OTHER_DRIVERS = ("ata_piix", "ahci", "e1000", "8139cp")
_MOST_KERNELS = 16
#: folders of drivers below /lib/modules/VERSION/kernel
_PLACES = {
    "virtio_blk": "drivers/block",
    "virtio_scsi": "drivers/scsi",
    "virtio_net": "drivers/net",
    "virtio_balloon": "drivers/virtio",
    "virtio_rng": "drivers/char/hw_random",
    "ata_piix": "drivers/ata",
    "ahci": "drivers/ata",
    "e1000": "drivers/net/ethernet/intel/e1000",
    "8139cp": "drivers/net/ethernet/realtek",
}

DriverPlace = Literal["built in", "module", "missing"]


@dataclass(frozen=True)
class Kernel:
    version: str
    #: driver to where it is; of a module it is not known whether the initramfs has it, see ``initramfs``
    drivers: dict[str, DriverPlace]


@dataclass(frozen=True)
class SELinux:
    #: of /etc/selinux/config: "enforcing", "permissive" or "disabled"; "absent" where there is no SELinux
    mode: str
    #: such as "targeted"
    policy: str
    #: /.autorelabel is there: the next boot labels all files and starts again
    relabels: bool


@dataclass(frozen=True)
class Agent:
    """A program in the guest that the host talks to."""

    name: str
    path: str
    #: whether something starts it where its device is there
    starts: bool | Unknown


@dataclass(frozen=True)
class Linux:
    #: ID, VERSION_ID and PRETTY_NAME of os-release(5)
    id: str | Unknown
    release: str | Unknown
    pretty_name: str | Unknown
    kernels: tuple[Kernel, ...] | Unknown
    #: what decides which drivers go into the initramfs, as "initramfs-tools: MODULES=most"
    initramfs: str | Unknown
    selinux: SELinux | Unknown
    network: Network
    console: Console
    cloud_init: CloudInit | Unknown | None
    agents: tuple[Agent, ...] | Unknown


def linux(tree: Tree) -> Linux:
    """All that is known of a Linux whose file systems ``tree`` shows."""
    release = os_release(tree)
    return Linux(
        id=release.get("ID", Unknown("no ID in os-release")),
        release=release.get("VERSION_ID", Unknown("no VERSION_ID in os-release")),
        pretty_name=release.get("PRETTY_NAME", Unknown("no PRETTY_NAME in os-release")),
        kernels=found(lambda: tuple(_kernels(tree))),
        initramfs=found(lambda: _initramfs(tree)),
        selinux=found(lambda: _selinux(tree)),
        network=network(tree),
        console=console(tree),
        cloud_init=found(lambda: cloud_init(tree)),
        agents=found(lambda: tuple(_agents(tree))),
    )


def os_release(tree: Tree) -> dict[str, str]:
    """The settings of os-release(5), which are safe to print; empty where there is none."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        text = text_of(tree, path)
        if text:
            return {name: shown(value) for name, value in settings_of(text).items()}
    return {}


def _kernels(tree: Tree) -> Iterator[Kernel]:
    top = next((folder for folder in ("/usr/lib/modules", "/lib/modules") if tree.names(folder)), None)
    names_there = [] if top is None else sorted(tree.names(top), key=_by_number, reverse=True)[:_MOST_KERNELS]
    for version in (name for name in names_there if tree.names(f"{top}/{name}")):
        folder = f"{top}/{version}"
        built_in = text_of(tree, f"{folder}/modules.builtin") or ""
        names = (*DRIVERS, *OTHER_DRIVERS)
        yield Kernel(shown(version), {name: _driver(tree, folder, name, built_in) for name in names})


def _by_number(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:8]]


def _driver(tree: Tree, folder: str, name: str, built_in: str) -> DriverPlace:
    spellings = (name, name.replace("_", "-"))
    if any(f"/{spelling}.ko" in built_in for spelling in spellings):
        return "built in"
    place = f"{folder}/kernel/{_PLACES[name]}"
    found_here = any(
        tree.stat(f"{place}/{spelling}.ko{suffix}") is not None
        for spelling in spellings
        for suffix in ("", ".xz", ".zst", ".gz")
    )
    return "module" if found_here else "missing"


def _initramfs(tree: Tree) -> str:
    text = text_of(tree, "/etc/initramfs-tools/initramfs.conf")
    if text is not None:
        mode = settings_of(text).get("MODULES", "most")
        for path in tree.glob("/etc/initramfs-tools/conf.d/*"):
            mode = settings_of(text_of(tree, path) or "").get("MODULES", mode)
        return shown(f"initramfs-tools: MODULES={mode}")
    if tree.stat("/usr/lib/dracut") is not None or tree.stat("/etc/dracut.conf") is not None:
        hostonly = ""
        # The same name in /etc hides that in /usr; the last to speak counts.
        names: dict[str, str] = {}
        for folder in ("/usr/lib/dracut/dracut.conf.d", "/etc/dracut.conf.d"):
            names |= {name: f"{folder}/{name}" for name in tree.names(folder) if name.endswith(".conf")}
        for path in ["/etc/dracut.conf", *(names[name] for name in sorted(names))]:
            hostonly = settings_of(text_of(tree, path) or "").get("hostonly", hostonly)
        return shown(f"dracut: hostonly={hostonly or 'not set'}")
    return "none that is known"


def _selinux(tree: Tree) -> SELinux:
    text = text_of(tree, "/etc/selinux/config")
    if text is None:
        return SELinux("absent", "", False)
    values = settings_of(text)
    relabels = tree.exists("/.autorelabel")
    return SELinux(shown(values.get("SELINUX", "not set")), shown(values.get("SELINUXTYPE", "")), relabels)


def _agents(tree: Tree) -> Iterator[Agent]:
    for name, places, unit in (
        ("qemu-guest-agent", ("/usr/sbin/qemu-ga", "/usr/bin/qemu-ga"), "qemu-guest-agent.service"),
        ("spice-vdagent", ("/usr/sbin/spice-vdagentd", "/usr/bin/spice-vdagentd"), "spice-vdagentd.service"),
    ):
        path = next((place for place in places if is_executable(tree, place) and is_file(tree, place)), None)
        if path:
            yield Agent(name, path, found(lambda unit=unit: _starts(tree, unit)))  # type: ignore[misc]


def _starts(tree: Tree, unit: str) -> bool:
    if unit_file(tree, unit) is None:
        return any(tree.glob(f"/etc/rc[2-5].d/S*{unit.removesuffix('.service')}"))
    return is_enabled(tree, unit)
