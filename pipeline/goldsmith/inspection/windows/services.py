"""Drivers and agents of a Windows: services in the hive SYSTEM, and the files they start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from goldsmith.errors import HarnessError
from goldsmith.inspection.windows.registry import Registry
from goldsmith.verify.kinds.registry import in_any_case
from goldsmith.verify.tree import Tree

#: service to what it drives; the last ones are Windows' own, for machines without virtio
DRIVERS = {
    "viostor": "virtio-blk disks",
    "vioscsi": "virtio-scsi disks",
    "netkvm": "virtio NICs",
    "balloon": "virtio balloon",
    "storahci": "SATA disks",
    "msahci": "SATA disks",
    "intelide": "IDE disks",
    "atapi": "IDE disks",
}
_AGENTS = {"QEMU-GA": "qemu-guest-agent", "spice-agent": "spice-vdagent", "vdservice": "spice-vdagent"}
#: of a service's Start (winsvc.h)
STARTS = {0: "boot", 1: "system", 2: "automatic", 3: "on demand", 4: "disabled"}


@dataclass(frozen=True)
class Driver:
    service: str
    drives: str
    #: Start: 0 boot, 1 system, 2 automatic, 3 on demand, 4 disabled; None where it has none
    start: int | None
    #: a value of its key StartOverride, which counts instead of ``start`` since Windows 8; None without one
    start_override: int | None
    #: the .sys file that the service names, as the tree has it; None where it is not there
    file: str | None

    @property
    def at_boot(self) -> bool:
        """Started by the loader, with its file there: what is needed to find the system disk."""
        start = self.start if self.start_override is None else self.start_override
        return start == 0 and self.file is not None

    @property
    def usable(self) -> bool:
        """Not disabled, and its file is there."""
        return self.start in (0, 1, 2, 3) and self.file is not None


@dataclass(frozen=True)
class WindowsAgent:
    name: str
    service: str
    start: int | None


def drivers(system: Registry, tree: Tree, systemroot: str) -> tuple[Driver, ...]:
    """The drivers of DRIVERS that are services, by the hive SYSTEM and the files of ``tree``."""
    return tuple(_drivers(system, tree, systemroot))


def _drivers(system: Registry, tree: Tree, systemroot: str) -> Iterator[Driver]:
    services = (system.control_set(), "Services")
    for name, what in DRIVERS.items():
        key = (*services, name)
        if system.has(key):
            image = system.text(key, "ImagePath") or f"system32\\drivers\\{name}.sys"
            file = _file(tree, image, systemroot)
            override = system.number((*key, "StartOverride"), "0")
            yield Driver(name, what, system.number(key, "Start"), override, file)


def agents(system: Registry) -> tuple[WindowsAgent, ...]:
    services = (system.control_set(), "Services")
    return tuple(
        WindowsAgent(name, service, system.number((*services, service), "Start"))
        for service, name in _AGENTS.items()
        if system.has((*services, service))
    )


def _file(tree: Tree, image: str, systemroot: str) -> str | None:
    """A driver's ImagePath as a path of the tree; None where nothing is there."""
    path = image.replace("\\", "/").strip().removeprefix("/??/")
    for prefix in ("/systemroot/", "%systemroot%/"):
        if path.lower().startswith(prefix):
            path = f"{systemroot}/{path[len(prefix) :]}"
    if path[1:2] == ":":
        path = path[2:]
    elif not path.startswith("/"):
        path = f"{systemroot}/{path}"
    if ".." in path.split("/"):
        return None
    try:
        found = in_any_case(path, tree)
    except HarnessError:
        return None
    return found if tree.stat(found) is not None else None
