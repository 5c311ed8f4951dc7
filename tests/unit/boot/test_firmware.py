"""Which OVMF is taken, by the descriptions of firmware on the host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from goldsmith.boot import firmware
from goldsmith.boot.firmware import find_ovmf, find_secure_ovmf
from goldsmith.errors import HostError


def describe(folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    code, variables = folder / f"{name}-code.fd", folder / f"{name}-vars.fd"
    code.touch()
    variables.touch()
    document: dict[str, Any] = {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": str(code), "format": "raw"},
            "nvram-template": {"filename": str(variables), "format": "raw"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
        "features": ["enrolled-keys", "requires-smm", "secure-boot", "verbose-dynamic"],
        **changes,
    }
    (folder / f"{name}.json").write_text(json.dumps(document))
    return document


def test_the_first_that_fits_in_order_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = tmp_path / "usr", tmp_path / "etc"
    monkeypatch.setattr(firmware, "DESCRIPTIONS", (ours, theirs))
    describe(theirs, "30-no-keys", features=["requires-smm", "secure-boot"])
    describe(theirs, "31-pc", targets=[{"architecture": "x86_64", "machines": ["pc-i440fx-*"]}])
    describe(theirs, "32-arm", targets=[{"architecture": "aarch64", "machines": ["*"]}])
    describe(theirs, "33-memory", mapping={"device": "memory", "filename": "/x"})
    (theirs / "34-broken.json").write_text("{")
    (theirs / "35-odd.json").write_text("[]")
    with pytest.raises(HostError, match="Secure Boot") as caught:
        find_secure_ovmf()
    assert "package ovmf" in str(caught.value)
    describe(theirs, "50-good")
    describe(theirs, "60-later")
    assert find_secure_ovmf() == (theirs / "50-good-code.fd", theirs / "50-good-vars.fd")
    # A file of the same name in the administrator's folder hides it.
    ours.mkdir()
    (ours / "50-good.json").touch()
    assert find_secure_ovmf()[0] == theirs / "60-later-code.fd"
    (theirs / "60-later-vars.fd").unlink()
    with pytest.raises(HostError):
        find_secure_ovmf()


def test_plain_ovmf_needs_both_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, variables = tmp_path / "code", tmp_path / "vars"
    code.touch()
    monkeypatch.setattr(firmware, "OVMF", ((code, variables),))
    with pytest.raises(HostError, match="OVMF"):
        find_ovmf()
    variables.touch()
    assert find_ovmf() == (code, variables)
