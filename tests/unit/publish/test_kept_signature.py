"""A signature belongs to bytes: it stays with them, and goes with them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from goldsmith.publish.glance.state import kept_signature
from goldsmith.publish.signatures import NAMES, Signer
from goldsmith.store.manifest import Manifest, UsedElement

ID = "5a1f2b30-0000-4000-8000-000000000001"


def _manifest(data: bytes) -> Manifest:
    return Manifest(
        name="small",
        recipe_digest="a" * 64,
        inputs={},
        base={},
        elements=(UsedElement(name="generalize", digest="c" * 64),),
        firmware=("bios",),
        sha256=hashlib.sha256(data).hexdigest(),
        sha512=hashlib.sha512(data).hexdigest(),
        size=len(data),
        virtual_size=len(data),
        goldsmith_version="0",
    )


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    key = rsa.generate_private_key(65537, 2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return Signer(path, ID)


def test_it_stays_with_its_bytes_alone(tmp_path: Path, signer: Signer) -> None:
    golden = _manifest(b"golden")
    (tmp_path / "image").write_bytes(b"golden")
    there = {"status": "active", "os_hash_value": golden.sha512, "os_type": "linux", **signer.sign(tmp_path / "image")}
    assert set(kept_signature(there, golden, None)) == set(NAMES)
    assert set(kept_signature(there, golden, signer)) == set(NAMES)
    assert kept_signature(there, _manifest(b"gilded"), None) == {}
    assert kept_signature(there, _manifest(b"gilded"), signer) == {}
    assert kept_signature({**there, "status": "queued"}, golden, None) == {}
    assert kept_signature(None, golden, None) == {}
    unsigned = {name: value for name, value in there.items() if name not in NAMES}
    assert kept_signature(unsigned, golden, signer) == {}
