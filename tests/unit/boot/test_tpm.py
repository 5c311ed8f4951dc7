"""swtpm beside QEMU: with a stand-in, because it is not everywhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldsmith.boot import machine as machine_module
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.hardware import Hardware, Shape
from goldsmith.boot.launcher import LocalLauncher
from goldsmith.boot.machine import Machine
from goldsmith.boot.tpm import Tpm
from goldsmith.errors import HarnessError, HostError
from goldsmith.host.deadline import Deadline
from goldsmith.settings import Settings

#: opens its control socket and waits, as swtpm does before QEMU comes
STAND_IN = """#!/usr/bin/python3
import os, socket, sys, time
open("arguments", "w").write(" ".join(sys.argv[1:]))
path = sys.argv[sys.argv.index("--ctrl") + 1].partition("path=")[2]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
open("pid.new", "w").write(str(os.getpid()))
os.rename("pid.new", "pid")
time.sleep(60)
"""


@pytest.fixture
def search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A PATH with the stand-in in front."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "swtpm"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    yield path


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_starts_with_its_version_and_ends(tmp_path: Path, search_path: str) -> None:
    for version, flag in (("2.0", True), ("1.2", False)):
        folder = tmp_path / version
        folder.mkdir()
        tpm = Tpm(folder, "2.0" if version == "2.0" else "1.2", LocalLauncher(), search_path)
        tpm.start(Deadline.after(20))
        Deadline.after(5).wait_for((folder / "pid").exists, "the stand-in")
        said = (folder / "arguments").read_text()
        assert said.startswith("socket --tpmstate dir=tpm --ctrl type=unixio,path=swtpm.sock --terminate")
        assert ("--tpm2" in said) is flag
        pid = int((folder / "pid").read_text())
        assert alive(pid)
        tpm.stop()
        assert not alive(pid)
        tpm.stop()


def test_without_it_the_remedy_is_named_and_qemu_is_not_started(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldsmith.boot.tpm.SWTPM", "no-such-swtpm")
    hardware = Hardware(boot_disk, "raw", memory=64, shape=Shape(tpm_version="2.0"))
    machine = Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher())
    with pytest.raises(HostError, match="swtpm") as caught:
        machine.start()
    assert "install the package swtpm" in str(caught.value)
    assert not machine.running
    assert not (tmp_path / "run/qemu.log").exists()


def test_one_that_dies_at_once_shows_its_words(tmp_path: Path, search_path: str) -> None:
    (tmp_path / "bin/swtpm").write_text("#!/bin/sh\necho no state >&2\nexit 3\n")
    with pytest.raises(HarnessError, match="swtpm ended with 3") as caught:
        Tpm(tmp_path, "2.0", LocalLauncher(), search_path).start(Deadline.after(20))
    assert "no state" in str(caught.value)


def test_it_ends_with_a_machine_that_does_not_start(
    settings: Settings,
    emulation: Accelerator,
    boot_disk: Path,
    tmp_path: Path,
    search_path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The stand-in answers nothing, so QEMU waits for its TPM until the machine's patience ends.
    monkeypatch.setattr(machine_module, "START", 2.0)
    hardware = Hardware(boot_disk, "raw", memory=64, shape=Shape(tpm_version="2.0"))
    machine = Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher())
    machine._tpm = Tpm(machine.folder, "2.0", LocalLauncher(), search_path)
    started = time.monotonic()
    with pytest.raises(HarnessError):
        machine.start()
    assert time.monotonic() - started < 30
    assert not machine.running
    assert not alive(int((tmp_path / "run/pid").read_text()))
