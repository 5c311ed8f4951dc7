"""Images that do not boot, and a QEMU that does not last: each ends soon, says where, and leaves nothing behind.

All are real guests, small ones (small_guests.py).  Two are verified at a time, as with two firmwares.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from small_guests import SmallGuests, entry, menu
from small_roots import systemd_root
from system_help import HERE, Workshop

from goldsmith.boot.console_log import HEAD, TAIL
from goldsmith.boot.screen import png_size
from goldsmith.verify.console_rules.phases import all_phases

pytestmark = pytest.mark.system

#: seconds on the reference host; a real boot's are 900, and 120 to 300 without a sign of life
PATIENCE: dict[str, Any] = {
    "boot": 300,
    "prompt": 10,
    "power-off": 8,
    "quiet": {spec.name: 15 if spec.name in ("firmware", "GRUB") else 60 for spec in all_phases()},
}
#: what its own rules and the rest of a verification may take beside the boot
BESIDE = 60
FLOOD_SECONDS = 40
#: MiB that a flood may cost beside what any boot costs: lines, text and log are bounded (goldsmith.boot.console)
FLOOD_MEMORY = 16


@dataclass(frozen=True)
class Case:
    """A guest, and how it is verified."""

    #: what GRUB does; without one there is none
    script: str | None
    root: str = "plain"
    #: "look" has the image looked into, as always; the others are not worth a launch of the appliance
    channel: str = "credential"
    checks: tuple[dict[str, Any], ...] = ()
    patience: dict[str, Any] = field(default_factory=dict)
    #: of the process, in the place of PATH
    path: str | None = None
    #: a line of the console after which QEMU is killed
    kill_after: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What a verification came to; ``peak`` is its process's memory in MiB, ``left`` are processes it left."""

    case: Case
    folder: Path
    returncode: int
    seconds: float
    peak: int
    left: list[str]
    unchanged: bool
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "report.json").read_text()))

    def verdict(self, name: str) -> dict[str, Any]:
        (found,) = [v for v in self.report["verdicts"] if f"{v['element']}/{v['check']}" == name]
        return dict(found)

    @property
    def phases(self) -> list[str]:
        (timeline,) = self.report["timelines"]
        return [phase["name"] for phase in timeline["phases"]]

    @property
    def marks(self) -> list[str]:
        (timeline,) = self.report["timelines"]
        return [mark["rule"] for mark in timeline["marks"]]

    @property
    def stalled(self) -> str:
        (timeline,) = self.report["timelines"]
        return str(timeline["stalled"])


CASES = {
    "panic": Case(entry("panic=0", initrd=None)),
    "grub": Case(menu(serial=True)),
    "grub-on-screen": Case(menu(serial=False)),
    "no-bootloader": Case(None),
    "grub-shell": Case("echo nothing\n"),
    # As a disk for UEFI alone is to a BIOS.
    "no-boot-code": Case(""),
    "initramfs": Case(entry("root=LABEL=nowhere rootdelay=1", "debian.img")),
    "emergency": Case(entry("root=LABEL=small", "debian.img"), root="systemd"),
    "reboots": Case(entry("do=reboot")),
    "reboots-silently": Case("reboot\n"),
    "powers-off": Case(entry("do=off")),
    "full": Case(
        entry("root=LABEL=small fstab=no do=hoard", "debian.img"),
        root="systemd",
        checks=(
            {"id": "route", "says": "there is a way out", "route": {"family": "ipv4", "destination": "default"}},
            {"id": "asked", "says": "the metadata service was asked", "metadata": {"min_requests": 1}},
        ),
    ),
    "passive": Case(entry("do=login"), channel="look"),
    "flood": Case(entry("do=flood"), patience={"boot": FLOOD_SECONDS}),
    "killed": Case(entry("do=login"), kill_after="Linux version"),
    "no-qemu": Case(None, path="fake"),
}


