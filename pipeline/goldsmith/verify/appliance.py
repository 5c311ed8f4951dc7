"""Disks through libguestfs, never the host's kernel: one launch of its appliance reads all, overlays can be written."""

from __future__ import annotations

import contextlib
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from goldsmith.boot import guestfs, hotplug, systems
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import GuestFile
from goldsmith.boot.hotplug import HotPlug
from goldsmith.boot.systems import System
from goldsmith.errors import HarnessError
from goldsmith.verify.tree import READ_LIMIT, Entry, Hive, Tree

#: MiB that the appliance takes at most: libguestfs's own choice and what QEMU takes beside it
MEMORY = 1280 + 256
#: seconds on the reference host for all that is read from one disk
DISK_SECONDS = 600.0
_ROOT_TYPES = ("ext2", "ext3", "ext4", "xfs", "btrfs")
#: what shows that a file system is the root; that of Windows is found in any case of its letters
_SIGN = "/etc/os-release"
_WINDOWS_SIGN = "/Windows/System32/config/SYSTEM"


class GuestfsTree(Tree):
    """The root file system that is mounted in the appliance."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        # Nothing in a read-only file system changes, and resolving a path asks for the same folders again and again.
        self._entries: dict[str, Entry | None] = {}

    def _lstat(self, path: str) -> Entry | None:
        if path not in self._entries:
            self._entries[path] = self._ask_lstat(path)
        return self._entries[path]

    def _ask_lstat(self, path: str) -> Entry | None:
        # The binding does not tell ENOENT from other errors; a list of one does, by the inode -1.
        folder, _, name = path.rpartition("/")
        found = guestfs.call(lambda: self._handle.lstatnslist(folder or "/", [name or "."]), path)[0]
        return _entry(found)

    def _readlink(self, path: str) -> str:
        return guestfs.call(lambda: str(self._handle.readlink(path)), path)

    def _read(self, path: str) -> bytes:
        return guestfs.call(lambda: bytes(self._handle.read_file(path)), path)

    def _head(self, path: str, size: int) -> bytes:
        return guestfs.call(lambda: bytes(self._handle.pread(path, size, 0)), path)

    def _list(self, path: str) -> list[str]:
        return guestfs.call(lambda: list(self._handle.ls(path)), path)

    def _find(self, path: str) -> list[str]:
        # Whether each begins with a slash depends on whether the folder ends with one.
        return [name.lstrip("/") for name in guestfs.call(partial(self._handle.find, path), path)]

    def _foresee(self, folder: str, names: Sequence[str]) -> None:
        unknown = [name for name in names if f"{folder.rstrip('/')}/{name}" not in self._entries]
        if unknown:
            found = guestfs.call(lambda: self._handle.lstatnslist(folder, unknown), folder)
            for name, each in zip(unknown, found, strict=True):
                self._entries[f"{folder.rstrip('/')}/{name}"] = _entry(each)

    @contextlib.contextmanager
    def hive(self, path: str) -> Iterator[Hive]:
        resolved = self.resolve(path)
        if resolved is None:
            raise HarnessError("no such hive", where=path)
        # The appliance holds one at a time.
        guestfs.call(lambda: self._handle.hivex_open(resolved), path)
        try:
            yield _OpenHive(self._handle, path)
        finally:
            with contextlib.suppress(RuntimeError):
                self._handle.hivex_close()

    def _contents(self, path: str) -> Iterator[tuple[str, bytes]]:
        # One transfer: asking for each file would cost a round trip each.
        with tempfile.NamedTemporaryFile(prefix="goldsmith-", suffix=".tar") as archive:
            guestfs.call(lambda: self._handle.tar_out(path, archive.name), path)
            with tarfile.open(archive.name) as members:
                for member in members:
                    # A hard link's bytes came with the file's first name.
                    file = members.extractfile(member) if member.isreg() or member.islnk() else None
                    if file is None:
                        continue
                    if member.size > READ_LIMIT:
                        raise HarnessError(f"is larger than {READ_LIMIT // 2**20} MiB", where=member.name)
                    yield member.name.removeprefix("./"), file.read()


class _OpenHive:
    """The hive that is open in the appliance; hivex says 0 for what is not there."""

    def __init__(self, handle: Any, path: str) -> None:
        self._handle = handle
        self._path = path

    def key(self, path: Sequence[str]) -> int | None:
        node = int(guestfs.call(self._handle.hivex_root, self._path))
        for name in path:
            node = int(guestfs.call(partial(self._handle.hivex_node_get_child, node, name), self._path))
            if not node:
                return None
        return node

    def value(self, key: int, name: str) -> tuple[int, bytes] | None:
        found = int(guestfs.call(partial(self._handle.hivex_node_get_value, key, name), self._path))
        if not found:
            return None
        kind = int(guestfs.call(partial(self._handle.hivex_value_type, found), self._path))
        return kind, bytes(guestfs.call(partial(self._handle.hivex_value_value, found), self._path))

    def names(self, key: int) -> Iterator[str]:
        for node in guestfs.call(partial(self._handle.hivex_node_children, key), self._path):
            yield str(guestfs.call(partial(self._handle.hivex_node_name, node["hivex_node_h"]), self._path))


def _entry(found: Mapping[str, int]) -> Entry | None:
    if found["st_ino"] == -1:
        return None
    return Entry(found["st_mode"], found["st_uid"], found["st_gid"], found["st_size"])


@contextlib.contextmanager
def handle_of(image: Path, image_format: str, accelerator: Accelerator) -> Iterator[Any]:
    """A ``guestfs.GuestFS`` with the image's root file system mounted, all of it read-only, for whoever knows the API.

    Raises HostError without libguestfs, HarnessError where the appliance does not start or finds no such file system.
    """
    with guestfs.launched([(image, image_format)], accelerator, readonly=True) as (handle, (device,)):
        with guestfs.watchdog(DISK_SECONDS * accelerator.scale):
            _mount_root(handle, device, str(image))
        yield handle


class Appliance:
    """A running appliance; ``tree`` and ``system`` mount one root file system at a time."""

    def __init__(self, handle: Any, devices: Mapping[str, str], plug: HotPlug | None, scale: float) -> None:
        self._handle = handle
        self._devices = dict(devices)
        self._plug = plug
        self._scale = scale

    def add(self, name: str, disk: Path, disk_format: str) -> None:
        """Take in another disk while the appliance runs; it is not written to.  Raises HarnessError."""
        if self._plug is None:
            raise HarnessError("was not launched to take in other disks", where="libguestfs")
        with guestfs.watchdog(DISK_SECONDS * self._scale):
            self._devices[name] = self._plug.add(disk, disk_format)

    @contextlib.contextmanager
    def tree(self, name: str) -> Iterator[Tree]:
        """The root file system of a disk: the partition that holds /etc/os-release or Windows.

        Raises HarnessError where there is none or it cannot be read.
        """
        with guestfs.watchdog(DISK_SECONDS * self._scale):
            _mount_root(self._handle, self._devices[name], name, windows=True)
            try:
                yield GuestfsTree(self._handle)
            finally:
                with contextlib.suppress(RuntimeError):
                    self._handle.umount_all()

    def systems(self) -> list[System]:
        """The operating systems on all disks.  Raises HarnessError where the disks cannot be read."""
        with guestfs.watchdog(DISK_SECONDS * self._scale):
            return systems.systems(self._handle)

    @contextlib.contextmanager
    def system(self, system: System, seconds: float = DISK_SECONDS) -> Iterator[tuple[Tree, list[str]]]:
        """All file systems of an operating system, read-only, and the folders that could not be mounted.

        ``seconds``, before scaling, are for all that is done with them.  Raises HarnessError where its root file system
        cannot be read.
        """
        failed = []
        with guestfs.watchdog(seconds * self._scale):
            for folder in system.folders:
                try:
                    self._handle.mount_ro(system.mounts[folder], folder)
                except RuntimeError as error:
                    if folder == "/":
                        raise HarnessError(str(error), where=system.root) from error
                    failed.append(folder)
            try:
                yield GuestfsTree(self._handle), failed
            finally:
                with contextlib.suppress(RuntimeError):
                    self._handle.umount_all()

    @contextlib.contextmanager
    def disk(self, name: str, seconds: float = DISK_SECONDS) -> Iterator[tuple[Any, str]]:
        """The ``guestfs.GuestFS`` and a disk's device in it, for what has no method; within ``seconds``, scaled."""
        with guestfs.watchdog(seconds * self._scale):
            yield self._handle, self._devices[name]

    def answers(self) -> bool:
        """Whether the appliance still runs: if so, what failed lies in the disk and not in the harness."""
        try:
            self._handle.ping_daemon()
        except RuntimeError:
            return False
        return True


