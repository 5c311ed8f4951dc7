"""list_tree.py ROOT: every file of a tree, ROOT itself first, as one JSON list a line in the order of the paths.

[path below ROOT, inode, ctime in ns, mtime in s, mode, uid, gid, links, a link's target, [major, minor], {xattr: hex}]

Standard library only: it runs as a plain script, as root over a tree that its caller may not read, outside the caller's
virtual environment.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path


def _show(path: str, shown: str) -> None:
    found = os.lstat(path)
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
        str(Path(path).readlink()) if stat.S_ISLNK(found.st_mode) else "",
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


def _walk(path: str, shown: str) -> None:
    _show(path, shown)
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for name in sorted(entry.name for entry in os.scandir(path)):
            _walk(f"{path}/{name}", f"{shown}/{name}")


if __name__ == "__main__":
    _walk(sys.argv[1], "")
