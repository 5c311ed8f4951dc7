"""A tree becomes a disk: partition table, ext4, ESP, boot loaders, compressed qcow2.

Nothing is mounted from the result, no loop device is used, and the host's kernel needs neither vfat nor
device-mapper: every file system is written by a program of user space into one raw file.
"""

from __future__ import annotations

import contextlib
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake.bootloader import esp_files, install_bios_boot_sector, install_grub, require_grub
from goldsmith.bake.clusters import begin, changed_clusters, write_changed
from goldsmith.bake.ext4_changes import change_root
from goldsmith.bake.layout import MIB, Layout
from goldsmith.bake.root_file_system import make_root
from goldsmith.bake.tree_changes import Entry, changes, listing
from goldsmith.host.jail import Jail
from goldsmith.host.progress import Progress

#: 8 s were seen for 600 MB on two cores
COMPRESSION_SECONDS = 1800.0


def fstab(layout: Layout) -> str:
    """/etc/fstab: the root grows with its partition (systemd-growfs), the ESP is mounted for GRUB's upgrades."""
    return textwrap.dedent(
        f"""\
        UUID={layout.root_uuid} / ext4 rw,relatime,errors=remount-ro,x-systemd.growfs 0 1
        UUID={layout.esp_uuid} /boot/efi vfat defaults,umask=0077,nofail 0 2
        """
    )


@dataclass(frozen=True)
class BaseDisk:
    """The disk of a base tree, without boot loaders: ``image`` gives it as a compressed qcow2, ``raw`` is it as it is.

    It may still be compressed while ``raw`` is read; ``image`` waits for that.  ``copy`` gives a copy of ``raw`` to
    write to, once.  ``listing`` is of the tree on it.
    """

    image: Callable[[], Path]
    raw: Path
    copy: Callable[[], Path]
    listing: Mapping[str, Entry]


def complete_tree(jail: Jail, tree: Path) -> None:
    """Make of a tree (a folder owned by root in the jail) that of a disk."""
    folders = [tree / name for name in ("proc", "sys", "dev", "run", "boot/efi")]
    jail.run(["mkdir", "-p", *folders], deadline=10)
    jail.run(["rm", "-rf", tree / "lost+found"], deadline=10)
    # They are of processes that have ended; a tar has none either.
    jail.run(["find", tree, "-xdev", "-type", "s", "-delete"], deadline=60)


def make_base(jail: Jail, tree: Path, scratch: Path, layout: Layout, raw: Path, *, epoch: int) -> None:
    """Write a complete tree to ``raw``: partition table and root file system, the ESP still without its own.

    ``scratch`` is an empty folder; ``epoch`` is the time, in seconds, that file systems are stamped with.  Raises
    CommandFailedError if a tool fails.
    """
    with raw.open("wb") as stream:
        stream.truncate(layout.size)
    _make_table(jail, scratch, layout, raw)
    make_root(jail, tree, scratch, layout, raw, epoch)


def make_disk(
    jail: Jail,
    tree: Path,
    base: BaseDisk,
    scratch: Path,
    layout: Layout,
    target: Path,
    *,
    epoch: int,
    progress: Progress,
    tree_is_read: Callable[[], object] = lambda: None,
) -> None:
    """Write ``tree``, which was changed since it was put on ``base``, as a qcow2 to ``target``.

    What did not change is taken from ``base``, compressed as it is; its copy is written to.  ``scratch`` is an empty
    folder; ``epoch`` as for the base.  ``tree_is_read`` is called when nothing needs the tree any more.  Raises
    InputError if the tree has no boot loader, CommandFailedError if a tool fails.
    """
    require_grub(tree)
    # FAT keeps local times: the build host's time zone would be in the image.
    stamp = {"SOURCE_DATE_EPOCH": str(epoch), "TZ": "UTC"}
    with progress.step("boot loaders"):
        table = scratch / "fstab"
        table.write_text(fstab(layout))
        jail.run(["install", "-m", "0644", table, tree / "etc/fstab"], deadline=10)
        install_grub(jail, tree, scratch, layout)
    with _removed_unless_done(jail, target), ThreadPoolExecutor() as pool:
        begun = pool.submit(lambda: begin(jail, base.image(), target))
        with progress.step("changes to the disk"):
            after = pool.submit(listing, jail, tree)
            raw = base.copy()
            _make_table(jail, scratch, layout, raw)
            # Each of these writes to a part of the disk that is its own.
            esp = pool.submit(_make_esp, jail, tree, scratch, layout, raw, stamp)
            change_root(jail, raw, layout, tree, changes(base.listing, after.result()), scratch, epoch=epoch)
            esp.result()
            install_bios_boot_sector(jail, tree, scratch, raw)
            tree_is_read()
        with progress.step("compressed qcow2"):
            changed = changed_clusters(base.raw, raw)
            begun.result()
            write_changed(jail, raw, changed, target, scratch)


@contextlib.contextmanager
def _removed_unless_done(jail: Jail, target: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        jail.run(["rm", "-f", target], deadline=60)
        raise


def _make_table(jail: Jail, scratch: Path, layout: Layout, raw: Path) -> None:
    table = scratch / "sfdisk.txt"
    table.write_text(layout.sfdisk_script())
    jail.run(["sfdisk", "--quiet", "--no-tell-kernel", "--no-reread", raw], stdin=table, deadline=60)


def compression(source: Path, source_format: str, target: Path, *, reproducible: bool) -> list[str | Path]:
    """The command that makes a standalone qcow2 of a disk, of clusters that coroutines compress by zstd.

    Written as they are done, which takes 2.0 s where 3.4 s were seen in order, the same disk gives another file each
    time; ``reproducible`` keeps them in order.
    """
    order = [] if reproducible else ["-W"]
    return [
        "qemu-img", "convert", "-c", "-m", "8", *order, "-f", source_format, "-O", "qcow2",
        "-o", "compat=1.1,compression_type=zstd", source, target,
    ]  # fmt: skip


def _make_esp(jail: Jail, tree: Path, scratch: Path, layout: Layout, raw: Path, stamp: dict[str, str]) -> None:
    image = scratch / "esp.img"
    with image.open("wb") as stream:
        stream.truncate(layout.esp.size)
    # dosfstools 4.2 knows no SOURCE_DATE_EPOCH: the label gets a constant time.  -i overrides its serial.
    jail.run(
        ["mkfs.vfat", "--invariant", "-F", "32", "-n", "ESP", "-i", f"{layout.esp_serial:08x}", image],
        deadline=60,
        env=stamp,
    )
    files = esp_files(tree, layout)
    folders = sorted({parent.as_posix() for name in files for parent in Path(name).parents if parent.name})
    for folder in folders:
        jail.run(["mmd", "-i", image, f"::{folder}"], deadline=30, env=stamp)
    for name, content in files.items():
        if isinstance(content, str):
            source = scratch / "esp-file"
            source.write_text(content)
            epoch = int(stamp["SOURCE_DATE_EPOCH"])
            os.utime(source, (epoch, epoch))
        else:
            source = content
        jail.run(["mcopy", "-m", "-i", image, source, f"::{name}"], deadline=60, env=stamp)
    # The partition is copied in place; the holes of the image stay holes of the disk.
    jail.run(
        [
            "dd", f"if={image}", f"of={raw}", "bs=1M", f"seek={layout.esp.start // MIB}",
            "conv=notrunc,sparse", "status=none",
        ],
        deadline=60,
    )  # fmt: skip
