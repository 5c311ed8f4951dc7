"""The metadata that Swift keeps with an object on a storage node's disk.

Pieces, keys and checksum as swift/obj/diskfile.py of 2.38 has them (_read_file_metadata, write_metadata).
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from goldsmith.errors import CheckFailedError, InputError

_KEY = "user.swift.metadata"
_CHECKSUM = "user.swift.metadata_checksum"
#: pieces of 64 KiB; no metadata that Swift accepts comes near to so many
_MOST_PIECES = 64
_PLAIN = (str, bytes, int)
_MANIFESTS: dict[str, Literal["SLO", "DLO"]] = {
    "x-static-large-object": "SLO",
    "x-object-manifest": "DLO",
}

Read = Callable[[Path, str], bytes]


@dataclass(frozen=True)
class SwiftObject:
    """``checksum`` says whether the pieces are what was written; None where an old Swift wrote none.

    ``large`` is SLO or DLO: then the ETag is the MD5 of the segments' ETags, not of these bytes.
    """

    metadata: dict[str, str | int]
    checksum: bool | None
    large: Literal["SLO", "DLO"] | None


class _Restricted(pickle.Unpickler):
    """Takes no name from any module: dict, str, bytes and int are opcodes of their own, but for one.

    Protocol 2 on Python 3 writes bytes as ``_codecs.encode(text, 'latin1')``, which is done here without it.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"{module}.{name} is not taken")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("a persistent id is not taken")


def _latin1(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("only latin1 is taken")
    return text.encode("latin1")


def unpickled(data: bytes) -> dict[str, str | int]:
    """Raises InputError for all that is not a flat dict of str, bytes and int."""
    try:
        found = _Restricted(io.BytesIO(data)).load()
    except Exception as error:  # whatever hostile bytes make it raise
        raise InputError(f"its metadata are no pickle of Swift's: {error}", hint="nothing of it was run") from error
    flat = type(found) is dict and all(type(each) in _PLAIN for each in itertools.chain(found, found.values()))
    if not flat:
        raise InputError("its metadata are more than a dict of str, bytes and int", hint="nothing of it was run")
    return {str(_text(key)): _text(value) for key, value in found.items()}


def _text(value: str | bytes | int) -> str | int:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def read_object(path: Path, read: Read = os.getxattr) -> SwiftObject:
    """Raises InputError where there are no metadata or hostile ones, CheckFailedError where their MD5 is another."""
    pieces = [_piece(path, _KEY, read)]
    if pieces[0] is None:
        raise InputError(f"has no {_KEY}", where=str(path), hint="name a .data file on a storage node")
    for number in range(1, _MOST_PIECES):
        piece = _piece(path, f"{_KEY}{number}", read)
        if piece is None:
            break
        pieces.append(piece)
    data = b"".join(piece for piece in pieces if piece is not None)
    said = _piece(path, _CHECKSUM, read)
    if said is not None and said.decode("ascii", "replace") != hashlib.md5(data, usedforsecurity=False).hexdigest():
        raise CheckFailedError(
            "the MD5 of its metadata is not the one beside them: a piece is missing or damaged",
            where=str(path),
            hint="Swift's auditor quarantines such an object; take another replica",
        )
    metadata = unpickled(data)
    lower = {name.lower() for name in metadata}
    large = next((kind for name, kind in _MANIFESTS.items() if name in lower), None)
    return SwiftObject(metadata, None if said is None else True, large)


def _piece(path: Path, name: str, read: Read) -> bytes | None:
    try:
        return read(path, name)
    except OSError as error:
        # A file that is not there, or may not be read, is another matter.
        if error.errno == errno.ENODATA:
            return None
        raise InputError(f"{error.strerror}", where=str(path), hint="name a .data file on a storage node") from error
