"""Signatures of images, as Glance and Nova verify them (cursive, signature_utils)."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

from goldsmith.errors import HarnessError, InputError
from goldsmith.host.files import file_digest

#: the names that cursive looks for; without one of them nothing is verified (signature_utils.should_create_verifier)
SIGNATURE = "img_signature"
NAMES = (SIGNATURE, "img_signature_certificate_uuid", "img_signature_hash_method", "img_signature_key_type")
_HASH = "SHA-256"
_PREHASHED = utils.Prehashed(hashes.SHA256())
#: with the longest salt that the key allows, as cursive has it (signature_utils.create_verifier_for_pss)
_PADDING = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)


@dataclass(frozen=True)
class Signer:
    """Whoever signs: ``key`` and ``certificate_id`` as ``signature_properties`` takes them."""

    key: Path
    certificate_id: str

    def __post_init__(self) -> None:
        """Raises InputError for a key or an id that is none, before anything is done with them."""
        _identifier(self.certificate_id)
        _private_key(self.key)

    def sign(self, image: Path) -> dict[str, str]:
        return signature_properties(image, self.key, self.certificate_id)

    def planned(self) -> dict[str, str]:
        """The properties of a signature that is to be made, with words in its place: each one that is made differs."""
        return {**_labels(self.certificate_id), SIGNATURE: "made when the image is published"}

    def has_signed(self, properties: Mapping[str, str], sha256: str) -> bool:
        """Whether ``properties`` hold a signature by this key, of these bytes: each time one is made it is another."""
        if any(properties.get(name) != value for name, value in _labels(self.certificate_id).items()):
            return False
        try:
            signature = base64.b64decode(properties.get(SIGNATURE, ""), validate=True)
            _private_key(self.key).public_key().verify(signature, bytes.fromhex(sha256), _PADDING, _PREHASHED)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def signature_properties(image: Path, key: Path, certificate_id: str) -> dict[str, str]:
    """The four img_signature* properties of ``image``: RSA-PSS over SHA-256, verified before they are given back.

    ``key`` is an RSA private key in PEM without a passphrase; ``certificate_id`` is the UUID of its certificate in the
    cloud's key manager.  Raises InputError for a key or an id that is none, HarnessError for a signature that is wrong.
    """
    labels = _labels(certificate_id)
    private = _private_key(key)
    signature = private.sign(bytes.fromhex(file_digest(image)), _PADDING, _PREHASHED)
    try:
        private.public_key().verify(signature, bytes.fromhex(file_digest(image)), _PADDING, _PREHASHED)
    except InvalidSignature as error:
        raise HarnessError(
            "the signature does not fit the image: it changed meanwhile", where=str(image), hint="run it again"
        ) from error
    return {SIGNATURE: base64.b64encode(signature).decode(), **labels}


def _labels(certificate_id: str) -> dict[str, str]:
    return {
        "img_signature_hash_method": _HASH,
        "img_signature_key_type": "RSA-PSS",
        "img_signature_certificate_uuid": _identifier(certificate_id),
    }


def _identifier(certificate_id: str) -> str:
    try:
        return str(uuid.UUID(certificate_id))
    except ValueError as error:
        raise InputError(
            f"{certificate_id!r} is not a UUID", where="--sign-certificate", hint="ask the key manager for its id"
        ) from error


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
