"""Signatures that others can verify, and keys that are none."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from goldsmith.errors import InputError
from goldsmith.publish.signatures import SIGNATURE, Signer, signature_properties

ID = "5a1f2b30-0000-4000-8000-000000000001"


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, path: Path) -> Path:
    plain = serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return path


def test_the_signature_is_that_of_the_image(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    image = tmp_path / "image"
    image.write_bytes(b"golden")
    made = signature_properties(image, _pem(key, tmp_path / "key.pem"), ID)
    assert made["img_signature_certificate_uuid"] == ID
    assert (made["img_signature_hash_method"], made["img_signature_key_type"]) == ("SHA-256", "RSA-PSS")
    pad = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    signature = base64.b64decode(made["img_signature"])
    key.public_key().verify(signature, b"golden", pad, hashes.SHA256())
    with pytest.raises(InvalidSignature):
        key.public_key().verify(signature, b"gilded", pad, hashes.SHA256())


def test_what_is_no_key_or_no_id_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"golden")
    curve = _pem(ec.generate_private_key(ec.SECP384R1()), tmp_path / "curve.pem")
    with pytest.raises(InputError, match="not an RSA key"):
        signature_properties(image, curve, ID)
    with pytest.raises(InputError, match="no key"):
        signature_properties(image, image, ID)
    with pytest.raises(InputError, match="No such file"):
        signature_properties(image, tmp_path / "none", ID)
    with pytest.raises(InputError, match="not a UUID"):
        signature_properties(image, curve, "mine")


def test_a_signature_is_known_again_by_key_bytes_and_certificate(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"golden")
    sha256, other = (hashlib.sha256(data).hexdigest() for data in (b"golden", b"gilded"))
    mine, theirs = (
        Signer(_pem(rsa.generate_private_key(65537, 2048), tmp_path / name), ID) for name in ("mine", "theirs")
    )
    made = mine.sign(image)
    assert mine.has_signed(made, sha256)
    assert mine.sign(image)[SIGNATURE] != made[SIGNATURE]
    assert not mine.has_signed(made, other)
    assert not theirs.has_signed(made, sha256)
    assert not Signer(mine.key, ID.replace("1", "2")).has_signed(made, sha256)
    assert not mine.has_signed({**made, SIGNATURE: "not base64"}, sha256)
    assert not mine.has_signed({}, sha256)
