"""One look into an image: its operating systems and what is in each, from one launch of the appliance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from goldsmith.bake.offline.session import Followed
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.systems import System
from goldsmith.errors import HarnessError, InputError
from goldsmith.inspection.boot import FirmwareFacts, firmware
from goldsmith.inspection.disk import PartitionTable
from goldsmith.inspection.facts import Unknown, known, unknowns
from goldsmith.inspection.image import Image
from goldsmith.inspection.linux import Linux, linux
from goldsmith.inspection.ntfs import NtfsState
from goldsmith.inspection.properties import Property, lacking, properties
from goldsmith.inspection.storage import Partitions, Storage, ntfs_states, partitions, storage
from goldsmith.inspection.windows.windows import Windows, windows
from goldsmith.verify import appliance
from goldsmith.verify.appliance import Appliance
from goldsmith.verify.residue.rules import Rule
from goldsmith.verify.residue.search import Residue, printable, search

_DISK = "image"


@dataclass(frozen=True)
class Seen:
    """An operating system and what was found in it."""

    system: System
    #: None where it was not searched: the rules are about Linux
    residue: tuple[Residue, ...] | None
    #: folders whose file systems could not be mounted, so that nothing is known of them
    unread: tuple[str, ...] = ()
    #: None for what is neither Linux nor Windows
    facts: Linux | Windows | None = None
    firmware: FirmwareFacts | None = None
    #: Glance properties that follow, for an image that holds this system alone
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """What is inside an image, and the rules that were applied."""

    image: Image
    systems: tuple[Seen, ...]
    rules: tuple[Rule, ...]
    disk: Storage | None = None

    @property
    def residue(self) -> list[Residue]:
        return [residue for seen in self.systems for residue in seen.residue or ()]


def inspected(image: Image, rules: Sequence[Rule], accelerator: Accelerator) -> Inspection:
    """Open an image, read-only, and look at every operating system in it.

    Raises InputError where it holds none or cannot be read, HostError and HarnessError where the appliance fails.
    """
    with appliance.launched({_DISK: (image.path, image.format)}, accelerator) as running:
        try:
            systems = running.systems()
            with running.disk(_DISK) as (handle, device):
                disk = storage(handle, device)
            seen = tuple(_seen(running, system, disk, disk.ntfs, rules, accelerator.scale) for system in systems)
        except HarnessError as error:
            if not running.answers():
                raise
            where = f"{image.path}: {error.where}" if error.where else str(image.path)
            raise InputError(f"cannot be read: {printable(error.message)}", where=printable(where)) from error
        inspection = Inspection(image, seen, tuple(rules), disk)
        # A fact that is not known is the image's doing only where the appliance outlived the question.
        if (missing := unknowns([disk, *(each.facts for each in seen)])) and not running.answers():
            raise HarnessError(f"the appliance ended while the image was looked at: {missing[-1].why}")
    if not seen:
        raise InputError(
            "holds no operating system that libguestfs recognises",
            where=str(image.path),
            hint="an encrypted disk, a disk of data, or a file system that is damaged looks so",
        )
    return inspection


def followed(handle: Any, device: str, system: System, scale: float) -> Followed:
    """What follows for Glance from a disk in an appliance, and from the ``system`` that was found on it.

    ``handle`` is the appliance's guestfs.GuestFS, with nothing mounted, before and after.  Raises HarnessError.
    """
    running = Appliance(handle, {_DISK: device}, None, scale)
    with running.disk(_DISK):
        parts = partitions(handle, device)
        ntfs = ntfs_states(handle, sorted({*system.mounts.values()})) if system.type == "windows" else {}
    seen = _seen(running, system, parts, ntfs, (), scale)
    if (missing := unknowns([parts, seen.facts])) and not running.answers():
        raise HarnessError(f"the appliance ended while the image was looked at: {missing[-1].why}")
    lacks = lacking(seen.facts) if seen.facts else ()
    return Followed({each.name: each.value for each in seen.properties}, lacks)


def _seen(
    running: Appliance,
    system: System,
    disk: Partitions,
    ntfs: Mapping[str, NtfsState | Unknown],
    rules: Sequence[Rule],
    scale: float,
) -> Seen:
    if system.type not in ("linux", "windows"):
        return Seen(system, None)
    table = known(disk.table) or PartitionTable("none", "", (), "")
    can_boot = firmware(table, disk.esp, disk.loaders, system.architecture)
    with running.system(system) as (tree, unread):
        facts: Linux | Windows
        if system.type == "windows":
            facts = windows(tree, system.systemroot, known(disk.table), disk.device, ntfs, scale)
            named, residue = system, None
        else:
            facts = linux(tree)
            # libguestfs takes the name from /etc/debian_version, a bare number.
            name = known(facts.pretty_name) or f"{system.distribution} {system.name}"
            named, residue = dataclasses.replace(system, name=name), tuple(search(tree, rules))
    found = properties(system, facts, can_boot)
    return Seen(named, residue, tuple(unread), facts, can_boot, found)
