"""Disks with a Linux in places that are not plain: LVM, btrfs subvolumes, a /boot of its own, another processor.

libguestfs makes them in one launch, because the host's kernel may know none of this; the Linux is a few files.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldsmith.boot.accelerator import Accelerator

MIB = 2**20
SIZE = 512 * MIB
RELEASE = 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'
MENU = "menuentry 'Debian' {\n linux /vmlinuz root=/dev/x ro console=tty0 console=ttyS0,115200\n}\n"
UNIT = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
MODULES = "/usr/lib/modules/6.12.9-cloud-amd64"
#: what all of them hold; libguestfs asks for /etc/fstab and for the file of a program to tell the architecture
FILES = {
    "/etc/os-release": RELEASE,
    "/etc/debian_version": "13.0\n",
    "/etc/hostname": "odd\n",
    "/etc/cloud/cloud.cfg": "datasource_list: [ OpenStack, None ]\n",
    "/usr/lib/python3/dist-packages/cloudinit/version.py": '__VERSION__ = "25.1.4"\n',
    f"{MODULES}/modules.builtin": "kernel/drivers/block/virtio_blk.ko\nkernel/drivers/net/virtio_net.ko\n",
    "/usr/lib/systemd/system/systemd-networkd.service": UNIT,
}
PROGRAMS = ("/usr/bin/cloud-init", "/usr/bin/systemctl", "/usr/sbin/dhclient", "/usr/sbin/ifup", "/usr/sbin/qemu-ga")


#: of an ELF header: where the machine stands, and a number for it
_MACHINE, _AARCH64 = 18, 183


@dataclass(frozen=True)
class LinuxDisks:
    """Disks in ``folder``: lvm.raw, btrfs.raw, boot.raw, and foreign.raw, whose programs are for aarch64."""

    folder: Path
    accelerator: Accelerator
    #: a tar of a Linux that is more than a few files, for all but the foreign one
    tree: Path | None = None

    def make(self) -> dict[str, Path]:
        # The bindings are the distribution's; see setup/prepare.
        import guestfs

        disks = {name: self.folder / f"{name}.raw" for name in ("lvm", "btrfs", "boot", "foreign")}
        handle = guestfs.GuestFS(python_return_dict=True)
        environment = self.accelerator.libguestfs_environment
        handle.set_backend(environment["LIBGUESTFS_BACKEND"])
        for setting in filter(None, environment.get("LIBGUESTFS_BACKEND_SETTINGS", "").split(":")):
            handle.set_backend_setting(setting.partition("=")[0], setting.partition("=")[2] or "1")
        for disk in disks.values():
            with disk.open("wb") as stream:
                stream.truncate(SIZE)
            handle.add_drive_opts(str(disk), format="raw")
        handle.launch()
        self._lvm(handle, "/dev/sda")
        self._btrfs(handle, "/dev/sdb")
        self._boot(handle, "/dev/sdc")
        self._foreign(handle, "/dev/sdd")
        handle.shutdown()
        handle.close()
        return disks

    def _lvm(self, handle: Any, device: str) -> None:
        """An MBR, /boot on a partition of its own, the root a logical volume."""
        handle.part_init(device, "mbr")
        handle.part_add(device, "p", 2048, 2048 + 128 * 2048 - 1)
        handle.part_add(device, "p", 2048 + 128 * 2048, -2048)
        handle.part_set_mbr_id(device, 2, 0x8E)
        handle.pvcreate(f"{device}2")
        handle.vgcreate("system", [f"{device}2"])
        handle.lvcreate("root", "system", 360)
        handle.mkfs("ext4", f"{device}1", label="boot")
        handle.mkfs("ext4", "/dev/system/root", label="root")
        self._fill(handle, {"/": "/dev/system/root", "/boot": f"{device}1"})

    def _btrfs(self, handle: Any, device: str) -> None:
        """A GPT whose root is a subvolume, as openSUSE's and Ubuntu's are, with another for /home."""
        handle.part_init(device, "gpt")
        handle.part_add(device, "p", 2048, -2048)
        partition = f"{device}1"
        handle.mkfs("btrfs", partition, label="pool")
        handle.mount(partition, "/")
        for name in ("@", "@home"):
            handle.btrfs_subvolume_create(f"/{name}")
        handle.umount_all()
        mounts = {"/": f"btrfsvol:{partition}/@", "/home": f"btrfsvol:{partition}/@home"}
        fstab = {"/": f"{partition} / btrfs subvol=@ 0 0", "/home": f"{partition} /home btrfs subvol=@home 0 0"}
        self._fill(handle, mounts, fstab)

    def _boot(self, handle: Any, device: str) -> None:
        """A GPT with a /boot and a /var of their own."""
        handle.part_init(device, "gpt")
        for first, last in ((2048, 264191), (264192, 526335), (526336, -2048)):
            handle.part_add(device, "p", first, last)
        for number, label in enumerate(("boot", "var", "root"), 1):
            handle.mkfs("ext4", f"{device}{number}", label=label)
        self._fill(handle, {"/": f"{device}3", "/boot": f"{device}1", "/var": f"{device}2"})

    def _foreign(self, handle: Any, device: str) -> None:
        handle.part_disk(device, "mbr")
        handle.mkfs("ext4", f"{device}1")
        handle.mount(f"{device}1", "/")
        for path, content in {**FILES, "/etc/fstab": "/dev/sda1 / ext4 defaults 0 0\n"}.items():
            handle.mkdir_p(path.rpartition("/")[0])
            handle.write(path, content.encode())
        _make_folders(handle, "/bin", "/dev", "/proc")
        program = bytearray(_small_program().read_bytes()[:4096])
        program[_MACHINE : _MACHINE + 2] = _AARCH64.to_bytes(2, "little")
        handle.write("/bin/ls", bytes(program))
        handle.umount_all()

    def _fill(self, handle: Any, mounts: dict[str, str], fstab: dict[str, str] | None = None) -> None:
        for folder in sorted(mounts, key=len):
            if folder != "/":
                handle.mkdir_p(folder)
            handle.mount(mounts[folder], folder)
        if self.tree:
            handle.tar_in(str(self.tree), "/")
        _make_folders(handle, "/bin", "/dev", "/proc", "/etc", "/boot/grub", "/usr/bin", "/usr/sbin")
        lines = fstab or {folder: f"{device} {folder} ext4 defaults 0 0" for folder, device in mounts.items()}
        # The disk will be the only one, whatever it is now.
        text = "".join(f"{line}\n" for line in lines.values())
        for device in ("/dev/sdb", "/dev/sdc"):
            text = text.replace(device, "/dev/sda")
        if self.tree:
            handle.write("/etc/fstab", text.encode())
            handle.umount_all()
            return
        for path, content in {**FILES, "/etc/fstab": text, "/boot/grub/grub.cfg": MENU}.items():
            handle.mkdir_p(path.rpartition("/")[0])
            handle.write(path, content.encode())
        handle.upload(str(_small_program()), "/bin/ls")
        for program in PROGRAMS:
            handle.write(program, b"#!/bin/sh\n")
            handle.chmod(0o755, program)
        handle.umount_all()


def _make_folders(handle: Any, *folders: str) -> None:
    for folder in folders:
        # Of a whole tree /bin is a link, which mkdir_p takes for a file.
        if not handle.exists(folder):
            handle.mkdir_p(folder)


def _small_program() -> Path:
    """A program of this host, by which the architecture is told; any will do."""
    found = subprocess.run(["which", "true"], capture_output=True, text=True, check=True).stdout.strip()
    return Path(found)
