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

from goldsmith.bake.grub_family import GrubFamily, find_family, inside, part
from goldsmith.bake.layout import Layout
from goldsmith.errors import InputError
from goldsmith.host.jail import Jail

#: what core.img must hold to find and read the root file system by itself
_BIOS_MODULES = ("biosdisk", "part_gpt", "ext2", "search_fs_uuid", "normal", "linux", "gzio")

#: In the tree, after grub2-mkconfig: the kernels' paths as they are without a /boot of its own (kernel-install asked
#: the build host's mounts for them), and the command line of kernels to come, which would be the build host's.
_COMPLETE_ENTRIES = """\
for entry in /boot/loader/entries/*.conf; do
    [ -f "$entry" ] || exit 0
    sed -i -E 's,^(linux|initrd)([[:space:]]+)/(vmlinuz|initramfs),\\1\\2/boot/\\3,' "$entry"
    options=$(sed -n 's/^options[[:space:]]*//p' "$entry")
done
case $options in
    *'$kernelopts'*) ;;
    *) mkdir -p /etc/kernel && echo "$options" > /etc/kernel/cmdline ;;
esac
"""


def require_grub(tree: Path) -> None:
    """Raise InputError if the tree lacks the GRUB parts of either firmware, before any work is done on it."""
    missing = [places[0] for places in find_family(tree).wanted() if part(tree, places) is None]
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
def _chroot_mounts(jail: Jail, tree: Path, scratch: Path, layout: Layout, family: GrubFamily) -> Iterator[None]:
    """/proc, a /dev that knows the root file system's UUID, and the shadow of grub-probe."""
    real = family.tool("probe")
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
        *((probe, shadowed) for name in ("sbin", "bin") if (shadowed := inside(tree, f"usr/{name}/{real}"))),
    ]
    with contextlib.ExitStack() as stack:
        for source, target in mounts:
            jail.run(["mount", "--rbind", source, target], deadline=10)
            # Lazily: a mount below it may have been propagated, and must not outlive it.
            stack.callback(jail.run, ["umount", "--recursive", "--lazy", target], deadline=10)
        yield


def install_grub(jail: Jail, tree: Path, scratch: Path, layout: Layout) -> None:
    """Put GRUB's folder below /boot into the tree: modules, grub.cfg, BIOS core.img.

    ``tree`` belongs to root; ``scratch`` is an empty folder.  Raises CommandFailedError with GRUB's own words.
    """
    family = find_family(tree)
    chroot: list[str | Path] = ["chroot", tree]
    boot = family.boot
    for platform in family.platforms:
        folder = f"{tree}{boot}/{platform}"
        jail.run(["mkdir", "-p", folder], deadline=10)
        jail.run(["cp", "-a", f"{tree}/usr/lib/grub/{platform}/.", folder], deadline=60)
    if not family.entries or inside(tree, "usr/share/grub/unicode.pf2"):
        jail.run(
            [*chroot, "sh", "-c", f"mkdir -p {boot}/fonts && cp /usr/share/grub/unicode.pf2 {boot}/fonts/"],
            deadline=10,
        )
    with _chroot_mounts(jail, tree, scratch, layout, family):
        if family.entries:
            # EL8 ships a link to the ESP, which is not there.
            jail.run(["rm", "-f", f"{tree}{boot}/grubenv"], deadline=10)
        jail.run([*chroot, family.tool("editenv"), f"{boot}/grubenv", "create"], deadline=30)
        mkconfig: list[str | Path] = [*chroot, family.tool("mkconfig")]
        if family.entries and "--update-bls-cmdline" in jail.run([*mkconfig, "--help"], deadline=30).stdout:
            mkconfig.append("--update-bls-cmdline")
        jail.run([*mkconfig, "-o", f"{boot}/grub.cfg"], deadline=120)
        if family.entries:
            jail.run([*chroot, "sh", "-c", _COMPLETE_ENTRIES], deadline=10)
        early = scratch / "early.cfg"
        early.write_text(
            f"search.fs_uuid {layout.root_uuid} root hd0,gpt{layout.root.number}\nset prefix=($root){boot}\n"
        )
        jail.run(["install", "-m", "0644", early, f"{tree}{boot}/i386-pc/load.cfg"], deadline=10)
        jail.run(
            [
                *chroot, family.tool("mkimage"), "--directory", "/usr/lib/grub/i386-pc", "--format", "i386-pc",
                "--prefix", boot, "--config", f"{boot}/i386-pc/load.cfg",
                "--output", f"{boot}/i386-pc/core.img", *_BIOS_MODULES,
            ],
            deadline=60,
        )  # fmt: skip


def esp_files(tree: Path, layout: Layout) -> dict[str, Path | str]:
    """What lies on the ESP: path there -> file of the tree, or text.

    The removable path is what firmware tries without a boot entry; the vendor's folder is where the signed GRUB has its
    prefix, and where upgrades in the guest write.
    """
    family = find_family(tree)
    config = family.esp_config(layout)
    names = {"shim": "shimx64.efi", "grub": "grubx64.efi", "mok-manager": "mmx64.efi"}
    found = {name: part(tree, family.signed[name]) or tree / family.signed[name][0] for name in names}
    files: dict[str, Path | str] = {
        "EFI/BOOT/BOOTX64.EFI": found["shim"],
        "EFI/BOOT/grubx64.efi": found["grub"],
        "EFI/BOOT/mmx64.efi": found["mok-manager"],
    }
    if family.config_beside:
        files["EFI/BOOT/grub.cfg"] = config
    files |= {f"EFI/{family.vendor}/{file}": found[name] for name, file in names.items()}
    files[f"EFI/{family.vendor}/grub.cfg"] = config
    return files


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
        'exec chroot "$1" "$4" --directory "$5/i386-pc" --device-map /dev/null /disk.raw'
    )
    family = find_family(tree)
    shell: list[str | Path] = ["unshare", "--mount", "sh", "-c", script, "grub-bios-setup"]
    jail.run([*shell, tree, disk, mountinfo, family.bios_setup, family.boot], deadline=60)
    jail.run(["rm", target], deadline=10)
