"""A machine that boots is looked at for what its console does not tell, by a clock that is set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from goldsmith.boot.lines import Line
from goldsmith.boot.screen import Screen
from goldsmith.errors import MachineLostError
from goldsmith.verify import lookout as lookout_module
from goldsmith.verify.console_rules.patience import Patience
from goldsmith.verify.console_rules.rules import built_in
from goldsmith.verify.console_rules.watch import STANDSTILL, Watch
from goldsmith.verify.lookout import Lookout

MENU = ("", "                     GNU GRUB  version 2.06-13", " *small")
NO_DISK = ("SeaBIOS (version 1.16.2)", "Booting from Hard Disk...", "No bootable device.")
PATIENCE = Patience(quiet={"firmware": 100, "GRUB": 100, "kernel": 300, "initrd": 300})


class Console:
    def __init__(self) -> None:
        self.received = 0
        self.at = 0.0

    def seconds(self) -> float:
        return self.at


class Machine:
    """A machine that does what it is told between two looks."""

    scale = 1.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console = Console()
        self.lost: MachineLostError | None = None
        self.reset_count = 0
        self.operations = 0
        self.shown: tuple[str, ...] | None = ()
        self.picture = b"1"
        self.looks = 0
        self.waited = 0.0

    def starved(self) -> float:
        return self.waited

    def loss(self, patience: float = 0.0) -> MachineLostError | None:
        return self.lost

    def resets(self) -> int:
        return self.reset_count

    def disk_operations(self) -> int:
        return self.operations

    def screen(self) -> Screen:
        self.looks += 1
        (self.folder / "screen.png").write_bytes(self.picture + repr(self.shown).encode())
        return Screen(720, 400, self.shown)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.watch = Watch(dataclasses.replace(built_in(), patience=PATIENCE), "bios")
        self.now = 0.0
        self.lookout = Lookout(self.machine, self.watch, lambda: None, clock=lambda: self.now)

    def looks(self, seconds: float, step: float = 10.0) -> bool:
        """Look each ``step`` seconds, until it is over or the time is."""
        end = self.now + seconds
        while self.now < end:
            self.now = self.machine.console.at = self.now + step
            if self.lookout.look():
                return True
        return False


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def say(bench: Bench, text: str, number: int = 1) -> None:
    bench.watch.take(Line(number, bench.now, text))
    bench.machine.console.received += len(text)


def test_a_menu_that_waits_for_ever_stands_still_in_grub(bench: Bench) -> None:
    say(bench, "GNU GRUB  version 2.06")
    assert not bench.looks(100)
    assert bench.looks(40)
    assert bench.watch.gave_up and bench.watch.gave_up.rule == STANDSTILL
    assert bench.watch.gave_up.reason.startswith("for 100 s nothing came over the console")
    assert bench.watch.phase().name == "GRUB"


def test_the_screen_tells_the_phase_where_the_console_does_not(bench: Bench) -> None:
    bench.machine.shown = MENU
    assert not bench.looks(110)
    assert bench.looks(40)
    assert (bench.watch.phase().name, bench.watch.seen_on_screen, bench.watch.silent) == ("GRUB", True, True)


def test_what_nobody_can_see_has_the_longest_patience(bench: Bench) -> None:
    """A quiet kernel without a serial console: it may be long past the firmware."""
    bench.machine.shown = None
    assert not bench.looks(300)
    assert bench.looks(40)
    assert bench.watch.known_phase() is None


@pytest.mark.parametrize("sign", ["console", "disk", "screen"])
def test_any_sign_of_life_keeps_it_waiting(bench: Bench, sign: str) -> None:
    say(bench, "GNU GRUB  version 2.06")
    for turn in range(20):
        assert not bench.looks(80), turn
        if sign == "console":
            bench.machine.console.received += 1
        elif sign == "disk":
            bench.machine.operations += 1
        else:
            bench.machine.picture = f"new {turn}".encode()
    assert bench.looks(200)


def test_a_cursor_that_blinks_is_no_sign_of_life(bench: Bench) -> None:
    say(bench, "GNU GRUB  version 2.06")
    over = False
    for turn in range(30):
        bench.machine.picture = (b"on", b"off")[turn % 2]
        over = over or bench.looks(10)
    assert over


def test_a_boot_that_goes_on_costs_no_look_at_its_screen(bench: Bench) -> None:
    for _ in range(30):
        bench.machine.operations += 1
        assert not bench.looks(10)
    assert bench.machine.looks == 0


def test_the_firmware_speaks_on_the_screen_alone(bench: Bench) -> None:
    bench.machine.shown = NO_DISK
    assert bench.looks(60)
    assert bench.watch.gave_up
    assert bench.watch.gave_up.rule == "no-bootable-device"
    assert bench.watch.gave_up.reason.endswith("the screen says: No bootable device.")


def test_what_passes_on_the_screen_is_not_the_end(bench: Bench) -> None:
    bench.looks(10)
    bench.machine.shown = NO_DISK
    assert not bench.looks(10)
    bench.machine.shown = MENU
    assert not bench.looks(50)


def test_a_machine_that_is_reset_again_and_again_goes_round(bench: Bench) -> None:
    bench.machine.reset_count = lookout_module.MOST_RESETS
    assert not bench.looks(10)
    bench.machine.reset_count += 1
    assert bench.looks(10)
    assert bench.watch.gave_up and bench.watch.gave_up.rule == "boot-loop"
    assert "reset 4 times" in bench.watch.gave_up.reason


def test_resets_that_are_expected_do_not_count(bench: Bench) -> None:
    bench.watch.restarts = 1
    bench.machine.reset_count = lookout_module.MOST_RESETS + 1
    assert not bench.looks(10)


def test_a_machine_that_is_lost_is_not_held_against_the_guest(bench: Bench) -> None:
    bench.machine.lost = MachineLostError("no")
    assert bench.looks(10)
    assert bench.lookout.lost is bench.machine.lost and bench.watch.gave_up is None


@pytest.mark.parametrize(("scale", "seconds"), [(0.2, 100), (1.0, 100), (3.0, 300)])
def test_a_fast_host_makes_no_menu_shorter(scale: float, seconds: float) -> None:
    assert PATIENCE.quiet_in("GRUB", scale) == seconds
    assert PATIENCE.quiet_in(None, scale) == seconds * 3


def test_no_phase_is_given_less_than_a_hidden_menu_and_a_device_that_is_waited_for() -> None:
    own = Patience()
    assert own.quiet_in("GRUB", 1.0) >= 2 * 30
    assert own.quiet_in("systemd", 1.0) >= 2 * 90
    assert own.quiet_in(None, 1.0) < own.boot


def test_a_disk_whose_boot_code_does_nothing_is_as_soon_over_as_a_menu(bench: Bench) -> None:
    bench.machine.shown = ("SeaBIOS (version 1.16.2)", "Booting from Hard Disk...", "")
    assert not bench.looks(110)
    assert bench.looks(40)
    assert bench.watch.gave_up and "is there a bootloader for this firmware?" in bench.watch.gave_up.reason
    assert bench.watch.handed_over and bench.watch.known_phase() == "firmware"


def test_a_firmware_that_tries_one_thing_after_another_has_not_handed_over(bench: Bench) -> None:
    bench.machine.shown = ("Booting from Hard Disk...", "Boot failed: could not read the boot disk")
    assert not bench.looks(200)
    assert bench.watch.known_phase() is None


def test_time_in_which_the_host_did_not_let_it_run_does_not_count(bench: Bench) -> None:
    """A kernel that unpacks itself says nothing and reads nothing; on a busy host that can take minutes."""
    say(bench, "GNU GRUB  version 2.06")
    assert not bench.looks(20)
    for _ in range(50):
        bench.machine.waited += 9
        assert not bench.looks(10)
    # One second in ten was its own.
    assert bench.looks(70)
