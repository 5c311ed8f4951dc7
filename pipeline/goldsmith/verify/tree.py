"""A file tree that offline checks look at: a disk in the appliance, or a plain folder.

Paths are absolute inside the tree.  ``*`` and ``?`` in a glob match hidden names too (a check for leftovers must see
them) and ``**`` matches any number of folders, never following a link.
"""

from __future__ import annotations

import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Protocol

from goldsmith.errors import HarnessError

#: a file larger than this is no file that a check compares
READ_LIMIT = 64 * 2**20
#: more than this is not read of a file by its head; a message of libguestfs holds 4 MiB
HEAD_LIMIT = 2**20
_WILD = re.compile(r"[*?\[]")
_MOST_LINKS = 40


@dataclass(frozen=True)
class Entry:
    """What lstat says: ``mode`` holds type and permissions as st_mode does."""

    mode: int
    uid: int
    gid: int
    size: int

    @property
    def permissions(self) -> str:
        """Four octal digits, such as 0644."""
        return f"{stat.S_IMODE(self.mode):04o}"


class Hive(Protocol):
    """A registry hive.  Names of keys and values are found in any case; methods raise HarnessError."""

    def key(self, path: Sequence[str]) -> int | None:
        """A handle of the key below the hive's root, None where there is none."""

    def value(self, key: int, name: str) -> tuple[int, bytes] | None:
        """A value's type and bytes, None where there is none; the key's own value has the name ""."""

    def names(self, key: int) -> Iterator[str]:
        """Names of the keys below a key; each may cost a question to the appliance."""


