"""Reading an untrusted file by offsets that the file itself gives: never beyond its end, never much at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from goldsmith.errors import InputError

#: the most that one call reads; the allocation table of a VHD of 16 TiB is half of it
_MOST = 64 * 2**20


class Unsafe(Exception):
    """What is wrong with an image, in words that follow its name."""


@dataclass(frozen=True)
class Source:
    """An open file; ``size`` in bytes."""

    descriptor: int
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes.  Raises Unsafe where the file ends before."""
        if length > _MOST:
            raise Unsafe(f"has a table of {length} bytes, more than any image needs")
        if offset + length > self.size:
            raise Unsafe(f"is truncated: it ends before byte {offset + length}, which its header refers to")
        found = os.pread(self.descriptor, length, offset)
        if len(found) != length:
            raise Unsafe("changes while it is read")
        return found

    def upto(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes."""
        return os.pread(self.descriptor, min(length, _MOST), offset)


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open a file for reading.  Raises InputError for what is no file with something in it, or may not be read."""
    where = str(path)
    try:
        # Looked at first: to open a device can do something, to open a pipe waits for its other end.
        _require_file(path.stat(), where)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise InputError("no such file", where=where) from None
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the name
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot be read: {said}", where=where) from error
    try:
        found = os.fstat(descriptor)
        _require_file(found, where)
        yield Source(descriptor, found.st_size)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where) from error
    finally:
        os.close(descriptor)


def _require_file(found: os.stat_result, where: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise InputError("is a folder, not an image", where=where)
    if not stat.S_ISREG(found.st_mode):
        raise InputError("is neither a file nor a link to one", where=where)
    if found.st_size == 0:
        raise InputError("is empty", where=where)
