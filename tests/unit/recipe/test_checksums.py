"""Lists of checksums, as Debian, Ubuntu, Fedora and the BSDs write them."""

from __future__ import annotations

import pytest

from goldsmith.recipe.checksums import ChecksumError, digest_of, parse

A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    "text",
    [
        f"{A}  disk.qcow2\n{B}  other.qcow2\n",
        f"{A.upper()} *disk.qcow2\r\n{B} *other.qcow2\r\n",
        f"{A}  ./images/disk.qcow2\n",
        f"# disk.qcow2: 1000 bytes\nSHA256 (disk.qcow2) = {A}\nSHA512 (disk.qcow2) = {B}{B}\n",
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSHA256 (disk.qcow2) = {A}\n-----BEGIN PGP\n",
        f"{A}  disk.qcow2\n{A}  disk.qcow2",
    ],
)
def test_lists(text: str) -> None:
    assert digest_of("disk.qcow2", text) == A


def test_names_with_escapes() -> None:
    assert parse(f"\\{A}  a\\\\b\\nc\n") == {"a\\b\nc": A}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no sha256 in it"),
        ("<html>not found</html>", "has no sha256 in it"),
        (f"{'a' * 63}  disk.qcow2\n", "has no sha256 in it"),
        (f"{'a' * 128}  disk.qcow2\n", "has no sha256 in it"),
        (f"{B}  disk.qcow2.sig\n{B}  old-disk.qcow2\n", "does not have `disk.qcow2`"),
        (f"{A}  disk.qcow2\n{B}  old/disk.qcow2\n", "has two digests for `disk.qcow2`"),
    ],
)
def test_what_is_no_answer(text: str, words: str) -> None:
    with pytest.raises(ChecksumError, match=words):
        digest_of("disk.qcow2", text)
