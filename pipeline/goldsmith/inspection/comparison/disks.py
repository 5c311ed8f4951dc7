"""What two disks are made of, below the files: their tables, their file systems, their boot areas, and their trees.

Both lie in one appliance, unless they hold what the appliance's kernel finds by an identifier: it would take the one
disk's for the other's.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from goldsmith.boot import guestfs
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.systems import System
from goldsmith.inspection.comparison.differences import Side
from goldsmith.inspection.disk import CODE, SECTOR, Partition, partition_table
from goldsmith.inspection.facts import shown
from goldsmith.inspection.image import Image
from goldsmith.inspection.storage import FileSystem, file_systems, reader_of
from goldsmith.verify import appliance
from goldsmith.verify.appliance import Appliance

#: what the kernel puts together by identifiers, which two images of one origin share
_ENTANGLED = ("LVM2_member", "btrfs", "linux_raid_member")
#: seconds, before scaling, for all that is read of a disk: emulated, 540 MiB of files took 40
TREE_SECONDS = 3600.0
#: bytes before the first partition that are compared, and of what holds no file system that can be mounted
_MOST_GAP = 2**20
_MOST_RAW = 4 * 2**30
#: what a BIOS starts: the first sector's code, and what that loads
AREAS = ("boot code", "between the table and the first partition")
#: the end of what a fact is about
IDENTIFYING = re.compile(r"(identifier|GUID|UUID)$")


@dataclass(frozen=True)
class Opened:
    """An appliance that holds the disk of a side; ``systems`` are those on all of its disks."""

    running: Appliance
    side: Side
    file_systems: Mapping[Side, Sequence[FileSystem]]
    systems: Sequence[System]


#: opens the appliance of a side; may be called again
Opener = Callable[[Side], AbstractContextManager[Opened]]


@dataclass(frozen=True)
class Disk:
    """``facts`` are what is compared, by what they are about; ``identifiers`` are those of them that name something.

    ``trees`` are what can be mounted, by the prefix of its paths: "" for the only system, else the place of its root.
    ``unread`` is what was not compared.
    """

    facts: Mapping[str, str]
    identifiers: Mapping[str, str]
    trees: Mapping[str, System]
    unread: tuple[str, ...] = ()

    @property
    def systems(self) -> set[str]:
        """Prefixes of the trees that are operating systems."""
        return {prefix for prefix, tree in self.trees.items() if tree.type}


@contextlib.contextmanager
def opened(a: Image, b: Image, accelerator: Accelerator) -> Iterator[Opener]:
    """One appliance for both disks, or one for each at a time.  Raises HostError and HarnessError."""
    images: dict[Side, Image] = {"a": a, "b": b}
    with appliance.launched({side: (image.path, image.format) for side, image in images.items()}, accelerator) as both:
        found = {side: _file_systems(both, side) for side in images}
        if not any(each.type in _ENTANGLED for of_side in found.values() for each in of_side):
            systems = both.systems()
            yield lambda side: contextlib.nullcontext(Opened(both, side, found, systems))
            return
    yield lambda side: _alone(side, images[side], accelerator)


@contextlib.contextmanager
def _alone(side: Side, image: Image, accelerator: Accelerator) -> Iterator[Opened]:
    with appliance.launched({side: (image.path, image.format)}, accelerator) as running:
        with running.disk(side) as (handle, device):
            listed = guestfs.call(lambda: dict(handle.list_filesystems()), device)
            found = tuple(file_systems(handle, {name: kind for name, kind in listed.items() if name.startswith("/")}))
        yield Opened(running, side, {side: found}, running.systems())


def _file_systems(running: Appliance, side: Side) -> tuple[FileSystem, ...]:
    """Those on plain partitions; not by list_filesystems, which looks at all disks."""
    with running.disk(side) as (handle, device):
        partitions = guestfs.call(handle.list_partitions, device)
        own = [name for name in partitions if _is_on(name, device)] or [device]
        return tuple(file_systems(handle, {name: guestfs.call(partial(handle.vfs_type, name), name) for name in own}))


def _is_on(name: str, device: str) -> bool:
    return re.fullmatch(rf"{re.escape(device)}(p?\d+)?", name) is not None


def disk(found: Opened, *, apart: bool = False) -> Disk:
    """What a side's disk is made of; with ``apart`` each file system is a tree by itself, whatever systems mount.

    Raises HarnessError, and ValueError for a GPT that contradicts itself.
    """
    with found.running.disk(found.side, TREE_SECONDS) as (handle, device):
        own = found.file_systems[found.side]
        facts = dict(_table(handle, device)) | dict(_facts(own, device))
        systems = () if apart else own_systems(found.systems, found.file_systems, found.side)
        trees = _trees(handle, own, systems, device)
        taken = {name for tree in trees.values() for name in mounts(tree)}
        unread = []
        for each in own:
            if each.device in taken:
                continue
            name = place(each.device, device)
            size = guestfs.call(partial(handle.blockdev_getsize64, each.device), each.device)
            if size > _MOST_RAW:
                unread.append(f"{name}: {each.type or 'of an unknown type'}, {size} bytes")
            else:
                digest = partial(handle.checksum_device, "sha256", each.device)
                facts[f"{name}: bytes"] = guestfs.call(digest, each.device)
    identifiers = {about: value for about, value in facts.items() if IDENTIFYING.search(about) and len(value) >= 8}
    return Disk(facts, identifiers, trees, tuple(unread))


def mounts(system: System) -> set[str]:
    """Devices that a system's folders lie on, those of btrfs subvolumes too."""
    return {re.sub(r"^btrfsvol:(/dev/[^/]+).*", r"\1", device) for device in system.mounts.values()}


