"""A replica on a storage node: found by the hash of its name, its metadata compared."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest

from goldsmith.errors import CheckFailedError, InputError
from goldsmith.inspection import swift_at_rest, swift_object
from goldsmith.inspection.swift_at_rest import object_files, require_at_rest

PATH = "/AUTH_a/glance/image"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "swift.conf"
    path.write_text("[swift-hash]\nswift_hash_path_prefix = before\nswift_hash_path_suffix = %after\n")
    return path


def _place(tmp_path: Path, device: str, time: str = "1700000001.00000") -> Path:
    digest = hashlib.md5(f"before{PATH}%after".encode(), usedforsecurity=False).hexdigest()
    path = tmp_path / f"node/{device}/objects-1/77/{digest[-3:]}/{digest}/{time}.data"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"bytes")
    return path


def _with(monkeypatch: pytest.MonkeyPatch, checksum: bool = True, **changes: str) -> None:
    metadata = {"name": PATH, "Content-Length": "5", "ETag": "ab"} | {
        k.replace("_", "-"): v for k, v in changes.items()
    }
    data = pickle.dumps(metadata, 2)
    found = {"user.swift.metadata": data}
    if checksum:
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        found["user.swift.metadata_checksum"] = digest.encode()

    def read(path: Path, name: str) -> bytes:
        del path
        if name not in found:
            raise OSError(61, "no data")
        return found[name]

    monkeypatch.setattr(swift_at_rest, "read_object", lambda path: swift_object.read_object(path, read))


def test_newest_of_each_replica(tmp_path: Path, conf: Path) -> None:
    _place(tmp_path, "sda", "1600000000.00000")
    new, other = _place(tmp_path, "sda"), _place(tmp_path, "sdb")
    assert object_files(tmp_path / "node", conf, PATH) == [new, other]
    assert object_files(tmp_path / "node", conf, "/AUTH_a/glance/another") == []


def test_good_and_wrong_metadata(tmp_path: Path, conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _place(tmp_path, "sda")
    arguments = (tmp_path / "node", conf, PATH, 5, "ab")
    for good in ({}, {"ETag": "fragment", "X_Object_Sysmeta_Ec_Etag": "ab"}):
        _with(monkeypatch, **good)
        assert require_at_rest(*arguments) == [file]
    for wrong, said in (
        ({"ETag": "cd"}, "ETag is cd, not ab"),
        ({"name": "/AUTH_a/glance/other"}, "name is /AUTH_a/glance/other"),
        ({"Content_Length": "6"}, "bytes is 5, not 6; Content-Length is 6, not 5"),
    ):
        _with(monkeypatch, **wrong)
        with pytest.raises(CheckFailedError, match=said):
            require_at_rest(*arguments)
    _with(monkeypatch, checksum=False)
    with pytest.raises(CheckFailedError, match="no checksum"):
        require_at_rest(*arguments)


def test_nothing_to_look_at(tmp_path: Path, conf: Path) -> None:
    with pytest.raises(InputError, match="no replica"):
        require_at_rest(tmp_path, conf, PATH, 5, "ab")
    with pytest.raises(InputError, match="cannot be read"):
        require_at_rest(tmp_path, tmp_path / "none", PATH, 5, "ab")
