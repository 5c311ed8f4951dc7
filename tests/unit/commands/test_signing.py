"""--sign-key and --sign-certificate: both or none, and both looked at before any work."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from goldsmith.commands import arguments
from goldsmith.commands.clouds import signer
from goldsmith.errors import InputError

ID = "5a1f2b30-0000-4000-8000-000000000001"


def _parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    arguments.clouds(parser)
    arguments.signing(parser)
    return parser.parse_args(words)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("keys") / "key.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    made = rsa.generate_private_key(65537, 2048)
    path.write_bytes(made.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return str(path)


def test_both_make_a_signer_and_none_makes_none(key: str) -> None:
    assert signer(_parsed("--cloud", "a")) is None
    found = signer(_parsed("--cloud", "a", "--sign-key", key, "--sign-certificate", ID))
    assert found and (found.key, found.certificate_id) == (Path(key), ID)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--cloud", "a", "--sign-key", "KEY"), "needs the other"),
        (("--cloud", "a", "--sign-certificate", ID), "needs the other"),
        (("--sign-key", "KEY", "--sign-certificate", ID), "needs --cloud"),
        (("--cloud", "a", "--sign-key", "KEY", "--sign-certificate", "mine"), "not a UUID"),
        (("--cloud", "a", "--sign-key", "/nonexistent/key", "--sign-certificate", ID), "No such file"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(key: str, words: tuple[str, ...], wrong: str) -> None:
    with pytest.raises(InputError, match=wrong):
        signer(_parsed(*(key if word == "KEY" else word for word in words)))