def place(name: str, device: str) -> str:
    """A device's name as it is the same for both disks: "partition 1", "disk", or that of a logical volume."""
    if name == device:
        return "disk"
    return f"partition {name.removeprefix(device).lstrip('p')}" if _is_on(name, device) else shown(name)


def _table(handle: Any, device: str) -> Iterator[tuple[str, str]]:
    read = reader_of(handle, device)
    table = partition_table(read)
    yield "disk: size", str(guestfs.call(partial(handle.blockdev_getsize64, device), device))
    yield "disk: partition table", table.kind
    yield "disk: identifier", table.id
    for each in table.partitions:
        yield from ((f"partition {each.number}: {about}", value) for about, value in _partition(each))
    if code := read(0, CODE).rstrip(b"\0"):
        yield AREAS[0], _digest(code)
    # Of a GPT's own sectors all is compared already; the last of them may be anywhere before the first partition.
    first = min((each.start for each in table.partitions), default=0)
    begin = SECTOR * (34 if table.kind == "gpt" else 1)
    if table.kind != "none" and (gap := read(begin, max(0, min(first, _MOST_GAP) - begin)).rstrip(b"\0")):
        yield AREAS[1], _digest(gap)


def _partition(each: Partition) -> Iterator[tuple[str, str]]:
    yield "start", str(each.start)
    yield "size", str(each.size)
    yield "type", each.type_name or each.type
    yield "GUID", each.guid
    yield "name", shown(each.name)
    yield "active", "yes" if each.active else "no"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _facts(own: Sequence[FileSystem], device: str) -> Iterator[tuple[str, str]]:
    for each in own:
        name = place(each.device, device)
        yield f"{name}: file system", each.type or "none"
        yield f"{name}: label", each.label
        yield f"{name}: UUID", each.uuid


def own_systems(systems: Sequence[System], found: Mapping[Side, Sequence[FileSystem]], side: Side) -> list[System]:
    """The systems of a side's disk, mounted from that disk alone.

    Where both disks have the same identifiers libguestfs takes what /etc/fstab names from either.
    """
    if len(found) == 1:
        return list(systems)
    own = {each.device: each for each in found[side]}
    others = {each.device: each for of_side, all_of in found.items() if of_side != side for each in all_of}
    made = []
    for system in systems:
        if system.root in own:
            pairs = {folder: _twin(name, own, others) for folder, name in system.mounts.items()}
            made.append(replace(system, mounts={folder: name for folder, name in pairs.items() if name}))
    return made


def _twin(name: str, own: Mapping[str, FileSystem], others: Mapping[str, FileSystem]) -> str | None:
    """A device of one's own: the one that was named, that with the same UUID, or that of the same number and type."""
    if name in own or name not in others:
        return name if name in own else None
    other = others[name]
    for each in own.values():
        if other.uuid and each.uuid == other.uuid:
            return each.device
    number = re.sub(r"\D", "", name)
    alike = (each for each in own.values() if re.sub(r"\D", "", each.device) == number and each.type == other.type)
    return next((each.device for each in alike), None)


def _trees(handle: Any, own: Sequence[FileSystem], systems: Sequence[System], device: str) -> dict[str, System]:
    """Each system, and each file system that none of them mounts, if it can be."""
    trees = {"" if len(systems) == 1 else f"{place(each.root, device)}:": each for each in systems}
    taken = {name for each in systems for name in mounts(each)}
    for each in own:
        if each.device not in taken and each.type and _can_be_mounted(handle, each.device):
            trees[f"{place(each.device, device)}:"] = System(each.device, "", "", "", "", "", {"/": each.device})
    return trees


def _can_be_mounted(handle: Any, name: str) -> bool:
    try:
        handle.mount_ro(name, "/")
        handle.umount_all()
    except RuntimeError:
        return False
    return True
