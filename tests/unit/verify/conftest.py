"""What the tests of a verification share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from session_standins import Bench
from verify_standins import FakeBoot

from goldsmith import settings as settings_module
from goldsmith.store.manifest import Firmware


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("goldsmith.verify.settle._POLL_SECONDS", 0)
    image = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)
    settings = settings_module.from_environment({"HOME": str(tmp_path)})
    firmwares: tuple[Firmware, ...] = ("bios", "uefi")
    return Bench(tmp_path, settings, image, {firmware: FakeBoot(tmp_path / firmware) for firmware in firmwares})
