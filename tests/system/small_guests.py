"""Real guests that are small: GRUB on the disk's first sectors, the host's kernel, and a root of the host's programs.

All disks are one file with another GRUB script, which decides what goes wrong.  The kernel is the one that setup
installs for libguestfs; the initrds are Debian's own, by mkinitramfs, and one of a shell alone, which boots in seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
SECTOR = 512
GRUB = Path("/usr/lib/grub/i386-pc")
#: what core.img holds; nothing is loaded from the disk but grub.cfg and the kernel
MODULES = (
    "biosdisk",
    "part_msdos",
    "ext2",
    "normal",
    "linux",
    "serial",
    "terminal",
    "echo",
    "reboot",
    "memdisk",
    "tar",
)
#: the disk's partition begins here; what is before is GRUB's
START = MIB
#: what a root has beside its files: 16 MiB are free, so that it is soon full; the journal takes the rest
SPARE = 24 * MIB
ROOT_LABEL = "small"
KERNEL_ARGUMENTS = "console=tty0 console=ttyS0,115200"
SERIAL = "serial --unit=0 --speed=115200\nterminal_input serial\nterminal_output serial\n"


def entry(arguments: str = "", initrd: str | None = "shell.img", *, serial: bool = True) -> str:
    """A GRUB script that boots the kernel without a menu."""
    lines = [SERIAL if serial else "", f"echo 'Loading Linux ...'\nlinux /boot/vmlinuz {KERNEL_ARGUMENTS} {arguments}"]
    return "\n".join([*lines, f"initrd /boot/{initrd}" if initrd else "", "boot\n"])


def menu(*, serial: bool) -> str:
    """A GRUB script with a menu that waits for ever for somebody to choose."""
    return f"{SERIAL if serial else ''}set timeout=-1\nmenuentry 'small' {{\n linux /boot/vmlinuz\n}}\n"


def _kernel() -> tuple[Path, str]:
    """The newest kernel that has its modules, and its version."""
    found = [path for path in Path("/boot").glob("vmlinuz-*") if Path("/lib/modules", path.name[8:]).is_dir()]
    newest = max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)])
    return newest, newest.name[8:]


def _libraries(program: Path) -> set[Path]:
    """What the dynamic linker loads for a program, and the linker itself."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return {Path(path) for path in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", told, re.MULTILINE)}


