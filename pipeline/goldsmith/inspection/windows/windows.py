"""All that is known of a Windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from goldsmith.errors import HarnessError
from goldsmith.inspection.disk import PartitionTable
from goldsmith.inspection.facts import Unknown, found, known, shown
from goldsmith.inspection.ntfs import NtfsState
from goldsmith.inspection.windows.clock import Clock, clock
from goldsmith.inspection.windows.cloudbase import CloudbaseInit, cloudbase_init
from goldsmith.inspection.windows.disks import DriveLetter, drive_letters, san_policy
from goldsmith.inspection.windows.product import HOTFIX_SECONDS, Hotfixes, Product, architecture, hotfixes, product
from goldsmith.inspection.windows.registry import HiveState, hive_states, opened
from goldsmith.inspection.windows.services import Driver, WindowsAgent, agents, drivers
from goldsmith.verify.kinds.registry import in_any_case
from goldsmith.verify.tree import Tree


@dataclass(frozen=True)
class Sleep:
    """Whether Windows left the disk in a state that nobody else may write to."""

    #: hiberfil.sys says: "hibernated" (or shut down by fast startup), "resumed", "empty", "absent"
    hibernation: str | Unknown
    #: HiberbootEnabled: a shutdown hibernates the kernel; None where it is not set
    fast_startup: bool | Unknown | None
    #: NTFS volumes of the disk that are marked dirty
    dirty_volumes: tuple[str, ...]

    @property
    def writable(self) -> bool:
        return self.hibernation in ("resumed", "empty", "absent") and not self.dirty_volumes


@dataclass(frozen=True)
class Windows:
    hives: tuple[HiveState, ...]
    product: Product | Unknown
    architecture: str | Unknown | None
    drivers: tuple[Driver, ...] | Unknown
    agents: tuple[WindowsAgent, ...] | Unknown
    clock: Clock | Unknown
    drives: tuple[DriveLetter, ...] | Unknown
    san_policy: str | Unknown | None
    hotfixes: Hotfixes | Unknown
    cloudbase_init: CloudbaseInit | Unknown | None
    sleep: Sleep


def windows(
    tree: Tree,
    systemroot: str,
    table: PartitionTable | None,
    device: str,
    volumes: Mapping[str, NtfsState | Unknown],
    scale: float,
) -> Windows:
    """Look at the registry and files of a Windows whose system drive ``tree`` shows.

    ``table`` is that of the disk ``device``, ``volumes`` its NTFS volumes by device; ``scale`` multiplies deadlines.
    """
    states = hive_states(tree, systemroot)
    system, software = states
    facts: dict[str, object] = {}
    # The appliance holds one hive at a time, and opening one takes a while: each is opened once.
    try:
        with opened(tree, system) as registry:
            facts = {
                "architecture": found(lambda: architecture(registry)),
                "drivers": found(lambda: drivers(registry, tree, systemroot)),
                "agents": found(lambda: agents(registry)),
                "clock": found(lambda: clock(registry)),
                "drives": found(lambda: drive_letters(registry, table, device)),
                "san_policy": found(lambda: san_policy(registry)),
                "cloudbase_init": found(lambda: cloudbase_init(registry, tree)),
            }
            fast = found(lambda: _fast_startup(registry.number((registry.control_set(), *_POWER), "HiberbootEnabled")))
    except HarnessError as error:
        why = Unknown(shown(f"the hive SYSTEM {error.message}"))
        names = ("architecture", "drivers", "agents", "clock", "drives", "san_policy", "cloudbase_init")
        facts, fast = dict.fromkeys(names, why), why
    try:
        with opened(tree, software) as registry:
            facts["product"] = found(lambda: product(registry))
            facts["hotfixes"] = found(lambda: hotfixes(registry, HOTFIX_SECONDS * scale))
    except HarnessError as error:
        facts["product"] = facts["hotfixes"] = Unknown(shown(f"the hive SOFTWARE {error.message}"))
    dirty = tuple(name for name, state in volumes.items() if (one := known(state)) is not None and one.dirty)
    sleep = Sleep(found(lambda: _hibernation(tree)), fast, dirty)
    return Windows(hives=states, sleep=sleep, **facts)  # type: ignore[arg-type]


_POWER = ("Control", "Session Manager", "Power")


def _fast_startup(number: int | None) -> bool | None:
    return None if number is None else number != 0


def _hibernation(tree: Tree) -> str:
    """By the first bytes of hiberfil.sys, as ntfs-3g tells (ntfs_volume_check_hiberfile)."""
    try:
        path = in_any_case("/hiberfil.sys", tree)
    except HarnessError:
        return "absent"
    head = tree.head(path, 4096)
    if head[:4].lower() == b"hibr":
        return "hibernated"
    if head[:4].lower() in (b"wake", b"rstr"):
        return "resumed"
    if not any(head):
        return "empty"
    raise HarnessError(f"begins with the bytes {head[:4].hex()}, which say nothing", where=path)