class Tree(ABC):
    """Read-only view of a root file system.  Methods raise HarnessError where the tree cannot be read."""

    @abstractmethod
    def _lstat(self, path: str) -> Entry | None:
        """The entry of a path whose folders are no links, None where there is none."""

    @abstractmethod
    def _readlink(self, path: str) -> str: ...

    @abstractmethod
    def _read(self, path: str) -> bytes: ...

    @abstractmethod
    def _head(self, path: str, size: int) -> bytes: ...

    @abstractmethod
    def _list(self, path: str) -> list[str]:
        """Names in a folder, without . and .., in any order."""

    @abstractmethod
    def _find(self, path: str) -> list[str]:
        """All paths below a folder, relative to it, links not followed."""

    @abstractmethod
    def _contents(self, path: str) -> Iterator[tuple[str, bytes]]:
        """Every plain file below a folder: its path relative to the folder, and its bytes."""

    def hive(self, path: str) -> AbstractContextManager[Hive]:
        """A Windows registry hive, open for reading.  Raises HarnessError where this tree opens none, or not this one.

        hivex, which reads it, knows nothing of transaction logs: look at the file's head first.
        """
        raise HarnessError("a registry hive is opened in the appliance only", where=path)

    def _foresee(self, folder: str, names: Sequence[str]) -> None:  # noqa: B027
        """Told of names that _lstat may be asked for next; for trees where each question costs."""

    def resolve(self, path: str, *, follow: bool = True) -> str | None:
        """The path with the links in it resolved inside the tree; None where it leads nowhere.

        Without ``follow`` a link at the end of the path stays as it is.
        """
        todo = [part for part in reversed(PurePosixPath(path).parts) if part != "/"]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                del done[-1:]
                continue
            here = "/" + "/".join([*done, part])
            entry = self._lstat(here)
            if entry is None:
                return None
            if not stat.S_ISLNK(entry.mode) or (not todo and not follow):
                if todo and not stat.S_ISDIR(entry.mode):
                    return None
                done.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            target = PurePosixPath(self._readlink(here))
            if target.is_absolute():
                done.clear()
            todo.extend(name for name in reversed(target.parts) if name != "/")
        return "/" + "/".join(done)

    def stat(self, path: str, *, follow: bool = True) -> Entry | None:
        """The entry of a path, None where there is none (or the link leads nowhere)."""
        resolved = self.resolve(path, follow=follow)
        return None if resolved is None else self._lstat(resolved)

    def exists(self, path: str) -> bool:
        """Whether something has this name, a dangling link included."""
        return self.resolve(path, follow=False) is not None

    def is_symlink(self, path: str) -> bool:
        entry = self.stat(path, follow=False)
        return entry is not None and stat.S_ISLNK(entry.mode)

    def readlink(self, path: str) -> str:
        """Target of a symbolic link, as it is written in it."""
        resolved = self.resolve(path, follow=False)
        if resolved is None or not self.is_symlink(path):
            raise HarnessError("is not a symbolic link", where=path)
        return self._readlink(resolved)

    def read(self, path: str) -> bytes:
        """A plain file's bytes; HarnessError where it is none, or larger than READ_LIMIT."""
        resolved = self.resolve(path)
        entry = None if resolved is None else self._lstat(resolved)
        if resolved is None or entry is None or not stat.S_ISREG(entry.mode):
            raise HarnessError("is not a plain file", where=path)
        if entry.size > READ_LIMIT:
            raise HarnessError(f"is larger than {READ_LIMIT // 2**20} MiB", where=path)
        return self._read(resolved)

    def head(self, path: str, size: int) -> bytes:
        """The first ``size`` bytes of a plain file of any length, at most 1 MiB; HarnessError where it is none."""
        resolved = self.resolve(path)
        entry = None if resolved is None else self._lstat(resolved)
        if resolved is None or entry is None or not stat.S_ISREG(entry.mode):
            raise HarnessError("is not a plain file", where=path)
        return self._head(resolved, min(size, HEAD_LIMIT))

    def names(self, path: str) -> list[str]:
        """Names in a folder, sorted; none where it is no folder."""
        resolved = self.resolve(path)
        entry = None if resolved is None else self._lstat(resolved)
        if resolved is None or entry is None or not stat.S_ISDIR(entry.mode):
            return []
        found = sorted(self._list(resolved))
        self._foresee(resolved, found)
        return found

    def glob(self, pattern: str) -> list[str]:
        """Paths that match, sorted; a pattern without wildcards gives itself where it exists."""
        literal, wild = split(pattern)
        if not wild:
            return [literal] if self.exists(literal) else []
        if "**" not in wild:
            return sorted(self._expand(literal, wild))
        folder = self.resolve(literal)
        if folder is None or not self._is_folder(folder):
            return []
        found = [path for path in self._find(folder) if _matches(wild, path)]
        by_folder: dict[str, list[str]] = {}
        for path in found:
            parent, _, name = _join(folder, path).rpartition("/")
            by_folder.setdefault(parent or "/", []).append(name)
        for parent, names in by_folder.items():
            self._foresee(parent, names)
        return sorted(_join(literal, path) for path in found)

    def paths(self) -> list[str]:
        """Every path of the tree, in any order."""
        return [f"/{path}" for path in self._find("/")]

    def _expand(self, folder: str, parts: tuple[str, ...]) -> Iterator[str]:
        first, *rest = parts
        names = self.names(folder) if _WILD.search(first) else [first]
        for name in names:
            path = _join(folder, name)
            if not _matches((first,), name) or (not _WILD.search(first) and not self.exists(path)):
                continue
            if rest:
                yield from self._expand(path, tuple(rest))
            else:
                yield path

    def _is_folder(self, resolved: str) -> bool:
        entry = self._lstat(resolved)
        return entry is not None and stat.S_ISDIR(entry.mode)

    def contents(self, pattern: str) -> Iterator[tuple[str, bytes]]:
        """Plain files that match a glob, with their bytes; links are not followed."""
        literal, wild = split(pattern)
        if "**" not in wild:
            for path in self.glob(pattern):
                entry = self.stat(path, follow=False)
                if entry is not None and stat.S_ISREG(entry.mode):
                    yield path, self.read(path)
            return
        # Many files: taken in bulk, not one by one.
        folder = self.resolve(literal)
        if folder is not None and self._is_folder(folder):
            for path, content in self._contents(folder):
                if _matches(wild, path):
                    yield _join(literal, path), content

    def user_name(self, uid: int) -> str:
        """The tree's own name of a user, the number where it has none."""
        return self._name("/etc/passwd", uid)

    def group_name(self, gid: int) -> str:
        return self._name("/etc/group", gid)

    def _name(self, database: str, number: int) -> str:
        if self.stat(database) is not None:
            for line in self.read(database).decode(errors="replace").splitlines():
                fields = line.split(":")
                if len(fields) > 2 and fields[2] == str(number):
                    return fields[0]
        return str(number)