def install(root: Path, programs: Iterable[str]) -> None:
    """Copy the host's programs into a root, each at its place in /usr, with the libraries that they need."""
    wanted: set[Path] = set()
    for name in programs:
        found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") if "/" not in name else name
        assert found, f"{name} is not on this host"
        wanted |= {Path(found), *_libraries(Path(found))}
    for path in wanted:
        # The root is merged, as the host may be or not.
        target = root / (path.relative_to("/") if path.is_relative_to("/usr") else Path("usr") / path.relative_to("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def skeleton(root: Path) -> None:
    """The folders of a root, its links into /usr, and its name."""
    for name in ("dev", "proc", "sys", "run", "tmp", "etc", "root", "boot", "var", "usr/bin", "usr/sbin", "usr/lib64"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "usr/lib").mkdir(exist_ok=True)
    (root / "etc/os-release").write_text('ID=small\nNAME="small"\nPRETTY_NAME="small guest"\n')


def write(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _archive(root: Path, target: Path) -> None:
    names = b"\0".join(os.fsencode(path.relative_to(root)) for path in sorted(root.rglob("*")))
    argv = ["cpio", "--quiet", "--create", "--format=newc", "--null", "--owner=0:0"]
    with target.open("wb") as stream:
        subprocess.run(argv, input=names, stdout=stream, cwd=root, check=True)


def shell_initrd(root: Path, target: Path, init: str, programs: Sequence[str]) -> None:
    """An initrd with a shell for its /init, and these programs of the host's."""
    skeleton(root)
    install(root, ["dash", "mount", "sleep", *programs])
    (root / "usr/bin/sh").symlink_to("dash")
    write(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    write(root, "etc/hostname", "small\n")
    write(root, "init", init, 0o755)
    _archive(root, target)


#: does what the kernel's argument ``do=`` says
SHELL_INIT = """\
#!/bin/sh
mount -t devtmpfs none /dev
mount -t proc none /proc
read -r line </proc/cmdline
for word in $line; do
    case $word in do=*) what=${word#do=} ;; esac
done
case $what in
    reboot) echo 'going round'; echo b >/proc/sysrq-trigger ;;
    off) echo 'good night'; echo o >/proc/sysrq-trigger ;;
    login) while :; do /sbin/agetty -L 115200 ttyS0 vt220; done ;;
    flood) yes 'the very same line that nobody needs, again and again and again and again, for ever' ;;
esac
while :; do sleep 3600; done
"""


def _debian_initrd(settings: Path, target: Path, version: str) -> None:
    """Debian's own initrd, with the drivers of the lab's machine alone."""
    for name in ("conf.d", "hooks", "scripts"):
        (settings / name).mkdir(parents=True)
    write(settings, "initramfs.conf", "MODULES=list\nBUSYBOX=n\nCOMPRESS=gzip\nRUNSIZE=10%\nFSTYPE=ext4\n")
    write(settings, "modules", "virtio_pci\nvirtio_blk\n")
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    argv = ["mkinitramfs", "-d", settings, "-o", target, version]
    subprocess.run(argv, check=True, capture_output=True, env=environment)


def partitioned(disk: Path, root: Path, size: int, label: str, *options: str) -> None:
    """A raw disk of ``size`` bytes with one partition, whose ext4 holds the files of ``root``."""
    with disk.open("wb") as stream:
        stream.truncate(size)
    table = f"label: dos\nunit: sectors\n1 : start={START // SECTOR}, type=83\n"
    subprocess.run(["sfdisk", "--quiet", "--no-reread", disk], input=table.encode(), check=True)
    extended = ",".join([f"offset={START}", *options])
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-d", root, "-E", extended, disk]
    subprocess.run([*argv, f"{(size - START) // 1024}k"], check=True)


def install_grub(disk: Path, script: str, modules: Sequence[str] = MODULES) -> None:
    """The way of GRUB's floppies: boot.img loads the sector after it, whose list of blocks says that all follow.

    That is what the two images have as they come; nothing of the host's disks is looked at.
    """
    early, core = disk.with_suffix(".cfg"), disk.with_suffix(".core")
    # The script that is part of core.img knows neither menus nor conditions, so it only hands on to one that does.
    early.write_text("set root=(hd0,msdos1)\nset prefix=(memdisk)/\nnormal (memdisk)/grub.cfg\n")
    memory = disk.with_suffix(".memdisk")
    memory.mkdir()
    write(memory, "grub.cfg", "set root=(hd0,msdos1)\n" + script)
    archive = disk.with_suffix(".tar")
    subprocess.run(["tar", "--create", "--file", archive, "--directory", memory, "grub.cfg"], check=True)
    argv = ["grub-mkimage", "--directory", GRUB, "--format", "i386-pc", "--prefix", "(memdisk)/", "--output", core]
    options = ["--config", early, "--memdisk", archive]
    subprocess.run([*argv, *options, *modules], check=True)
    content = core.read_bytes()
    assert len(content) < START - SECTOR
    with disk.open("r+b") as stream:
        table = stream.read(SECTOR)[440:]
        stream.seek(0)
        # The end of the sector is the partition table's.
        stream.write((GRUB / "boot.img").read_bytes()[:440] + table + content)


@dataclass(frozen=True)
class SmallGuests:
    """Makes disks; ``folder`` keeps them."""

    folder: Path

    def prepare(self) -> None:
        """Make what all guests share."""
        kernel, version = _kernel()
        boot = self.folder / "boot"
        boot.mkdir(parents=True)
        shutil.copy(kernel, boot / "vmlinuz")
        shell_initrd(self.folder / "shell", boot / "shell.img", SHELL_INIT, ["yes", "agetty"])
        _debian_initrd(self.folder / "initramfs-tools", boot / "debian.img", version)

    def base(self, name: str, fill: Callable[[Path], None] = skeleton) -> Path:
        """A disk without a bootloader, whose root ``fill`` makes; kernel and initrds are in its /boot."""
        root, base = self.folder / f"root-{name}", self.folder / f"base-{name}.raw"
        fill(root)
        shutil.copytree(self.folder / "boot", root / "boot", dirs_exist_ok=True)
        used = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        size = (START + used + SPARE) // MIB * MIB
        partitioned(base, root, size, ROOT_LABEL, "root_owner=0:0")
        return base

    def disk(self, name: str, base: Path, script: str | None) -> Path:
        """A copy of ``base`` whose GRUB runs ``script``; empty, it has no boot code; None, no sector.

        What has no boot sector is a qcow2: as a raw file it would be no disk to anybody.
        """
        disk = self.folder / f"{name}.img"
        if script is None:
            empty = self.folder / f"{name}.raw"
            with empty.open("wb") as stream:
                stream.truncate(SPARE)
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", empty, disk], check=True)
            return disk
        subprocess.run(["cp", "--sparse=always", base, disk], check=True)
        if script:
            install_grub(disk, script)
        return disk
