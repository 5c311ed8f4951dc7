"""GRUB for both firmwares, made from the tree's own GRUB without a device to look at.

GRUB's tools probe the machine they run on.  Here that is the build host, whose disks have nothing to do with the
image, so ``grub-probe`` is shadowed by a script that answers for the disk to be (the same answers that the real one
gives in the guest: the element hybrid-boot checks this by running grub-mkconfig there), and ``grub-bios-setup`` reads
a /proc/self/mountinfo that names the raw file as the device of its folder (the way mkosi found).
"""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator
from pathlib import Path

from goldsmith.bake.layout import Layout
from goldsmith.errors import InputError
from goldsmith.host.jail import Jail

#: what core.img must hold to find and read the root file system by itself
_BIOS_MODULES = ("biosdisk", "part_gpt", "ext2", "search_fs_uuid", "normal", "linux", "gzio")

_SIGNED = {
    "shim": Path("usr/lib/shim/shimx64.efi.signed"),
    "mok-manager": Path("usr/lib/shim/mmx64.efi.signed"),
    "grub": Path("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
}


def require_grub(tree: Path) -> None:
    """Raise InputError if the tree lacks the GRUB parts of either firmware, before any work is done on it."""
    wanted = (
        "usr/sbin/grub-mkconfig",
        "usr/bin/grub-mkimage",
        "usr/sbin/grub-probe",
        "usr/lib/grub/i386-pc/boot.img",
        "usr/lib/grub/x86_64-efi",
        *map(str, _SIGNED.values()),
    )
    missing = [name for name in wanted if not (tree / name).exists()]
    if missing:
        raise InputError(
            f"the tree has no boot loader: /{', /'.join(missing)} missing",
            hint="add the element hybrid-boot to the recipe",
        )


def grub_probe_script(layout: Layout) -> str:
    """The shadow of grub-probe: answers each --target as the real one does on a virtio disk."""
    number = layout.root.number
    return textwrap.dedent(
        f"""\
        #!/bin/sh
        target=fs
        while [ $# -gt 0 ]; do
            case $1 in
                --target=*) target=${{1#*=}} ;;
                -t | --target) target=$2; shift ;;
            esac
            shift
        done
        case $target in
            device) echo /dev/vda{number} ;;
            disk) echo /dev/vda ;;
            fs) echo ext2 ;;
            fs_uuid) echo {layout.root_uuid} ;;
            fs_label) echo root ;;
            partuuid) echo {layout.root.guid.lower()} ;;
            partmap) echo gpt ;;
            drive) echo '(hd0,gpt{number})' ;;
            # Hints: none, as there is no device.map on a virtio disk; GRUB finds the root by its UUID.
        esac
        """
    )


@contextlib.contextmanager
def _chroot_mounts(jail: Jail, tree: Path, scratch: Path, layout: Layout) -> Iterator[None]:
    """/proc, a /dev that knows the root file system's UUID, and the shadow of grub-probe."""
    probe = scratch / "grub-probe"
    probe.write_text(grub_probe_script(layout))
    probe.chmod(0o755)
    dev = scratch / "dev"
    by_uuid = dev / "disk" / "by-uuid"
    by_uuid.mkdir(parents=True, exist_ok=True)
    (by_uuid / layout.root_uuid).touch()
    (dev / "vda1").touch()
    (dev / "null").touch()
    mounts = [
        (Path("/dev/null"), dev / "null"),
        (dev, tree / "dev"),
        (Path("/proc"), tree / "proc"),
        (probe, tree / "usr/sbin/grub-probe"),
    ]
    with contextlib.ExitStack() as stack:
        for source, target in mounts:
            jail.run(["mount", "--rbind", source, target], deadline=10)
            # Lazily: a mount below it may have been propagated, and must not outlive it.
            stack.callback(jail.run, ["umount", "--recursive", "--lazy", target], deadline=10)
        yield


def install_grub(jail: Jail, tree: Path, scratch: Path, layout: Layout) -> None:
    """Put /boot/grub into the tree: modules of both platforms, grub.cfg, BIOS core.img.

    ``tree`` belongs to root; ``scratch`` is an empty folder.  Raises CommandFailedError with GRUB's own words.
    """
    chroot: list[str | Path] = ["chroot", tree]
    for platform in ("i386-pc", "x86_64-efi"):
        folder = tree / "boot/grub" / platform
        jail.run(["mkdir", "-p", folder], deadline=10)
        jail.run(["cp", "-a", f"{tree}/usr/lib/grub/{platform}/.", folder], deadline=60)
    jail.run(
        [*chroot, "sh", "-c", "mkdir -p /boot/grub/fonts && cp /usr/share/grub/unicode.pf2 /boot/grub/fonts/"],
        deadline=10,
    )
    with _chroot_mounts(jail, tree, scratch, layout):
        jail.run([*chroot, "grub-editenv", "/boot/grub/grubenv", "create"], deadline=30)
        jail.run([*chroot, "grub-mkconfig", "-o", "/boot/grub/grub.cfg"], deadline=120)
        early = scratch / "early.cfg"
        early.write_text(
            f"search.fs_uuid {layout.root_uuid} root hd0,gpt{layout.root.number}\nset prefix=($root)/boot/grub\n"
        )
        jail.run(["cp", early, tree / "boot/grub/i386-pc/load.cfg"], deadline=10)
        jail.run(
            [
                *chroot, "grub-mkimage", "--directory", "/usr/lib/grub/i386-pc", "--format", "i386-pc",
                "--prefix", "/boot/grub", "--config", "/boot/grub/i386-pc/load.cfg",
                "--output", "/boot/grub/i386-pc/core.img", *_BIOS_MODULES,
            ],
            deadline=60,
        )  # fmt: skip


def esp_files(tree: Path, layout: Layout) -> dict[str, Path | str]:
    """What lies on the ESP: path there -> file of the tree, or text.

    The removable path is what firmware tries without a boot entry; EFI/debian is where Debian's signed GRUB has its
    prefix, and where upgrades in the guest write.
    """
    config = (
        f"search.fs_uuid {layout.root_uuid} root hd0,gpt{layout.root.number}\n"
        "set prefix=($root)'/boot/grub'\n"
        "configfile $prefix/grub.cfg\n"
    )
    shim, mok, grub = (tree / _SIGNED[part] for part in ("shim", "mok-manager", "grub"))
    return {
        "EFI/BOOT/BOOTX64.EFI": shim,
        "EFI/BOOT/grubx64.efi": grub,
        "EFI/BOOT/mmx64.efi": mok,
        "EFI/debian/shimx64.efi": shim,
        "EFI/debian/grubx64.efi": grub,
        "EFI/debian/mmx64.efi": mok,
        "EFI/debian/grub.cfg": config,
    }


def install_bios_boot_sector(jail: Jail, tree: Path, scratch: Path, disk: Path) -> None:
    """Write GRUB's boot sector and core.img into the raw ``disk`` (its partition table exists already)."""
    target = tree / "disk.raw"
    mountinfo = scratch / "mountinfo"
    mountinfo.write_text("1 0 1:1 / / - ext4 /disk.raw rw\n")
    jail.run(["touch", target], deadline=10)
    # mountinfo belongs to a process: the shell covers its own, and grub-bios-setup takes its place.
    script = (
        'mount --rbind /proc "$1/proc" && mount --bind "$2" "$1/disk.raw" && '
        'mount --bind "$3" "$1/proc/$$/mountinfo" && '
        'exec chroot "$1" "$4" --directory /boot/grub/i386-pc --device-map /dev/null /disk.raw'
    )
    setup = "/usr/lib/grub/i386-pc/grub-bios-setup"
    argv: list[str | Path] = ["unshare", "--mount", "sh", "-c", script, "grub-bios-setup", tree, disk, mountinfo, setup]
    jail.run(argv, deadline=60)
    jail.run(["rm", target], deadline=10)
