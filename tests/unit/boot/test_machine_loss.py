"""Who is to blame for a machine that is gone: its guest, or the host."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.hardware import Hardware
from goldsmith.boot.launcher import LocalLauncher
from goldsmith.boot.machine import Machine
from goldsmith.host.deadline import Deadline
from goldsmith.host.jail import user_jail
from goldsmith.settings import Settings


@pytest.fixture
def tiny(settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path) -> Iterator[Machine]:
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1)
    with Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()) as machine:
        # To the line's end: what follows the word may come a moment later.
        machine.console.wait_for("hello\n", Deadline.after(60))
        yield machine


def _kill(machine: Machine) -> None:
    """As the host does that is out of memory: not through the launcher."""
    here = str(machine.folder)
    for process in Path("/proc").iterdir():
        try:
            words, place = (process / "cmdline").read_bytes(), str((process / "cwd").readlink())
        except (OSError, ValueError):
            continue
        if place == here and words.startswith(b"qemu-system"):
            os.kill(int(process.name), signal.SIGKILL)


def test_a_machine_that_runs_is_not_lost_and_counts_what_it_does(tiny: Machine) -> None:
    assert tiny.loss() is None
    assert not tiny.powered_off
    before = tiny.disk_operations()
    assert before > 0, "the boot sector was read"
    assert tiny.console.received >= len(b"\x1b[1mhello\x1b[0m\r\n")
    assert tiny.resets() == 0
    tiny.starved()
    assert tiny._pid, "QEMU was found"
    tiny.reset()
    tiny.console.wait_for("hello\n", Deadline.after(60))
    # SeaBIOS makes up to ten of one.
    assert tiny.resets() == 1
    assert sum(event.name == "RESET" for event in tiny.monitor.events) > 1
    time.sleep(0.6)
    tiny.reset()
    tiny.console.wait_for("hello\n", Deadline.after(60))
    assert tiny.resets() == 2
    assert tiny.disk_operations() > before


def test_a_guest_that_powers_off_is_no_loss(tiny: Machine) -> None:
    tiny.monitor.execute("quit")
    assert tiny.loss(patience=20) is None
    assert tiny.powered_off


def test_a_qemu_that_is_killed_is_one(tiny: Machine) -> None:
    _kill(tiny)
    lost = tiny.loss(patience=20)
    assert lost and lost.message == "QEMU ended with SIGKILL while the guest ran"
    assert lost.where == str(tiny.folder)
    assert not tiny.powered_off


def test_so_it_is_in_a_jail(settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path) -> None:
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1)
    with (
        user_jail(settings.base_environment) as jail,
        Machine(settings, hardware, tmp_path / "run", emulation, jail) as machine,
    ):
        machine.console.wait_for("hello", Deadline.after(60))
        _kill(machine)
        lost = machine.loss(patience=20)
        assert lost and "SIGKILL" in lost.message


def test_a_jail_that_is_gone_took_the_machine_along(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1)
    with user_jail(settings.base_environment) as jail:
        machine = Machine(settings, hardware, tmp_path / "run", emulation, jail)
        machine.start()
        machine.console.wait_for("hello", Deadline.after(60))
    lost = machine.loss(patience=5)
    assert lost and lost.message == "QEMU ended with its lab while the guest ran"
    machine.quit()


@pytest.mark.parametrize(
    ("state", "words"), [("io-error", "is the host's disk full?"), ("internal-error", "cannot go on"), ("running", "")]
)
def test_a_guest_that_qemu_stopped_is_not_to_blame(
    tiny: Machine, monkeypatch: pytest.MonkeyPatch, state: str, words: str
) -> None:
    def answer(command: str, *arguments: Any, **named: Any) -> Any:
        assert command == "query-status"
        return {"status": state}

    monkeypatch.setattr(tiny.monitor, "execute", answer)
    lost = tiny.loss()
    assert (lost is None) == (not words)
    assert lost is None or words in lost.message
