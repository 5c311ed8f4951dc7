"""Options about clouds, and that nobody without a cloud waits for OpenStack's libraries."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from goldsmith.commands import arguments
from goldsmith.commands.cloud_options import of_clouds
from goldsmith.errors import InputError

#: what `goldsmith run` of a recipe imports
_IMPORTS = "import goldsmith.cli, goldsmith.commands.work, goldsmith.commands.verification, goldsmith.commands.proofs"
_LOOKS = "import argparse, sys; from goldsmith.commands.cloud_options import of_clouds"


def test_without_a_cloud_nothing_of_openstack_is_imported() -> None:
    code = f"{_IMPORTS}; {_LOOKS}; print(of_clouds(argparse.Namespace(cloud=[])), 'openstack' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(None, None) False\n"


def _parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for add in (arguments.clouds, arguments.signing, arguments.store):
        add(parser)
    return parser.parse_args(words)


def test_nothing_is_asked_for() -> None:
    assert of_clouds(_parsed()) == of_clouds(_parsed("--cloud", "web")) == (None, None)


@pytest.mark.parametrize(
    "words",
    [
        ("--sign-key", "key.pem"),
        ("--sign-key", "key.pem", "--sign-certificate", "1"),
        ("--cloud", "web", "--sign-key", "key.pem"),
        ("--cloud", "web", "--sign-certificate", "1"),
        ("--verify-store",),
        ("--cloud", "web", "--store-cloud", "swift"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(InputError):
        of_clouds(_parsed(*words))


def test_what_is_asked_for_is_told() -> None:
    signer, look = of_clouds(_parsed("--cloud", "web", "--verify-store"))
    assert signer is None
    assert look is not None
