from __future__ import annotations

from pathlib import Path

import pytest

from goldsmith.errors import InputError
from goldsmith.store import manifest as manifests
from goldsmith.store.manifest import Manifest, UsedElement, Verdict


def make() -> Manifest:
    return Manifest(
        name="debian-13",
        recipe_digest="a" * 64,
        inputs={"base": "b" * 64},
        base={"distribution": "debian"},
        elements=(UsedElement(name="networkd", digest="c" * 64),),
        firmware=("bios", "uefi"),
        sha256="d" * 64,
        sha512="e" * 128,
        size=10,
        virtual_size=20,
        verdicts=(Verdict(layer="live", element="networkd", check="x", says="It works.", status="pass"),),
        goldsmith_version="0.1.0",
    )


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "debian-13.json"
    manifests.write(path, make())
    assert manifests.read(path) == make()


def test_what_is_no_manifest_is_refused_with_all_problems(tmp_path: Path) -> None:
    path = tmp_path / "debian-13.json"
    path.write_text(manifests.as_text(make()).replace('"size": 10', '"size": 0').replace('"uefi"', '"coreboot"'))
    with pytest.raises(InputError) as caught:
        manifests.read(path)
    assert [problem.path for problem in caught.value.problems] == ["firmware.1", "size"]


def test_an_absent_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file"):
        manifests.read(tmp_path / "debian-13.json")
