"""list_tree.py ROOT [EPOCH]: every file of a tree, ROOT itself first, as one JSON list a line in the order of paths.

With EPOCH (seconds) mtimes after it become EPOCH first, and those before it whole seconds, as in a tar.

[path below ROOT, inode, ctime in ns, mtime in s, mode, uid, gid, links, a link's target, [major, minor], {xattr: hex}]

Standard library only: it runs as a plain script, as root over a tree that its caller may not read, outside the caller's
virtual environment.
"""

from __future__ import annotations

import json
import os
import stat
import sys


def _show(path: str, shown: str, found: os.stat_result) -> None:
    special = stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)
    entry = [
        shown,
        found.st_ino,
        found.st_ctime_ns,
        int(found.st_mtime),
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_nlink,
        os.readlink(path) if stat.S_ISLNK(found.st_mode) else "",  # noqa: PTH115, far quicker
        [os.major(found.st_rdev), os.minor(found.st_rdev)] if special else [0, 0],
        {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in _attributes(path)},
    ]
    print(json.dumps(entry))


def _attributes(path: str) -> list[str]:
    try:
        return sorted(os.listxattr(path, follow_symlinks=False))
    except OSError:
        # A file system without them.
        return []


def _dated_back(path: str, found: os.stat_result, epoch: int) -> os.stat_result:
    dated = min(found.st_mtime_ns // 10**9, epoch) * 10**9
    if dated == found.st_mtime_ns:
        return found
    os.utime(path, ns=(found.st_atime_ns, dated), follow_symlinks=False)
    return os.lstat(path)


def _walk(path: str, shown: str, epoch: int | None) -> None:
    found = os.lstat(path)
    if epoch is not None:
        found = _dated_back(path, found, epoch)
    _show(path, shown, found)
    if stat.S_ISDIR(found.st_mode):
        for name in sorted(os.listdir(path)):  # noqa: PTH208, far quicker
            _walk(f"{path}/{name}", f"{shown}/{name}", epoch)


if __name__ == "__main__":
    _walk(sys.argv[1], "", int(sys.argv[2]) if len(sys.argv) > 2 else None)
