"""Debian images that no code of goldsmith makes: mmdebstrap's tree on a partitioned disk, with GRUB's own images."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import small_guests
from small_guests import GRUB, install_grub, partitioned

from goldsmith.boot import guestfs
from goldsmith.boot.accelerator import choose
from goldsmith.host.apt_sources import host_mirrors
from goldsmith.settings import from_environment

RELEASE = "bookworm"
PACKAGES = (
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "zstd",
    "systemd-sysv",
    "dbus",
    "udev",
    "ifupdown",
    "isc-dhcp-client",
    "iproute2",
    "netbase",
)
SIZE = 1536 * 2**20
MODULES = (*small_guests.MODULES, "search", "search_label", "configfile")
#: GRUB's own script: the menu is the image's
HAND_ON = "set prefix=(hd0,msdos1)/boot/grub\nconfigfile /boot/grub/grub.cfg\n"
ROOT_LABEL = "foreign"
#: commands in the new tree, by mmdebstrap's hook: what an administrator would set
SETTINGS = """\
set -eu
echo foreign >"$1/etc/hostname"
echo 'LABEL=foreign / ext4 errors=remount-ro 0 1' >"$1/etc/fstab"
echo 'MODULES=list' >"$1/etc/initramfs-tools/conf.d/modules"
printf 'virtio_pci\\nvirtio_blk\\next4\\n' >>"$1/etc/initramfs-tools/modules"
mkdir -p "$1/boot/grub"
# Of a bare Debian no other locale was generated, and cloud-init's own would be an error.
[ ! -d "$1/etc/cloud" ] || echo 'locale: C.UTF-8' >"$1/etc/cloud/cloud.cfg.d/50-locale.cfg"
chroot "$1" update-initramfs -u
"""
NETWORK = """\
auto lo
iface lo inet loopback
allow-hotplug ens3
iface ens3 inet dhcp
allow-hotplug ens4
iface ens4 inet dhcp
"""
MENU = """\
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=1
menuentry 'Debian' {
    search --no-floppy --label foreign --set root
    linux /vmlinuz root=LABEL=foreign ro console=tty0 console=ttyS0,115200
    initrd /initrd.img
}
"""
#: of a Debian with GRUB's own tools, which make its menu
GRUB_SETTINGS = """\
GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"
GRUB_TERMINAL="serial console"
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
"""


@dataclass(frozen=True)
class ForeignImages:
    """Makes them in ``folder``; as root, because a tree is."""

    folder: Path
    #: of Debian's packages; the host's own where it is not given
    mirror: str | None = None
    release: str = RELEASE
    #: what all of them have
    packages: tuple[str, ...] = PACKAGES

    def make(self, name: str, packages: tuple[str, ...] = ()) -> Path:
        """A qcow2 with the packages of all and these."""
        tree, raw, image = (self.folder / f"{name}{suffix}" for suffix in ("", ".raw", ".qcow2"))
        self._bootstrap(tree, packages)
        (tree / "boot/grub/grub.cfg").write_text(MENU)
        own_menu = "grub2-common" in packages
        if own_menu:
            # The menu that GRUB's own tools make asks for modules, as grub-install would have put them there.
            shutil.copytree(GRUB, tree / "boot/grub/i386-pc")
            (tree / "etc/default/grub").write_text(GRUB_SETTINGS)
        if "ifupdown" in self.packages and "cloud-init" not in packages:
            (tree / "etc/network/interfaces").write_text(NETWORK)
        partitioned(raw, tree, SIZE, ROOT_LABEL)
        install_grub(raw, HAND_ON, MODULES)
        if own_menu:
            self._make_menu(raw)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
        raw.unlink()
        return image

    def _make_menu(self, raw: Path) -> None:
        """By its own grub-mkconfig, which looks for the disk below its root."""
        accelerator = choose(from_environment())
        with guestfs.launched([(raw, "raw")], accelerator, readonly=False) as (handle, (device,)):
            handle.mount(f"{device}1", "/")
            handle.command(["grub-mkconfig", "-o", "/boot/grub/grub.cfg"])
            handle.shutdown()

    def _bootstrap(self, tree: Path, packages: tuple[str, ...]) -> None:
        hook = self.folder / "settings.sh"
        hook.write_text(SETTINGS)
        mirror = self.mirror or host_mirrors("debian").url
        argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join((*self.packages, *packages))}"]
        argv += [f'--customize-hook=sh {hook} "$1"', self.release, str(tree), *([mirror] if mirror else [])]
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        environment = {**os.environ, "PATH": path, "TMPDIR": str(self.folder)}
        subprocess.run(argv, check=True, env=environment, timeout=900)
