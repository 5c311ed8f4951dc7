"""An object of Swift as a storage node keeps it: found by its name, its metadata compared with what it should hold.

Where it lies: DEVICES/<device>/objects[-<policy>]/<partition>/<last 3 of hash>/<hash>/<time>.data, the hash being the
MD5 of the cluster's prefix, /account/container/object, and its suffix (swift/obj/diskfile.py, swift/common/utils,
hash_path).  So no ring is read, and every replica on the node is found.
"""

from __future__ import annotations

import configparser
import hashlib
from pathlib import Path

from goldsmith.errors import CheckFailedError, InputError
from goldsmith.inspection.swift_object import SwiftObject, read_object

CONF = Path("/etc/swift/swift.conf")
#: metadata that another thing than the object's plain bytes has; the true ones stand beside (middleware/crypto, EC)
_ENCRYPTED = "x-object-sysmeta-crypto-body-meta"
_EC_ETAG, _EC_SIZE = "x-object-sysmeta-ec-etag", "x-object-sysmeta-ec-content-length"


def object_files(devices: Path, conf: Path, path: str) -> list[Path]:
    """The newest .data file of each replica of ``path`` (/account/container/object) on this node.

    Raises InputError where the cluster's swift.conf cannot be read.
    """
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read_string(conf.read_text(encoding="latin1"))
    except (OSError, configparser.Error) as error:
        raise InputError(
            f"cannot be read: {error}", where=str(conf), hint="name the cluster's: --swift-conf"
        ) from error
    prefix, suffix = (
        settings.get("swift-hash", f"swift_hash_path_{end}", fallback="").encode("latin1")
        for end in ("prefix", "suffix")
    )
    digest = hashlib.md5(prefix + path.encode() + suffix, usedforsecurity=False).hexdigest()
    newest: dict[Path, Path] = {}
    for found in sorted(devices.glob(f"*/objects*/*/{digest[-3:]}/{digest}/*.data")):
        newest[found.parent] = found
    return list(newest.values())


def require_at_rest(devices: Path, conf: Path, path: str, size: int, etag: str) -> list[Path]:
    """Compare every replica on this node, and return their files.

    Raises InputError where none is on this node, CheckFailedError where metadata are damaged or of another object.
    """
    files = object_files(devices, conf, path)
    if not files:
        raise InputError(
            f"no replica of {path} is on this node",
            where=str(devices),
            hint="swift-get-nodes says which nodes have one",
        )
    for file in files:
        found = read_object(file)
        if found.checksum is None:
            raise CheckFailedError("its metadata have no checksum", where=str(file), hint="an old Swift wrote it")
        if wrong := _differences(found, file.stat().st_size, path, size, etag):
            raise CheckFailedError("; ".join(wrong), where=str(file), hint="take another replica")
    return files


def _differences(found: SwiftObject, bytes_there: int, path: str, size: int, etag: str) -> list[str]:
    has = {name.lower(): str(value) for name, value in found.metadata.items()}
    pairs = {"name": (has.get("name"), path), "bytes": (str(bytes_there), has.get("content-length"))}
    # An encrypted object has the size and the MD5 of what was made of it.
    if _ENCRYPTED not in has:
        pairs["Content-Length"] = (has.get(_EC_SIZE, has.get("content-length")), str(size))
        pairs["ETag"] = (has.get(_EC_ETAG, has.get("etag")), etag)
    if found.large:
        # Its own bytes are no image's.
        pairs = {"name": pairs["name"]}
    return [f"{name} is {is_}, not {wanted}" for name, (is_, wanted) in pairs.items() if is_ != wanted]
