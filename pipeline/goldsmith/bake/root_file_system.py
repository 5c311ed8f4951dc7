"""The ext4 of a tree, the same bytes for the same tree: no time in it is that of the build."""

from __future__ import annotations

from pathlib import Path

from goldsmith.bake.ext4 import FULL, debugfs, place_of, stamp, used_inodes
from goldsmith.bake.layout import Layout
from goldsmith.host.jail import Jail

_LABEL = "root"


def make_root(jail: Jail, tree: Path, scratch: Path, layout: Layout, raw: Path, epoch: int) -> None:
    """Write ``tree`` as ext4 into its partition of ``raw``.

    All times of reading and of the last change to an inode, which are the unpacking's, become ``epoch`` (seconds).
    Raises CommandFailedError, and HarnessError where the file system is not as it was made.
    """
    jail.run(
        [
            "mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, "-L", _LABEL, "-U", layout.root_uuid,
            # Its checksums begin with a seed of their own: its UUID can be another's without a change to each of them.
            # Debian's GRUB reads it from 2.06 on, kernels from 4.4.
            "-O", "metadata_csum,metadata_csum_seed",
            "-E", f"offset={layout.root.start},hash_seed={layout.hash_seed},root_owner=0:0",
            raw, f"{layout.root.size // 1024}k",
        ],
        deadline=900,
        env=stamp(epoch),
        hint=FULL,
    )  # fmt: skip
    # mke2fs copies these two from the tree, where the kernel keeps them and nobody can set one of them.
    place = place_of(raw, layout)
    used = used_inodes(jail, place)
    stamps = (f"sif <{inode}> {field} @{epoch}" for inode in used for field in ("atime", "ctime"))
    # How much was written to it is another number for the same tree, unpacked; from 0 nobody counts on.
    debugfs(jail, place, ["ssv kbytes_written 0", *stamps], scratch, epoch)
    # debugfs leaves the spare superblocks as they were; this writes them too.
    jail.run(["tune2fs", "-L", _LABEL, place], deadline=60, env=stamp(epoch))