def _processes(folder: Path) -> list[str]:
    """Processes with the folder in their arguments, or as their working directory."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((process / "cwd").readlink())
        except OSError:
            continue
        # Another guest's folder may begin with the same letters.
        if f"{folder}/" in words or f"{place}/".startswith(f"{folder}/"):
            found.append(f"{process.name} {words}")
    return found


def _peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return max((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")), default=0)


def _kill_qemu(folder: Path) -> None:
    (found,) = [each for each in _processes(folder / "bios") if each.split()[1].startswith("qemu-system")]
    os.kill(int(found.split()[0]), signal.SIGKILL)


def _verify(name: str, case: Case, image: Path, folder: Path, workshop: Workshop) -> Outcome:
    before = hashlib.sha256(image.read_bytes()).digest()
    artefacts = folder / "artefacts"
    rules = folder / "rules.yaml"
    folder.mkdir()
    rules.write_text(json.dumps({"patience": {**PATIENCE, **case.patience}}))
    environment = dict(workshop.environment)
    if case.path:
        # QEMU by name alone: all else is where it always is.
        fake = folder / "bin" / "qemu-system-x86_64"
        fake.parent.mkdir()
        fake.write_text("#!/bin/sh\necho 'could not load PC BIOS: no such file' >&2\nexit 1\n")
        fake.chmod(0o755)
        environment["PATH"] = f"{fake.parent}:{environment['PATH']}"
    words = [image, artefacts, rules, case.channel, json.dumps(case.checks)]
    started = time.monotonic()
    with (folder / "stderr").open("w") as stderr:
        process = subprocess.Popen([sys.executable, HERE / "verify_small.py", *words], stderr=stderr, env=environment)
        try:
            peak, console = 0, artefacts / "bios" / "console.log"
            waits_for = case.kill_after
            while process.poll() is None:
                assert time.monotonic() < started + 1800, f"{name} does not end"
                peak = max(peak, _peak(process.pid))
                if waits_for and console.exists() and waits_for in console.read_text(errors="replace"):
                    _kill_qemu(artefacts)
                    waits_for = None
                time.sleep(0.2)
        finally:
            process.kill()
            process.wait()
    seconds = time.monotonic() - started
    end = time.monotonic() + 5
    while (left := _processes(folder)) and time.monotonic() < end:
        time.sleep(0.2)
    unchanged = hashlib.sha256(image.read_bytes()).digest() == before
    return Outcome(case, artefacts, process.returncode, seconds, peak, left, unchanged, (folder / "stderr").read_text())


def _take_through(name: str, guests: SmallGuests, base: Path, folder: Path, workshop: Workshop) -> Outcome:
    case = CASES[name]
    return _verify(name, case, guests.disk(name, base, case.script), folder, workshop)


@pytest.fixture(scope="session")
def guests(tmp_path_factory: pytest.TempPathFactory) -> SmallGuests:
    made = SmallGuests(tmp_path_factory.mktemp("small-guests"))
    made.prepare()
    return made


@pytest.fixture(scope="session")
def outcome(request, guests: SmallGuests, workshop: Workshop, accelerator, tmp_path_factory) -> Iterator[Callable]:
    """Takes all guests that are asked for through a verification."""
    items = [item for item in request.session.items if item.module.__name__ == __name__]
    asked = {name for item in items for name in item.callspec.params.values()}
    bases = {"plain": guests.base("plain"), "systemd": guests.base("systemd", systemd_root)}
    folder = tmp_path_factory.mktemp("bad-guests")
    # In processes of their own: other tests, which run meanwhile, change what belongs to theirs, such as time.sleep.
    with ProcessPoolExecutor(max_workers=2, mp_context=multiprocessing.get_context("spawn")) as pool:

        def begin(name: str) -> Future[Outcome]:
            return pool.submit(_take_through, name, guests, bases[CASES[name].root], folder / name, workshop)

        # The first test waits for the quickest; then the longest.
        order = sorted(asked, key=lambda name: (name != "no-qemu", name not in ("flood", "reboots", "full"), name))
        futures = {name: begin(name) for name in order}

        def found(name: str) -> Outcome:
            if name not in futures:
                futures[name] = begin(name)
            return futures[name].result()

        try:
            yield found
        finally:
            # An interrupted session does not begin with the rest.
            pool.shutdown(wait=True, cancel_futures=True)


def guest(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names)


@guest(*CASES)
def test_it_ends_in_time_and_leaves_nothing(outcome, accelerator, name):
    found = outcome(name)
    seconds = {**PATIENCE, **found.case.patience}["boot"]
    assert found.seconds < seconds * max(1.0, accelerator.scale) + BESIDE
    assert found.left == []
    assert found.unchanged
    assert "Traceback" not in found.stderr
    assert not list(found.folder.glob("bios/*.qcow2"))
    assert found.verdict("goldsmith/image-unchanged")["status"] == "pass"


#: guest to the rule, what settled says of the phase, the phase, and what the console's last lines hold
LOST = {
    "panic": ("kernel-panic", "ended in kernel, ", "kernel", "end Kernel panic"),
    "initramfs": ("initramfs-shell", "ended in initrd, ", "initrd", "Dropping to a shell!"),
    "emergency": ("emergency-shell", "ended in systemd, ", "systemd", "You are in emergency mode"),
    "reboots": ("boot-loop", "ended in ", "", ""),
    "reboots-silently": ("boot-loop", "ended in firmware, after ", "firmware", ""),
    "no-bootloader": ("no-bootable-device", "ended in firmware, after ", "firmware", ""),
    "no-boot-code": ("standstill", "stalled in firmware; the console showed nothing", "firmware", ""),
    "grub-shell": ("grub-shell", "ended in GRUB, as the screen shows; ", "GRUB", ""),
    "grub": ("standstill", "stalled in GRUB, ", "GRUB", "GNU GRUB"),
    "grub-on-screen": ("standstill", "stalled in GRUB, as the screen shows; ", "GRUB", ""),
    "powers-off": ("powered-off", "ended in initrd, ", "initrd", "good night"),
}


@guest(*LOST)
def test_an_image_that_does_not_boot_is_told_by_rule_and_phase(outcome, name):
    rule, where, phase, last = LOST[name]
    found = outcome(name)
    assert found.returncode == 1, found.stderr
    verdict = found.verdict("goldsmith/settled")
    assert verdict["status"] == "fail"
    assert verdict["seen"].startswith(where), verdict["seen"]
    assert f": {rule}, " in verdict["seen"], verdict["seen"]
    if phase:
        assert found.stalled == phase
    assert last in "\n".join(verdict["console"])
    assert bool(verdict["console"]) == bool(last or name == "reboots")
    assert verdict["repeat"].startswith("goldsmith verify ")
    assert f"{name}.img --firmware bios" in verdict["repeat"]
    assert "--check goldsmith/settled" in verdict["repeat"]
    picture = found.folder / "bios" / "screen-goldsmith-settled.png"
    if name == "powers-off":
        assert not picture.exists()
        return
    assert f"screen: {picture}" in verdict["seen"]
    assert png_size(picture)[0] >= 640


@guest("panic", "initramfs", "emergency", "reboots")
def test_the_console_check_names_the_line(outcome, name):
    # Of a loop the console shows each round; that it is one is seen by the machine.
    rule = "rebooted" if name == "reboots" else LOST[name][0]
    found = outcome(name)
    verdict = found.verdict("goldsmith/console")
    assert verdict["status"] == "fail"
    assert f"{rule}: " in verdict["seen"]
    assert rule in found.marks


@guest("no-bootloader")
def test_what_only_the_screen_says_is_said(outcome, name):
    assert "the screen says: No bootable device." in outcome(name).verdict("goldsmith/settled")["seen"]


@guest("grub", "grub-on-screen", "grub-shell", "no-bootloader", "no-boot-code", "reboots-silently")
def test_a_guest_that_hangs_early_is_not_waited_for_long(outcome, name, accelerator):
    assert outcome(name).seconds < 100 * max(1.0, accelerator.scale)


@guest("full")
def test_a_guest_that_comes_up_sick_is_told_what_ails_it(outcome, name):
    found = outcome(name)
    assert found.returncode == 1, found.stderr
    assert found.phases[-3:] == ["initrd", "systemd", "login"]
    assert found.verdict("goldsmith/settled")["status"] == "pass"
    assert found.verdict("goldsmith/login-prompt")["status"] == "pass"
    units = found.verdict("goldsmith/no-failed-units")
    assert (units["status"], units["layer"]) == ("fail", "live")
    assert "hoard.service" in units["seen"]
    console = found.verdict("goldsmith/console")
    assert console["status"] == "fail"
    assert "disk-full: a file system is full" in console["seen"]
    assert "No space left on device" in console["seen"]
    for name in ("small/route", "small/asked"):
        verdict = found.verdict(name)
        assert verdict["status"] == "fail", verdict
    assert "initrd" in found.phases


@guest("passive")
def test_a_guest_that_takes_no_commands_is_looked_at(outcome, name):
    found = outcome(name)
    assert (
        found.report["channel"]
        == "passive: there is neither systemd in the image nor QEMU's guest agent to run a command"
    )
    settled = found.verdict("goldsmith/settled")
    assert settled["status"] == "broken"
    assert "no command can be asked of this guest: there is neither systemd" in settled["seen"]
    assert "its console shows a login prompt" in settled["seen"]
    assert f"screen: {found.folder}/bios/screen-goldsmith-settled.png" in settled["seen"]
    assert "login:" in "\n".join(settled["console"])
    assert found.verdict("goldsmith/no-failed-units")["status"] == "broken"
    assert found.verdict("goldsmith/login-prompt")["status"] == "pass"
    # Nothing in it looks at the power button: that is the image's.
    assert found.verdict("goldsmith/powers-off")["status"] == "fail"
    assert found.returncode == 1


@guest("flood")
def test_a_flood_costs_neither_memory_nor_disk(outcome, name):
    found = outcome(name)
    assert found.returncode == 1, found.stderr
    log = found.folder / "bios" / "console.log"
    assert log.stat().st_size <= HEAD + TAIL + 200
    assert log.stat().st_size > 2**18, "that was no flood"
    assert found.peak < outcome("panic").peak + FLOOD_MEMORY
    assert (found.folder / "report.json").stat().st_size < 2**20
    verdict = found.verdict("goldsmith/settled")
    assert verdict["seen"].startswith("stalled in initrd, ")
    # The last line is as far as it had come.
    assert any("the very same line" in line for line in verdict["console"])


@guest("killed")
def test_a_qemu_that_is_killed_is_the_hosts(outcome, name):
    found = outcome(name)
    assert found.returncode == 3, found.stderr
    settled = found.verdict("goldsmith/settled")
    assert settled["status"] == "broken"
    assert "QEMU ended with SIGKILL while the guest ran, in kernel" in settled["seen"]
    assert found.stalled == "kernel"
    assert {v["status"] for v in found.report["verdicts"] if v["check"] != "image-unchanged"} == {"broken"}


@guest("no-qemu")
def test_a_qemu_that_ends_at_once_says_its_words(outcome, name):
    found = outcome(name)
    assert found.returncode == 3, found.stderr
    settled = found.verdict("goldsmith/settled")
    assert settled["status"] == "broken"
    assert "QEMU ended with 1: " in settled["seen"]
    assert "could not load PC BIOS: no such file" in settled["seen"]
    assert settled["repeat"]
