"""The operating systems on the disks of an appliance, as libguestfs's inspection describes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from goldsmith.boot import guestfs
from goldsmith.host.files import write_json

#: a device that is there as soon as the appliance runs; volumes of LVM are first looked for
_PLAIN = re.compile(r"/dev/sd[a-z]+[0-9]*")


@dataclass(frozen=True)
class System:
    """An operating system on the disks."""

    #: the device of its root file system
    root: str
    #: "linux", "windows", "freebsd", ...
    type: str
    #: "debian", "rocky", "windows", ...
    distribution: str
    #: such as "Debian GNU/Linux 13 (trixie)"
    name: str
    #: major and minor, such as "13.0"
    version: str
    #: "x86_64", "i386", "aarch64", ...
    architecture: str
    #: folder to device
    mounts: Mapping[str, str]
    #: of Windows: its folder, as "/Windows"
    systemroot: str = ""

    @property
    def folders(self) -> list[str]:
        """Where its file systems are mounted, each after the one that it lies in."""
        return sorted(self.mounts, key=len)


def systems(handle: Any) -> list[System]:
    """All of them, by their roots; LVM and btrfs are seen through.

    ``handle`` is a ``guestfs.GuestFS``.  Takes seconds.  Raises HarnessError where the disks cannot be read.
    """
    roots = sorted(guestfs.call(lambda: list(handle.inspect_os()), "libguestfs"))
    return [guestfs.call(partial(_system, handle, root), root) for root in roots]


def _system(handle: Any, root: str) -> System:
    kind = handle.inspect_get_type(root)
    return System(
        root=root,
        type=kind,
        distribution=handle.inspect_get_distro(root),
        name=handle.inspect_get_product_name(root),
        version=f"{handle.inspect_get_major_version(root)}.{handle.inspect_get_minor_version(root)}",
        architecture=handle.inspect_get_arch(root),
        mounts=dict(handle.inspect_get_mountpoints(root)) or {"/": root},
        systemroot=handle.inspect_get_windows_systemroot(root) if kind == "windows" else "",
    )


def known_systems(handle: Any, record: Path) -> list[System]:
    """As ``systems``, from ``record`` where that was written: the caller names it by the digest of the one disk.

    What lies on LVM or is no plain partition is looked for each time: looking is what makes its devices.
    """
    try:
        return [System(**each) for each in json.loads(record.read_bytes())]
    except (OSError, ValueError, TypeError):
        found = systems(handle)
    if all(_PLAIN.fullmatch(device) for each in found for device in (each.root, *each.mounts.values())):
        write_json(record, [asdict(each) for each in found])
    return found
