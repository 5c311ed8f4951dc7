"""Signed images on a real Glance, which fetches the certificate and verifies the bytes as they come."""

from __future__ import annotations

import base64
import datetime
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cloud_images import order
from cloud_services import Cloud
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from goldsmith.errors import CheckFailedError, GoldsmithError, HarnessError
from goldsmith.host.progress import Progress
from goldsmith.publish.glance.publisher import Order, publish
from goldsmith.publish.glance.service import Glance, properties_of
from goldsmith.publish.signatures import NAMES, SIGNATURE, Signer

QUIET = Progress(quiet=True)
WAYS = pytest.mark.parametrize("method", ["put", "import"])


@dataclass
class Keys:
    """Keys in a folder; Glance's key manager has the certificates of those that were ``made``."""

    folder: Path
    certificates: Path

    def key(self, name: str) -> Path:
        key = rsa.generate_private_key(65537, 2048)
        path = self.folder / f"{name}.pem"
        plain = serialization.NoEncryption()
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        return path

    def made(self, name: str) -> Signer:
        path = self.key(name)
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        identifier = str(uuid.uuid4())
        (self.certificates / f"{identifier}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return Signer(path, identifier)


@pytest.fixture(scope="module")
def keys(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    # Where gunicorn is started, modules are found.
    shutil.copy(Path(__file__).with_name("folder_key_manager.py"), cloud.glance.folder)
    certificates = cloud.glance.folder / "certificates"
    certificates.mkdir()
    cloud.restart_glance("[key_manager]\nbackend = folder_key_manager.FolderKeyManager")
    yield Keys(tmp_path_factory.mktemp("keys"), certificates)
    cloud.restart_glance()


def _signature(glance: Glance) -> dict[str, str]:
    (shown,) = [image for image in glance.images() if not image["os_hidden"]]
    return {name: value for name, value in properties_of(shown).items() if name.startswith("img_signature")}


@WAYS
def test_a_right_signature_is_accepted_and_stays(
    cloud: Cloud, keys: Keys, member: Glance, tmp_path: Path, method: str
) -> None:
    signer = keys.made(method)
    asked = order(tmp_path, "signed", "one", method=method, signer=signer)
    log = cloud.folder / "glance.log"
    before = log.read_text().count("Successfully verified signature")
    assert publish(member, asked, QUIET).did == "published"
    assert log.read_text().count("Successfully verified signature") == before + 1
    found = _signature(member)
    key = serialization.load_pem_private_key(signer.key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    pad = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    signed = base64.b64decode(found.pop(SIGNATURE))
    key.public_key().verify(signed, asked.image.read_bytes(), pad, hashes.SHA256())
    assert found == {
        "img_signature_certificate_uuid": signer.certificate_id,
        "img_signature_hash_method": "SHA-256",
        "img_signature_key_type": "RSA-PSS",
    }
    # Every signature is another: one that fits is not made again, and nobody takes it away from its bytes.
    assert publish(member, asked, QUIET).did == "nothing"
    assert publish(member, replace(asked, signer=None), QUIET).did == "nothing"
    assert set(_signature(member)) == set(NAMES)


def test_it_goes_where_the_bytes_go(keys: Keys, member: Glance, tmp_path: Path) -> None:
    signer = keys.made("goes")
    first = order(tmp_path, "signed", "one", signer=signer)
    publish(member, first, QUIET)
    mine = _signature(member)
    publish(member, order(tmp_path, "signed", "two"), QUIET)
    assert _signature(member) == {}
    assert publish(member, order(tmp_path, "signed", "two", signer=signer), QUIET).did == "reconciled"
    theirs = _signature(member)
    assert set(theirs) == set(NAMES) and theirs[SIGNATURE] != mine[SIGNATURE]
    # A signature of other bytes, and one by another key, are made anew.
    (shown,) = [image for image in member.images() if not image["os_hidden"]]
    member.patch(shown["id"], [{"op": "replace", "path": f"/{SIGNATURE}", "value": mine[SIGNATURE]}])
    assert publish(member, order(tmp_path, "signed", "two", signer=signer), QUIET).did == "reconciled"
    assert signer.has_signed(_signature(member), order(tmp_path, "signed", "two").manifest.sha256)
    other = keys.made("other")
    assert publish(member, order(tmp_path, "signed", "two", signer=other), QUIET).did == "reconciled"
    assert other.has_signed(_signature(member), order(tmp_path, "signed", "two").manifest.sha256)


class _OfOtherBytes(Signer):
    """Signs what is not sent: the image changes after it was signed."""

    def sign(self, image: Path) -> dict[str, str]:
        changed = image.with_suffix(".changed")
        changed.write_bytes(image.read_bytes() + b"x")
        return super().sign(changed)


@WAYS
@pytest.mark.parametrize("wrong", ["bytes", "key", "certificate"])
def test_a_spoiled_signature_is_refused_and_nothing_changes(
    keys: Keys, member: Glance, tmp_path: Path, method: str, wrong: str
) -> None:
    old = publish(member, order(tmp_path, "signed", "old"), QUIET).image
    right = keys.made(f"{wrong}-{method}")
    signer = {
        "bytes": lambda: _OfOtherBytes(right.key, right.certificate_id),
        "key": lambda: Signer(keys.key("stranger"), right.certificate_id),
        "certificate": lambda: Signer(right.key, str(uuid.uuid4())),
    }[wrong]()
    asked: Order = order(tmp_path, "signed", "new", method=method, signer=signer)
    error: type[GoldsmithError] = CheckFailedError
    said = "400 .*Signature verification failed"
    if wrong == "certificate":
        said = "400 .*Certificate not found"
    if method == "import":
        # All that Glance says there is that it failed.
        error, said = HarnessError, "import .* failed in file"
    with pytest.raises(error, match=said) as caught:
        publish(member, asked, QUIET)
    assert "key is that of the certificate" in str(caught.value)
    assert [(i["id"], i["name"], i["os_hidden"]) for i in member.images()] == [(old, "signed", False)]
    assert _signature(member) == {}