def _mount_root(handle: Any, device: str, name: str, *, windows: bool = False) -> str:
    """Mount, read-only, the file system of a disk that holds /etc/os-release, or Windows; its device."""
    partition = re.compile(re.escape(device) + r"p?\d+")
    # Not list_filesystems, which scans every disk for LVM and takes seconds.
    partitions = [found for found in guestfs.call(handle.list_partitions, name) if partition.fullmatch(found)]
    candidates = {place: guestfs.call(partial(handle.vfs_type, place), name) for place in partitions or [device]}
    refused = []
    for file_system, kind in candidates.items():
        if kind not in _ROOT_TYPES and not (windows and kind == "ntfs"):
            continue
        try:
            handle.mount_ro(file_system, "/")
            if _is_root(handle, kind):
                return str(file_system)
            handle.umount_all()
        except RuntimeError as error:
            refused.append(str(error))
    shown = ", ".join(f"{fs} ({kind or 'unknown'})" for fs, kind in candidates.items()) or "none"
    raise HarnessError(
        f"no file system of it holds /etc/os-release; found: {shown}{''.join(f'; {r}' for r in refused)}",
        where=name,
    )


def _is_root(handle: Any, kind: str) -> bool:
    if kind != "ntfs":
        return bool(handle.exists(_SIGN))
    try:
        return bool(handle.exists(handle.case_sensitive_path(_WINDOWS_SIGN)))
    except RuntimeError:
        # What it does not find is an error.
        return False


