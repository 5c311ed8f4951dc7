"""Options of --verify-store: which go together, and what they say of how to look."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from goldsmith.commands import arguments
from goldsmith.commands.store import Look
from goldsmith.errors import InputError


def _parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    arguments.clouds(parser)
    arguments.store(parser)
    return parser.parse_args(words)


def test_what_is_said() -> None:
    assert Look.of(_parsed("--cloud", "a")) is None
    assert Look.of(_parsed("--cloud", "a", "--verify-store")) == Look(
        None, "glance", None, Path("/etc/swift/swift.conf")
    )
    words = ("--verify-store", "--store-cloud", "b", "--store-container", "images", "--store-devices", "/srv/node")
    expected = Look("b", "images", Path("/srv/node"), Path("/x"))
    assert Look.of(_parsed("--cloud", "a", *words, "--swift-conf", "/x")) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--verify-store",), "add --cloud"),
        (("--cloud", "a", "--store-cloud", "b"), "add --verify-store"),
        (("--cloud", "a", "--store-devices", "/srv/node"), "add --verify-store"),
    ],
)
def test_what_does_not_fit(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError) as raised:
        Look.of(_parsed(*words))
    assert said in str(raised.value)
