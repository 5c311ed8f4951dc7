"""Signatures of images, as Glance and Nova verify them (cursive, signature_utils)."""

from __future__ import annotations

import base64
import hashlib
import uuid
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

from goldsmith.errors import HarnessError, InputError

_HASH = "SHA-256"
_BLOCK = 4 * 2**20


def signature_properties(image: Path, key: Path, certificate_id: str) -> dict[str, str]:
    """The four img_signature* properties of ``image``: RSA-PSS over SHA-256, verified before they are given back.

    ``key`` is an RSA private key in PEM without a passphrase; ``certificate_id`` is the UUID of its certificate in the
    cloud's key manager.  Raises InputError for a key or an id that is none, HarnessError for a signature that is wrong.
    """
    try:
        identifier = str(uuid.UUID(certificate_id))
    except ValueError as error:
        raise InputError(
            f"{certificate_id!r} is not a UUID", where="--sign-certificate", hint="ask the key manager for its id"
        ) from error
    private = _private_key(key)
    digest = _digest(image)
    # cursive verifies with the longest salt that the key allows.
    pad = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
    hashed = utils.Prehashed(hashes.SHA256())
    signature = private.sign(digest, pad, hashed)
    try:
        private.public_key().verify(signature, _digest(image), pad, hashed)
    except InvalidSignature as error:
        raise HarnessError(
            "the signature does not fit the image: it changed meanwhile", where=str(image), hint="run it again"
        ) from error
    return {
        "img_signature": base64.b64encode(signature).decode(),
        "img_signature_hash_method": _HASH,
        "img_signature_key_type": "RSA-PSS",
        "img_signature_certificate_uuid": identifier,
    }


def _private_key(path: Path) -> rsa.RSAPrivateKey:
    hint = "name an RSA private key in PEM, without a passphrase"
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The reason of a ValueError may quote what was read.
        reason = error.strerror if isinstance(error, OSError) else "no key that can be read"
        raise InputError(str(reason), where=str(path), hint=hint) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InputError("not an RSA key", where=str(path), hint=hint)
    return key


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.digest()
