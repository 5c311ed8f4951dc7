"""Changes of a tree, done to the ext4 of that tree: what did not change stays where it lies, to the byte.

By debugfs, which writes into a file without the kernel: no mount, no loop device.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from goldsmith.bake.ext4 import debugfs, free_blocks, place_of, quoted, stamp
from goldsmith.bake.layout import Layout
from goldsmith.bake.tree_changes import Changes, Entry
from goldsmith.host.jail import Jail

_SECONDS = 900.0


def change_root(
    jail: Jail, raw: Path, layout: Layout, tree: Path, changed: Changes, scratch: Path, *, epoch: int
) -> None:
    """Do to the root file system in ``raw`` what was done to ``tree``, and give it the identifiers of ``layout``.

    Times after ``epoch`` (seconds) become ``epoch``.  Blocks that are free now hold zeros.  Raises CommandFailedError
    where it is full or damaged.
    """
    place = place_of(raw, layout)
    size, free = free_blocks(jail, place)
    values = scratch / "xattrs"
    values.mkdir()
    lines = [
        f"ssv hash_seed {layout.hash_seed}",
        *_removals(changed),
        *_additions(changed, tree, values, epoch),
    ]
    debugfs(jail, place, lines, scratch, epoch)
    # Last: debugfs leaves the spare superblocks as they were.
    jail.run(["tune2fs", "-U", layout.root_uuid, place], deadline=_SECONDS, env=stamp(epoch))
    jail.run(["e2fsck", "-f", "-n", place], deadline=_SECONDS, env=stamp(epoch))
    _wipe(raw, layout.root.start, size, free, free_blocks(jail, place)[1])


def _removals(changed: Changes) -> Iterator[str]:
    for entry in changed.removed:
        yield f"{'rmdir' if entry.is_folder else 'rm'} {quoted(entry.path)}"


def _additions(changed: Changes, tree: Path, values: Path, epoch: int) -> Iterator[str]:
    written: dict[int, str] = {}
    for entry in changed.made:
        if entry.inode in written:
            yield f"ln {quoted(written[entry.inode])} {quoted(entry.path)}"
            continue
        if not entry.is_folder and entry.links > 1:
            written[entry.inode] = entry.path
        # Not all of these commands take more than a name in the folder they are in.
        yield f"cd {quoted(str(PurePosixPath(entry.path).parent))}"
        yield _creation(entry, tree)
    for entry in (*changed.made, *changed.folders):
        yield from _attributes(entry, values, epoch)


def _creation(entry: Entry, tree: Path) -> str:
    name = quoted(PurePosixPath(entry.path).name)
    if entry.is_folder:
        return f"mkdir {name}"
    if stat.S_ISLNK(entry.mode):
        return f"symlink {name} {quoted(entry.target)}"
    if stat.S_ISREG(entry.mode):
        return f"write {quoted(f'{tree}{entry.path}')} {name}"
    if stat.S_ISFIFO(entry.mode):
        return f"mknod {name} p"
    kind = "c" if stat.S_ISCHR(entry.mode) else "b"
    return f"mknod {name} {kind} {entry.device[0]} {entry.device[1]}"


def _attributes(entry: Entry, values: Path, epoch: int) -> Iterator[str]:
    name = quoted(entry.path or "/")
    modified = min(entry.modified, epoch)
    fields: dict[str, str | int] = {"uid": entry.uid, "gid": entry.gid, "mtime": f"@{modified}"}
    fields |= {"atime": f"@{epoch}", "ctime": f"@{epoch}"}
    if not stat.S_ISLNK(entry.mode):
        fields["mode"] = f"0{entry.mode:o}"
    if not entry.is_folder:
        fields["links_count"] = entry.links
    for field, value in fields.items():
        yield f"sif {name} {field} {value}"
    for attribute, value in entry.xattrs.items():
        file = values / f"{entry.inode}-{attribute}"
        file.write_bytes(bytes.fromhex(value))
        yield f"ea_set -f {quoted(str(file))} {name} {quoted(attribute)}"


def _wipe(raw: Path, start: int, size: int, before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    """Write zeros to the blocks that were freed: what was removed is not carried on."""
    total = max(last for _, last in (*before, *after)) + 1
    freed = bytearray(total)
    for first, last in after:
        freed[first : last + 1] = b"\1" * (last + 1 - first)
    for first, last in before:
        freed[first : last + 1] = bytes(last + 1 - first)
    with raw.open("r+b") as stream:
        for run in re.finditer(b"\1+", freed):
            stream.seek(start + run.start() * size)
            stream.write(bytes(size * (run.end() - run.start())))
