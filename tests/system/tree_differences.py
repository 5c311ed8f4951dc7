"""Which files of two images differ, and why: by the package they belong to, or by what made them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from goldsmith.inspection.comparison.files import checksums
from goldsmith.inspection.comparison.packages import owner, packages
from goldsmith.verify.appliance import Appliance

#: a file's path -> why it differs between two Debians of one release; the first that matches
REASONS = (
    (r"/boot/(vmlinuz|initrd|config|System.map)|/usr/lib/modules/|/initrd.img|/vmlinuz", "the kernel and its modules"),
    (r"/boot/", "boot loader and menu are of each image's disk"),
    (r"/etc/(fstab|hostname|hosts|initramfs-tools/.*|resolv\.conf)", "the base's own settings"),
    (r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?", "accounts, in the order of the packages"),
    (r"/var/lib/(dpkg|apt|pam|ucf|systemd|initramfs-tools|emacsen-common|shells.state)(/|$)", "databases of packages"),
    (r"/etc/(ld\.so\.cache|shells|pam\.d/common-.*|machine-id|\.pwd\.lock|environment)", "made by packages' scripts"),
    (r"/(usr/share|var/cache|usr/lib/locale|etc/ssl|etc/alternatives|usr/lib/udev/hwdb)", "made by packages' scripts"),
    (r".*/__pycache__/|.*\.pyc", "compiled by packages' scripts"),
    (r"/etc/cloud/cloud\.cfg\.d/50-locale\.cfg", "the base's own settings"),
    (r"/etc/cloud/cloud\.cfg(\.d/9[13]-dib-.*)?$", "of diskimage-builder's elements for cloud-init"),
    (r"/etc/locale\.(conf|gen)$", "of diskimage-builder's element for Debian"),
    (r"/etc/grub\.d/enable_cloud$", "of hybrid-boot"),
    (r"/etc/nsswitch\.conf$", "made by packages' scripts"),
    (r"/run/", "a guest has a file system of its own there"),
    (r"/var/log/", "logs of packages, emptied"),
    (r"/etc/apt/", "where each of them got its packages"),
    (r"/etc/(dib-manifests|machine-info|dpkg)|/usr/(local/)?lib/dib|/etc/repart\.d/|.*hybrid-boot.*", "of hybrid-boot"),
    (r"/etc/(default|kernel)/", "settings of the boot loader"),
)


@dataclass(frozen=True)
class Difference:
    """A file that is in one only, or not the same in both; ``why`` is empty where nobody knows."""

    path: str
    where: str
    why: str


@dataclass(frozen=True)
class Differences:
    files: tuple[Difference, ...]
    #: files of elements that are in both
    compared: int

    @property
    def unexplained(self) -> list[str]:
        return [f"{each.path}: {each.where}" for each in self.files if not each.why]


def differences(running: Appliance, one: str, other: str, elements: Path) -> Differences:
    """Between the plain files of two disks; what the elements lay down is the same or unexplained."""
    sums, installed = {}, {}
    for name in (one, other):
        with running.tree(name) as tree, running.disk(name) as (handle, _):
            sums[name], installed[name] = checksums(handle), packages(tree)
    own = {f"/{path.relative_to(static)}" for static in elements.glob("*/static") for path in static.rglob("*")}
    found = []
    for path in sorted(sums[one].keys() | sums[other].keys()):
        if sums[one].get(path) == sums[other].get(path):
            continue
        only = "" if path in sums[one] and path in sums[other] else one if path in sums[one] else other
        where = f"in {only} only" if only else "differs"
        package = owner(installed[one], path) or owner(installed[other], path)
        why = ""
        if path not in own:
            had = [installed[name].versions.get(package, "not there") for name in (one, other)]
            why = next((reason for pattern, reason in REASONS if re.match(pattern, path)), "")
            if package and had[0] != had[1]:
                why = f"{package} is {had[0]} in {one}, {had[1]} in {other}"
        found.append(Difference(path, where, why))
    both = own & sums[one].keys() & sums[other].keys()
    return Differences(tuple(found), len(both))
