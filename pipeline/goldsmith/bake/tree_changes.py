"""What was done to a tree: two listings of it, and what has to be done to a copy of the first to get the second."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake import list_tree
from goldsmith.errors import InputError
from goldsmith.host.jail import PYTHON, Jail

_SECONDS = 300.0


@dataclass(frozen=True)
class Entry:
    """A file as it lies in a tree; ``path`` begins with a slash, and is empty for the tree itself.

    ``changed`` is its ctime in nanoseconds, ``modified`` its mtime in seconds; ``xattrs`` maps names to hex.
    """

    path: str
    inode: int
    changed: int
    modified: int
    mode: int
    uid: int
    gid: int
    links: int
    target: str
    device: tuple[int, int]
    xattrs: Mapping[str, str]

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)


@dataclass(frozen=True)
class Changes:
    """``removed``, then ``made``, each in an order in which it can be done; ``folders`` stayed, with other attributes.

    A file that was changed is in both: nothing is said about what in it is other than before.
    """

    removed: tuple[Entry, ...]
    made: tuple[Entry, ...]
    folders: tuple[Entry, ...]


def listing(jail: Jail, tree: Path, *, epoch: int | None = None) -> dict[str, Entry]:
    """All of ``tree`` by paths, as it is now; sockets are of processes, and left out.

    With ``epoch`` (seconds) mtimes in the tree become whole seconds, and none is later: so packages do that are built
    reproducibly.
    """
    dated = [] if epoch is None else [str(epoch)]
    said = jail.run([PYTHON, "-I", list_tree.__file__, tree, *dated], deadline=_SECONDS).stdout
    found = {}
    for line in said.splitlines():
        path, inode, changed, modified, mode, uid, gid, links, target, (major, minor), xattrs = json.loads(line)
        if not stat.S_ISSOCK(mode):
            entry = Entry(path, inode, changed, modified, mode, uid, gid, links, target, (major, minor), xattrs)
            found[path] = entry
    return found


def changes(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> Changes:
    """By inodes and their times of change, which nobody can set.

    Raises InputError where a changed name holds what ends a line: no program that writes file systems takes it.
    """
    removed, made, folders = [], [], []
    for path, entry in sorted(after.items()):
        was = before.get(path)
        if was is not None and (was.inode, was.changed) == (entry.inode, entry.changed):
            continue
        if was is not None and was.is_folder and entry.is_folder:
            folders.append(entry)
        else:
            made.append(entry)
            if was is not None:
                removed.append(was)
    removed += [was for path, was in before.items() if path not in after]
    for entry in (*removed, *made):
        if any(sign in entry.path + entry.target for sign in "\r\n"):
            raise InputError("a file's name has a line break", where=repr(entry.path), hint="name it otherwise")
    # What is in a folder goes before the folder.
    return Changes(tuple(sorted(removed, key=lambda each: each.path, reverse=True)), tuple(made), tuple(folders))
