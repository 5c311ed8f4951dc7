"""Swift's metadata at rest: good ones, damaged ones, and pickles that would do harm."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
from pathlib import Path

import pytest

from goldsmith.errors import CheckFailedError, InputError
from goldsmith.inspection.swift_object import Read, read_object, unpickled

GOOD = {b"Content-Length": b"12", b"ETag": b"ab", b"name": "/a/c/\xe4".encode(), b"X-Object-Meta-K\xff": "text", "n": 3}


def _reader(data: bytes, size: int = 65536, checksum: bytes | None = None, lost: str = "") -> Read:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    found = {f"user.swift.metadata{number or ''}": piece for number, piece in enumerate(pieces)}
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
    found["user.swift.metadata_checksum"] = md5 if checksum is None else checksum
    found.pop(lost, None)

    def read(path: Path, name: str) -> bytes:
        if name not in found:
            raise OSError(errno.ENODATA, "no data")
        return found[name]

    return read


@pytest.mark.parametrize("size", [65536, 20])
def test_metadata_in_pieces(size: int) -> None:
    found = read_object(Path("x.data"), _reader(pickle.dumps(GOOD, 2), size))
    assert found.metadata["Content-Length"] == "12"
    assert (found.metadata["name"], found.metadata["n"]) == ("/a/c/\xe4", 3)
    assert (found.checksum, found.large) == (True, None)


@pytest.mark.parametrize(("header", "kind"), [(b"X-Static-Large-Object", "SLO"), (b"X-Object-Manifest", "DLO")])
def test_large_objects_are_said(header: bytes, kind: str) -> None:
    data = pickle.dumps(GOOD | {header: b"True"}, 2)
    assert read_object(Path("x"), _reader(data)).large == kind


def test_an_old_swift_wrote_no_checksum() -> None:
    data = pickle.dumps(GOOD, 2)
    assert read_object(Path("x"), _reader(data, lost="user.swift.metadata_checksum")).checksum is None


def test_damage_is_found() -> None:
    data = pickle.dumps(GOOD, 2)
    with pytest.raises(CheckFailedError, match="missing or damaged"):
        read_object(Path("x"), _reader(data, checksum=b"00"))
    with pytest.raises(CheckFailedError, match="missing or damaged"):
        read_object(Path("x"), _reader(data, 20, lost="user.swift.metadata2"))
    with pytest.raises(InputError, match="has no"):
        read_object(Path("x"), _reader(data, lost="user.swift.metadata"))


class _Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch harmed",)


class _Encode:
    def __reduce__(self) -> tuple[object, ...]:
        import _codecs

        return _codecs.encode, ("x", "rot13")


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(_Harm(), 2),
        pickle.dumps({"a": _Harm()}, 2),
        pickle.dumps({"a": _Encode()}, 2),
        pickle.dumps({"a": [1]}, 2),
        pickle.dumps([1], 2),
        pickle.dumps({"a": 1.5}, 2),
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"\x80\x02Pid\n.",
        pickle.dumps(GOOD, 2)[:-9],
        b"",
    ],
)
def test_hostile_pickles_run_nothing(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        unpickled(data)
    assert not list(tmp_path.iterdir())