@contextlib.contextmanager
def launched(disks: Mapping[str, tuple[Path, str]], accelerator: Accelerator) -> Iterator[Appliance]:
    """Launch one appliance for ``disks``: name to file and format ("qcow2" or "raw"; it is never guessed).

    The files are not written: libguestfs puts its own overlay over each.  Raises HostError without libguestfs and
    HarnessError where the appliance does not start.
    """
    with hotplug.launched(list(disks.values()), accelerator) as (handle, devices, plug):
        yield Appliance(handle, dict(zip(disks, devices, strict=True)), plug, accelerator.scale)


def write_files(overlay: Path, guest_files: Iterable[GuestFile], accelerator: Accelerator) -> None:
    """Write files into the root file system of a qcow2 that is thrown away later; folders are made as needed.

    Raises HostError without libguestfs, HarnessError where the disk cannot be written or has no root file system.
    """
    with (
        guestfs.launched([(overlay, "qcow2")], accelerator, readonly=False) as (handle, (device,)),
        guestfs.watchdog(DISK_SECONDS * accelerator.scale),
    ):
        root = _mount_root(handle, device, str(overlay))
        guestfs.call(handle.umount_all, str(overlay))
        guestfs.call(partial(handle.mount, root, "/"), str(overlay))
        for file in guest_files:
            guestfs.call(partial(handle.mkdir_p, str(PurePosixPath(file.path).parent)), file.path)
            guestfs.call(partial(handle.write, file.path, file.content), file.path)
            guestfs.call(partial(handle.chmod, file.mode, file.path), file.path)
        # What is written late shows its errors here.
        guestfs.call(handle.umount_all, str(overlay))
        guestfs.call(handle.shutdown, str(overlay))
