"""What the tests of goldsmith.bake share: a small tree with pretended GRUB programs, and a mirror on the loopback."""

from __future__ import annotations

import hashlib
import lzma
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from goldsmith.bake.disk import BaseDisk, complete_tree, compression, make_base
from goldsmith.bake.layout import Layout, make_layout
from goldsmith.bake.tree_changes import listing
from goldsmith.host.files import document_digest
from goldsmith.host.jail import Jail
from goldsmith.recipe.model import Recipe
from goldsmith.recipe.plan import Plan

#: DIB_RELEASE of all tests here
RELEASE = "trixie"
DATE = "Sat, 06 Sep 2025 12:34:56 UTC"
EPOCH = 1757162096

#: The tree's GRUB as far as the bake asks for it.  Each fails, as the real one does, without what it needs.
_PROGRAMS = {
    "usr/bin/grub-editenv": 'test "$2" = create && printf "# GRUB Environment Block\\n" > "$1"',
    "usr/sbin/grub-mkconfig": """\
        test "$1" = -o || exit 2
        uuid=$(grub-probe --target=fs_uuid /)
        test -e "/dev/disk/by-uuid/$uuid" || { echo "no such disk" >&2; exit 1; }
        test -r /proc/self/status || { echo "no /proc" >&2; exit 1; }
        echo ignored > /dev/null || exit 1
        if test -e /etc/broken; then echo "Syntax errors are detected" >&2; exit 1; fi
        echo "linux /vmlinuz root=UUID=$uuid" > "$2"
        """,
    "usr/sbin/grub-probe": 'echo "grub-probe looked at the build host" >&2; exit 1',
    "usr/bin/grub-mkimage": """\
        words=$*
        while test "$1" != --output; do shift; done
        echo "$words" > "$2"
        """,
    # Writes at the start of the disk without truncating it, and keeps what it was told.
    "usr/lib/grub/i386-pc/grub-bios-setup": """\
        read -r line < /proc/self/mountinfo
        for target; do :; done
        test "$line" = "1 0 1:1 / / - ext4 $target rw" || { echo "cannot find a device for $target" >&2; exit 1; }
        test -s /boot/grub/i386-pc/core.img || { echo "no core.img" >&2; exit 1; }
        printf 'GRUB %s' "$1" 1<> "$target"
        """,
}
_FILES = {
    "usr/lib/grub/i386-pc/boot.img": "boot",
    "usr/lib/grub/i386-pc/normal.mod": "module",
    "usr/lib/grub/x86_64-efi/normal.mod": "module",
    "usr/share/grub/unicode.pf2": "font",
    "usr/lib/shim/shimx64.efi.signed": "signed shim",
    "usr/lib/shim/mmx64.efi.signed": "signed mok manager",
    "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed": "signed grub",
    "etc/fstab": "of the build host",
}


def add_program(tree: Path, program: str) -> None:
    """One of the host's programs, with its libraries."""
    found = Path(shutil.which(program, path="/usr/bin:/bin") or "")
    shutil.copy(found, tree / "usr/bin" / program)
    listed = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+) \(0x", listed):
        # ldd may say /usr/lib where the program says /lib: the links of make_tree serve both
        target = tree / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)


def make_tree(tree: Path) -> Path:
    """A root file system with a shell, cp, mkdir, and GRUB programs that pretend."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    for program in ("sh", "cp", "mkdir"):
        add_program(tree, program)
    for name, text in _FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, text in _PROGRAMS.items():
        (tree / name).write_text(f"#!/bin/sh\n{text}\n")
        (tree / name).chmod(0o755)
    (tree / "lost+found").mkdir()
    return tree


def make_base_disk(jail: Jail, tree: Path, folder: Path, layout: Layout) -> BaseDisk:
    """The disk of the tree as it is now; ``folder`` is made."""
    (folder / "work").mkdir(parents=True)
    image, raw = folder / "disk.qcow2", folder / "disk.raw"
    complete_tree(jail, tree)
    begun = replace(make_layout(layout.size, "base"), root=layout.root)
    before = listing(jail, tree, epoch=EPOCH)
    make_base(jail, tree, folder / "work", begun, raw, epoch=EPOCH)
    jail.run(compression(raw, "raw", image, reproducible=True), deadline=60)

    def copy() -> Path:
        return Path(shutil.copy(raw, folder / "copy.raw"))

    return BaseDisk(lambda: image, raw, copy, before)


def make_plan(
    name: str = "test",
    *,
    recipe: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    **inputs: str,
) -> Plan:
    """A plan without elements; ``inputs`` stand for whatever they are named after."""
    made = Recipe.model_validate(
        {"name": name, "base": {"distribution": "debian", "release": RELEASE}, **(recipe or {})}
    )
    everything = {"base": "1", **inputs}
    return Plan(
        recipe=made,
        elements=(),
        dib_elements=("debian-minimal",),
        environment={"DIB_RELEASE": RELEASE, **(environment or {})},
        checks=(),
        properties={"os_distro": "debian"},
        inputs=everything,
        digest=document_digest(everything),
    )


def packages_xz(packages: Mapping[str, str]) -> bytes:
    """An index with these versions."""
    paragraphs = [f"Package: {n}\nArchitecture: amd64\nVersion: {v}\n" for n, v in packages.items()]
    return lzma.compress("\n".join(paragraphs).encode(), preset=0)


def in_release(suite: str, date: str = DATE, serial: int = 1) -> bytes:
    """A Release file as far as it is read; ``serial`` makes another state of the archive."""
    return f"-----BEGIN PGP SIGNED MESSAGE-----\n\nSuite: {suite}\nDate: {date}\nX: {serial}\n".encode()


@dataclass
class Mirror:
    """A mirror on the loopback; ``files`` maps a path below its root to content, or to a status that is answered."""

    root: str
    files: dict[str, bytes | int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.root}/debian"

    @property
    def security_url(self) -> str:
        return f"{self.root}/security"

    def publish(self, suite: str, packages: Mapping[str, str], *, at: str = "debian", date: str = DATE) -> str:
        """Put a suite there, in a new state; returns the URL of its index."""
        place = f"/{at}/dists/{suite}"
        index = packages_xz(packages)
        serial = int(hashlib.sha256(index).hexdigest()[:8], 16)
        self.files[f"{place}/InRelease"] = in_release(suite, date, serial)
        self.files[f"{place}/main/binary-amd64/Packages.xz"] = index
        return f"{self.root}{place}/main/binary-amd64/Packages.xz"
