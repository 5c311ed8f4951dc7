"""What lies on a disk below its operating systems: partitions, file systems, LVM, btrfs, the EFI system partition."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from goldsmith.errors import HarnessError
from goldsmith.inspection.boot import Loaders, loaders
from goldsmith.inspection.disk import PartitionTable, Reader, partition_table
from goldsmith.inspection.facts import Unknown, found, known, shown
from goldsmith.inspection.ntfs import NtfsState, ntfs_state
from goldsmith.verify.appliance import GuestfsTree

T = TypeVar("T")

_MOST_FILE_SYSTEMS = 64
_BTRFS_VOLUME = re.compile(r"btrfsvol:([^/]*/[^/]+/[^/]+)/(.*)", re.DOTALL)


@dataclass(frozen=True)
class FileSystem:
    device: str
    #: as blkid names it: "ext4", "xfs", "vfat", "swap", "crypto_LUKS", "unknown"
    type: str
    label: str
    uuid: str


@dataclass(frozen=True)
class Partitions:
    """What a firmware finds on a disk: ``device`` is its name in the appliance."""

    device: str
    table: PartitionTable | Unknown
    #: device of the EFI system partition, and what lies on it
    esp: str | None
    loaders: Loaders | Unknown | None


@dataclass(frozen=True)
class Storage(Partitions):
    """A disk of an image, as the appliance sees it."""

    #: bytes
    size: int | Unknown
    file_systems: tuple[FileSystem, ...] | Unknown
    #: logical volumes, as "/dev/vg/root"
    logical_volumes: tuple[str, ...] | Unknown
    #: device and path of each btrfs subvolume, as "/dev/sda2:@home"
    subvolumes: tuple[str, ...] | Unknown
    #: of each NTFS volume
    ntfs: Mapping[str, NtfsState | Unknown]


def partitions(handle: Any, device: str) -> Partitions:
    """Look at a disk in the appliance; ``handle`` is its guestfs.GuestFS, with nothing mounted, before and after."""
    table = found(lambda: partition_table(reader_of(handle, device)))
    listed = () if isinstance(table, Unknown) else table.partitions
    esp = next((f"{device}{each.number}" for each in listed if each.is_esp), None)
    return Partitions(device, table, esp, None if esp is None else found(lambda: _loaders(handle, esp)))


def storage(handle: Any, device: str) -> Storage:
    """As ``partitions``, and all file systems, which takes seconds to find."""
    parts = partitions(handle, device)
    listed = found(lambda: dict(_ask(handle.list_filesystems, device)))
    kinds = known(listed) or {}
    real = {name: kind for name, kind in kinds.items() if not name.startswith("btrfsvol:")}
    names = [f"{match[1]}:{match[2]}" for name in sorted(kinds) if (match := _BTRFS_VOLUME.fullmatch(name))]
    return Storage(
        device=device,
        table=parts.table,
        esp=parts.esp,
        loaders=parts.loaders,
        size=found(lambda: int(_ask(partial(handle.blockdev_getsize64, device), device))),
        file_systems=listed if isinstance(listed, Unknown) else tuple(file_systems(handle, real)),
        logical_volumes=found(lambda: tuple(shown(name) for name in _ask(handle.lvs, device))),
        subvolumes=listed if isinstance(listed, Unknown) else tuple(map(shown, names)),
        ntfs=ntfs_states(handle, [name for name, kind in sorted(real.items()) if kind == "ntfs"]),
    )


def _ask(call: Callable[[], T], where: str) -> T:
    """libguestfs raises RuntimeError, and UnicodeError for names that are no UTF-8."""
    try:
        return call()
    except (RuntimeError, UnicodeError) as error:
        raise HarnessError(str(error), where=where) from error


def reader_of(handle: Any, device: str) -> Reader:
    """The bytes of a device in the appliance."""
    return lambda offset, size: bytes(_ask(partial(handle.pread_device, device, size, offset), device))


def ntfs_states(handle: Any, devices: Iterable[str]) -> dict[str, NtfsState | Unknown]:
    """The state of each of these NTFS volumes."""
    return {name: found(partial(ntfs_state, reader_of(handle, name))) for name in devices}


def file_systems(handle: Any, kinds: Mapping[str, str]) -> Iterator[FileSystem]:
    """Those on these devices, each given with its type."""
    for device, kind in sorted(kinds.items())[:_MOST_FILE_SYSTEMS]:
        words = (
            known(found(partial(_ask, partial(ask, device), device))) for ask in (handle.vfs_label, handle.vfs_uuid)
        )
        label, uuid = (shown(word or "") for word in words)
        yield FileSystem(shown(device), shown(kind), label, uuid)


def _loaders(handle: Any, esp: str) -> Loaders:
    _ask(partial(handle.mount_ro, esp, "/"), esp)
    try:
        return loaders(GuestfsTree(handle))
    finally:
        _ask(handle.umount_all, esp)