def matches(pattern: str, path: str) -> bool:
    """Whether an absolute path matches a glob."""
    return _matches(tuple(part for part in PurePosixPath(pattern).parts if part != "/"), path.lstrip("/"))


def split(pattern: str) -> tuple[str, tuple[str, ...]]:
    """A glob's leading folders without wildcards, and the parts from the first wildcard on."""
    parts = [part for part in PurePosixPath(pattern).parts if part != "/"]
    wild = next((number for number, part in enumerate(parts) if _WILD.search(part)), len(parts))
    return "/" + "/".join(parts[:wild]), tuple(parts[wild:])


def _join(folder: str, path: str) -> str:
    return f"{folder.rstrip('/')}/{path}"


def _matches(parts: tuple[str, ...], path: str) -> bool:
    return _regex(parts).fullmatch(path) is not None


@lru_cache(maxsize=256)
def _regex(parts: tuple[str, ...]) -> re.Pattern[str]:
    text = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            text += ".*" if last else "(?:[^/]+/)*"
        else:
            text += _part_regex(part) + ("" if last else "/")
    return re.compile(text, re.DOTALL)


def _part_regex(part: str) -> str:
    return "".join(_piece_regex(piece) for piece in _pieces(part))


def _pieces(part: str) -> list[str]:
    """A glob's characters, each bracket expression in one piece."""
    return re.findall(r"\[[!^]?\]?[^\]]*\]|.", part, re.DOTALL)


def posix_regex(parts: tuple[str, ...]) -> str:
    """A glob's parts as POSIX extended regular expression, for find(1)."""
    text = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            text += ".*" if last else "([^/]+/)*"
        else:
            text += "".join(map(_posix_piece, _pieces(part))) + ("" if last else "/")
    return text


def posix_escaped(text: str) -> str:
    """A POSIX extended regular expression that matches ``text`` and nothing else."""
    return re.sub(r"[][\\.*+?(){}|^$]", r"\\\g<0>", text)


def _posix_piece(piece: str) -> str:
    if piece == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) > 1:
        # A backslash is plain in both; only the sign of negation differs.
        return f"[^{piece[2:]}" if piece[1] in "!^" else piece
    return posix_escaped(piece)


def _piece_regex(piece: str) -> str:
    if piece == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) > 1:
        inside = piece[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"[^{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
    return re.escape(piece)


class FolderTree(Tree):
    """A folder as a root file system.  Links are resolved inside it, never on the host."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _host(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _lstat(self, path: str) -> Entry | None:
        try:
            found = self._host(path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Entry(found.st_mode, found.st_uid, found.st_gid, found.st_size)

    def _readlink(self, path: str) -> str:
        return str(self._host(path).readlink())

    def _read(self, path: str) -> bytes:
        return self._host(path).read_bytes()

    def _head(self, path: str, size: int) -> bytes:
        with self._host(path).open("rb") as stream:
            return stream.read(size)

    def _list(self, path: str) -> list[str]:
        return [child.name for child in self._host(path).iterdir()]

    def _find(self, path: str) -> list[str]:
        top = self._host(path)
        found = []
        for folder, folders, names in os.walk(top):
            found += [str(Path(folder, name).relative_to(top)) for name in [*folders, *names]]
        return found

    def _contents(self, path: str) -> Iterator[tuple[str, bytes]]:
        top = self._host(path)
        for relative in self._find(path):
            file = top / relative
            if not file.is_symlink() and file.is_file():
                yield relative, self.read(_join(path, relative))
