"""How distributions name and place their GRUB: a table, and finding a tree's row by what lies in the tree.

Sources: the file lists of Debian's and Ubuntu's grub-*, shim-signed and shim-helpers-amd64-signed; Red Hat's grub2.spec
and shim.spec; diskimage-builder's element bootloader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake.layout import Layout


@dataclass(frozen=True)
class GrubFamily:
    """Paths are relative to the tree; each part of ``signed`` lies at the first of its places that is there."""

    #: what the tools' names begin with, and the folder below /boot: "grub" or "grub2"
    prefix: str
    #: the folder below EFI on the ESP where the signed GRUB looks for grub.cfg, and which upgrades in the guest write
    vendor: str
    #: "shim", "mok-manager" and "grub"
    signed: dict[str, tuple[str, ...]]
    #: grub-bios-setup
    bios_setup: str
    #: platforms whose modules go to /boot; signed GRUBs of the Red Hat family have theirs built in
    platforms: tuple[str, ...]
    #: where else than in ``vendor`` the signed GRUB looks for grub.cfg
    config_beside: bool = False
    #: boot entries are files in /boot/loader/entries
    entries: bool = False

    @property
    def boot(self) -> str:
        """GRUB's folder, as the guest sees it."""
        return f"/boot/{self.prefix}"

    def tool(self, name: str) -> str:
        """The program's name: mkconfig -> grub-mkconfig."""
        return f"{self.prefix}-{name}"

    def wanted(self) -> tuple[tuple[str, ...], ...]:
        """What the bake needs of the tree: of each group one is enough."""
        return (
            (f"usr/sbin/{self.tool('mkconfig')}",),
            (f"usr/bin/{self.tool('mkimage')}",),
            (f"usr/sbin/{self.tool('probe')}", f"usr/bin/{self.tool('probe')}"),
            ("usr/lib/grub/i386-pc/boot.img",),
            *((f"usr/lib/grub/{platform}",) for platform in self.platforms if platform != "i386-pc"),
            *self.signed.values(),
        )

    def esp_config(self, layout: Layout) -> str:
        """The grub.cfg on the ESP: it finds the root and goes on there."""
        if self.entries:
            return (
                f"search --no-floppy --fs-uuid --set=dev {layout.root_uuid}\n"
                f"set prefix=($dev){self.boot}\n"
                "export prefix\n"
                "configfile $prefix/grub.cfg\n"
            )
        return (
            f"search.fs_uuid {layout.root_uuid} root hd0,gpt{layout.root.number}\n"
            f"set prefix=($root)'{self.boot}'\n"
            "configfile $prefix/grub.cfg\n"
        )


_DEBIAN = GrubFamily(
    prefix="grub",
    vendor="debian",
    signed={
        "shim": ("usr/lib/shim/shimx64.efi.signed",),
        "mok-manager": ("usr/lib/shim/mmx64.efi.signed",),
        "grub": ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",),
    },
    bios_setup="/usr/lib/grub/i386-pc/grub-bios-setup",
    platforms=("i386-pc", "x86_64-efi"),
)

_UBUNTU = GrubFamily(
    prefix="grub",
    vendor="ubuntu",
    # Since 22.04 the first name is a link of update-alternatives, and the mok manager carries no suffix.
    signed={
        "shim": ("usr/lib/shim/shimx64.efi.signed", "usr/lib/shim/shimx64.efi.signed.latest"),
        "mok-manager": ("usr/lib/shim/mmx64.efi.signed", "usr/lib/shim/mmx64.efi"),
        "grub": ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",),
    },
    bios_setup="/usr/lib/grub/i386-pc/grub-bios-setup",
    platforms=("i386-pc", "x86_64-efi"),
)


def _red_hat(vendor: str) -> GrubFamily:
    folder = f"boot/efi/EFI/{vendor}"
    return GrubFamily(
        prefix="grub2",
        vendor=vendor,
        signed={
            "shim": (f"{folder}/shimx64.efi",),
            "mok-manager": (f"{folder}/mmx64.efi",),
            "grub": (f"{folder}/grubx64.efi",),
        },
        bios_setup="/usr/sbin/grub2-bios-setup",
        platforms=("i386-pc",),
        config_beside=True,
        entries=True,
    )


def _identity(tree: Path) -> str:
    """ID of the tree's os-release(5); empty where it has none."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        path = inside(tree, name)
        if path and (found := re.search(r'^ID="?([a-z0-9._-]+)"?$', path.read_text(errors="replace"), re.MULTILINE)):
            return found[1]
    return ""


def find_family(tree: Path) -> GrubFamily:
    """The row for ``tree``.  A tree without any GRUB gets Debian's, whose parts are then missing."""
    if inside(tree, "usr/sbin/grub2-mkconfig"):
        folders = sorted(path.parent.name for path in (tree / "boot/efi/EFI").glob("*/shimx64.efi"))
        vendors = [name for name in folders if name != "BOOT"]
        return _red_hat(vendors[0] if vendors else _identity(tree) or "redhat")
    return _UBUNTU if _identity(tree) == "ubuntu" else _DEBIAN


def inside(tree: Path, name: str) -> Path | None:
    """The file ``name`` of the tree, links followed as the guest will follow them; None where there is none.

    An absolute link, as update-alternatives makes them, would lead to the build host's file otherwise.
    """
    path = tree / name
    for _ in range(8):
        if not path.is_symlink():
            return path if path.exists() else None
        target = path.readlink()
        path = tree / target.relative_to("/") if target.is_absolute() else path.parent / target
    return None


def part(tree: Path, places: tuple[str, ...]) -> Path | None:
    """The first of ``places`` that is in the tree."""
    return next((found for name in places if (found := inside(tree, name))), None)
