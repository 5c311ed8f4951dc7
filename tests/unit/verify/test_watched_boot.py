"""A boot whose console shows that it is lost ends at once, with a guest that is two sockets."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from goldsmith.boot.console import Console
from goldsmith.boot.guest import Guest
from goldsmith.boot.lab import Lab
from goldsmith.boot.machine import Machine
from goldsmith.errors import DeadlineError, HarnessError, MachineLostError, NoChannelError
from goldsmith.verify import boots
from goldsmith.verify.console_rules.patience import Patience
from goldsmith.verify.console_rules.rules import built_in
from goldsmith.verify.console_rules.watch import Watch

LINUX = b"[    0.000000] Linux version 6.12.1 (x) (gcc) #1 SMP\r\n"
PANIC = b"[    1.500000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n"


class Sockets:
    """The parts of a machine that a boot waits for."""

    scale = 1.0
    powered_off = False
    running = True

    def __init__(self) -> None:
        self.lost: MachineLostError | None = None
        self.folder = Path("/nowhere")
        ours, self.tty0 = socket.socketpair()
        self.console = Console(ours)
        ours, self.tty1 = socket.socketpair()
        self.guest = Guest(ours, last_words=self.console.shown)
        self.screen_is_gone = False

    def screendump(self, path: Path) -> tuple[int, int]:
        if self.screen_is_gone:
            raise HarnessError("the monitor is closed")
        path.write_bytes(b"picture")
        return 720, 400

    def loss(self, patience: float = 0.0) -> MachineLostError | None:
        return self.lost

    def resets(self) -> int:
        return 0

    def starved(self) -> float:
        return 0.0

    def disk_operations(self) -> int:
        return int(1000 * time.monotonic())

    def close(self) -> None:
        for each in (self.tty0, self.tty1, self.console, self.guest):
            each.close()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sockets]:
    monkeypatch.setattr(boots, "LAST_WORDS_SECONDS", 0.1)
    sockets = Sockets()
    yield sockets
    sockets.close()


def booted(machine: Sockets, folder: Path, seconds: float = 900, passive: str = "") -> tuple[boots.LabBoot, Watch]:
    boot = boots.LabBoot(cast(Machine, machine), cast(Lab, None), folder, passive)
    watch = Watch(dataclasses.replace(built_in(), patience=Patience(boot=seconds)), "bios")
    boot.observe(watch)
    return boot, watch


def test_a_panic_ends_the_wait_at_once_with_phase_and_rule(machine: Sockets, tmp_path: Path) -> None:
    boot, _ = booted(machine, tmp_path)
    started = time.monotonic()
    machine.tty0.sendall(LINUX + PANIC)
    with pytest.raises(HarnessError) as caught:
        boot.wait_ready()
    assert time.monotonic() - started < 10 < boots.BOOT_SECONDS
    assert caught.value.message == "the boot ended in kernel: kernel-panic, the kernel gave up"
    assert caught.value.hint and caught.value.hint.startswith("line 2 of the console: [    1.500000] Kernel panic")
    assert not boot.ready


def test_a_panic_that_was_there_before_anybody_looked_counts_too(machine: Sockets, tmp_path: Path) -> None:
    machine.tty0.sendall(LINUX + PANIC)
    time.sleep(0.2)
    boot, watch = booted(machine, tmp_path)
    with pytest.raises(HarnessError, match="kernel-panic"):
        boot.wait_ready()
    assert watch.ended


def test_a_guest_that_reboots_in_a_loop_ends_the_wait(machine: Sockets, tmp_path: Path) -> None:
    boot, _ = booted(machine, tmp_path)
    machine.tty0.sendall(LINUX * 4)
    with pytest.raises(HarnessError, match="boot-loop, the guest reboots in a loop"):
        boot.wait_ready()


def test_a_panic_later_ends_a_command_that_waits_and_all_after_it(machine: Sockets, tmp_path: Path) -> None:
    boot, _ = booted(machine, tmp_path)
    machine.tty0.sendall(LINUX + b"debian login: " + PANIC)
    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(HarnessError, match="the boot ended in login: kernel-panic"):
            boot.guest.run("true", 600)
    assert time.monotonic() - started < 10


def test_what_a_guest_says_of_its_end_is_waited_for_before_anybody_reads_it(
    machine: Sockets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boots, "LAST_WORDS_SECONDS", 1.0)
    boot, watch = booted(machine, tmp_path)
    machine.tty0.sendall(LINUX + b"You are in emergency mode.\r\n")
    while not watch.ended:
        time.sleep(0.01)
    # The channel still answers: a unit of the guest's may run in emergency mode, too.
    threading.Timer(0.3, machine.tty0.sendall, [b"the root account is locked\r\n"]).start()
    with pytest.raises(HarnessError, match="emergency-shell"):
        boot.guest.run("true", 600)
    assert boot.console()[-1] == "the root account is locked"


def test_what_is_wrong_but_not_the_end_does_not_end_the_wait(machine: Sockets, tmp_path: Path) -> None:
    boot, watch = booted(machine, tmp_path, seconds=0.7)
    machine.tty0.sendall(LINUX + b"[FAILED] Failed to start x.service.\r\n")
    with pytest.raises(DeadlineError, match="did not start it"):
        boot.wait_ready()
    assert watch.ended is None and len(watch.timeline().marks) == 1


def test_a_boot_that_nobody_observes_waits_as_ever(
    machine: Sockets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boots.LabBoot, "_patience", Patience(boot=0.5))
    machine.tty0.sendall(PANIC)
    with pytest.raises(DeadlineError):
        boots.LabBoot(cast(Machine, machine), cast(Lab, None), tmp_path).wait_ready()


def test_a_picture_is_named_after_what_it_is_of(machine: Sockets, tmp_path: Path) -> None:
    boot, _ = booted(machine, tmp_path)
    assert boot.screenshot("goldsmith/settled") == tmp_path / "screen-goldsmith-settled.png"
    assert (tmp_path / "screen-goldsmith-settled.png").read_bytes() == b"picture"
    machine.screen_is_gone = True
    assert boot.screenshot("x") is None


def test_a_guest_that_powers_itself_off_is_told_from_a_qemu_that_dies(machine: Sockets, tmp_path: Path) -> None:
    machine.tty0.sendall(LINUX)
    machine.powered_off = True
    boot, watch = booted(machine, tmp_path)
    machine.tty1.close()
    with pytest.raises(HarnessError, match="the boot ended in kernel: powered-off") as off:
        boot.wait_ready()
    assert not isinstance(off.value, MachineLostError) and watch.gave_up


def test_a_qemu_that_dies_is_not_the_guests_fault(machine: Sockets, tmp_path: Path) -> None:
    machine.lost = MachineLostError("QEMU ended with SIGKILL while the guest ran")
    boot, watch = booted(machine, tmp_path)
    machine.tty1.close()
    with pytest.raises(MachineLostError, match="SIGKILL"):
        boot.wait_ready()
    assert watch.ended is None and watch.gave_up is None


def test_a_panic_before_qemu_goes_is_the_guests(machine: Sockets, tmp_path: Path) -> None:
    boot, _ = booted(machine, tmp_path)
    machine.tty0.sendall(LINUX + PANIC)
    time.sleep(0.3)
    machine.lost = MachineLostError("QEMU ended with 1 while the guest ran")
    machine.tty1.close()
    with pytest.raises(HarnessError, match="kernel-panic"):
        boot.wait_ready()


def test_a_guest_that_can_only_be_looked_at_is_waited_for_until_it_asks_who_is_there(
    machine: Sockets, tmp_path: Path
) -> None:
    boot, _ = booted(machine, tmp_path, passive="there is no systemd")
    machine.tty0.sendall(LINUX + b"small login: ")
    with pytest.raises(NoChannelError, match="no command can be asked of this guest: there is no systemd"):
        boot.wait_ready()
    assert not boot.ready


def test_nor_does_that_one_wait_for_a_prompt_that_never_comes(machine: Sockets, tmp_path: Path) -> None:
    boot, _ = booted(machine, tmp_path, passive="there is no systemd")
    machine.tty0.sendall(LINUX + PANIC)
    with pytest.raises(HarnessError, match="kernel-panic"):
        boot.wait_ready()
