"""goldsmith's console rules: each is seen to fire and not to fire, whatever the guest writes around it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from console_samples import FIRES, HARMLESS

from goldsmith.boot.lines import Cutter
from goldsmith.boot.sockets import PlainText
from goldsmith.verify.console_rules.phases import all_phases
from goldsmith.verify.console_rules.rules import ConsoleRules, Harmless, Required, Rule, built_in
from goldsmith.verify.console_rules.watch import MOST_OF_ONE, SHOWN, Watch
from goldsmith.verify.timeline import Mark

COUNTING = {"rebooted", "boot-loop", "bootloader-loop"}
LINUX = "[    0.000000] Linux version 6.12.1 (x) (gcc) #1 SMP\n"


def watched(text: str | bytes, rules: ConsoleRules | None = None, restarts: int = 0, piece: int = 65536) -> Watch:
    """A watch that has seen a console from its beginning to its end."""
    watch = Watch(rules or built_in(), "bios", restarts)
    plain, cutter = PlainText(returns=True), Cutter(watch.take)
    data = text.encode() if isinstance(text, str) else text
    for at in range(0, len(data), piece):
        cutter.feed(plain.feed(data[at : at + piece]), at / 1000)
    cutter.finish()
    return watch


def marks(text: str | bytes, rules: ConsoleRules | None = None, restarts: int = 0) -> list[Mark]:
    return list(watched(text, rules, restarts).timeline().marks)


def test_every_rule_has_samples() -> None:
    assert {rule.id for rule in built_in().rules} == FIRES.keys() | COUNTING


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in FIRES.items() for line in lines])
def test_each_rule_fires_on_what_it_is_about_and_no_other_does(name: str, line: str) -> None:
    (mark,) = marks(f"{HARMLESS[0]}\r\n{line}\r\n{HARMLESS[1]}\r\n")
    (rule,) = [rule for rule in built_in().rules if rule.id == name]
    assert (mark.rule, mark.line, mark.reason) == (name, 2, rule.says)
    findings = watched(line).findings()
    assert bool(findings) is (rule.severity == "error")
    if findings:
        assert findings[0].seen.startswith(f"{name}: {rule.says}\nline 1: ")
    assert (watched(line).ended is not None) is rule.ends


@pytest.mark.parametrize("line", HARMLESS)
def test_no_rule_fires_on_what_good_boots_say(line: str) -> None:
    assert marks(line) == []
    assert marks(f"\x1b[0;1m{line}\x1b[0m\r\n") == []


@pytest.mark.parametrize(
    "raw",
    [
        b"\x1b[2J\x1b[01;01H\x1b[=3hKernel \x1b[1mpanic\x1b[0m - not\x1b[K syncing: x",
        b"10%\r20%\rKernel panic - not syncing: x\r\r\n",
        b"\x1b]0;a title\x07Kernel panic - not syncing: x\n",
        b"\xff\xfe\x00Kernel panic - not\x00 syncing: x\n",
        b"no newline behind it: Kernel panic - not syncing: x",
    ],
)
def test_escapes_and_carriage_returns_hide_nothing(raw: bytes) -> None:
    for piece in (1, 7, 65536):
        assert [mark.rule for mark in watched(raw, piece=piece).timeline().marks] == ["kernel-panic"]


def test_anchors_hold_behind_a_carriage_return_and_a_moved_cursor() -> None:
    assert [mark.rule for mark in marks("error: x.\rEntering rescue mode...\n")] == ["grub-shell"]
    assert [mark.rule for mark in marks("\x1b[5;3Hgrub rescue>\n")] == ["grub-shell"]
    assert marks("echo 'grub rescue>'\n") == []


def test_a_real_boot_that_went_well_shows_its_phases_and_no_rule_fires() -> None:
    # Debian 12 with UEFI, as it came over the wire under emulation, serial faults included; uneventful lines left out.
    watch = watched(Path(__file__).with_name("console_debian_12.txt").read_bytes(), piece=997)
    assert watch.findings() == []
    timeline = watch.timeline()
    assert timeline.marks == ()
    names = [spec.name for spec in all_phases() if spec.name != "login"]
    assert [phase.name for phase in timeline.phases if phase.name != "login"] == names
    assert watch.phase().name == "login"
    assert all(phase.seconds is not None for phase in timeline.phases if phase.name != "login")


def test_the_documentation_lists_every_rule_and_phase() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs/boots.md").read_text()
    for rule in built_in().rules:
        ends = "yes" if rule.ends else ""
        assert f"| `{rule.id}` | {rule.says} | {rule.severity} | {ends} |" in text, rule.id
    for spec in all_phases():
        assert f"| {spec.name} | {spec.says} |" in text, spec.name


def test_the_kernel_that_starts_again_is_counted() -> None:
    assert marks(LINUX) == []
    assert [(mark.rule, mark.line) for mark in marks(LINUX * 2)] == [("rebooted", 2)]
    assert marks(LINUX * 2, restarts=1) == [], "it was asked to"
    looping = watched(LINUX * 4)
    assert looping.ended and (looping.ended.rule, looping.ended.line) == ("boot-loop", 4)
    assert watched(LINUX * 3).ended is None
    assert watched(LINUX * 4, restarts=1).ended is None


def test_a_bootloader_that_never_gets_a_kernel_to_speak() -> None:
    loading = "Loading Linux 6.12.1 ...\nLoading initial ramdisk ...\n"
    assert watched(loading * 5).ended is None
    ended = watched(loading * 6).ended
    assert ended and ended.rule == "bootloader-loop"


def test_both_consoles_of_grub_count_once() -> None:
    assert marks("Loading Linux 6.1 ...\rLoading Linux 6.1 ...\n" * 4) == []


def test_a_flood_of_errors_keeps_the_first() -> None:
    found = watched("[FAILED] Failed to start x.\n" * 5000 + "x" * 5000 + "Kernel panic - not syncing: " + "y" * 5000)
    by_rule = [mark.rule for mark in found.timeline().marks]
    assert by_rule == ["unit-failed"] * MOST_OF_ONE + ["kernel-panic"]
    assert max(len(mark.text) for mark in found.timeline().marks) <= SHOWN
    assert found.timeline().marks[-1].line == 5001


@pytest.mark.parametrize(
    "unit",
    [
        "x",
        " ",
        "Kernel panic - not syncin",
        "INFO: task blocked for more than ",
        "XFS (",
        "EXT4-fs (a): ",
        "[FAILED ",
        "systemd[1]: systemd ",
        "Cloud-init v. ",
        "Out of memory: Kill",
        "a[1]: segfault at",
        "rcu_a",
        "] ",
        "dracut-",
        "BdsDxe: failed to load Boot0001 ",
        "[ 1.000000][",
        "Welcome to ",
        "\x1b[",
        "\x1b]",
        "\r",
        "(Initramfs)",
        "1",
    ],
)
def test_a_hostile_line_of_a_mebibyte_takes_no_longer_than_another(unit: str) -> None:
    hostile = unit * (2**20 // len(unit))
    started = time.process_time()
    watched(hostile)
    assert time.process_time() - started < 4


def test_lines_can_be_harmless_for_one_rule_or_for_all() -> None:
    bent = ConsoleRules(built_in().rules, ignore=(Harmless(rule="unit-failed", pattern=r"boot-efi\.mount"),))
    assert marks("[FAILED] Failed to mount boot-efi.mount.", bent) == []
    assert marks("[FAILED] Failed to mount var.mount.", bent) != []
    assert marks("[DEPEND] Dependency failed for boot-efi.mount", bent) != []
    bent = ConsoleRules(built_in().rules, ignore=(Harmless(pattern=r"boot-efi\.mount"),))
    assert marks("[DEPEND] Dependency failed for boot-efi.mount", bent) == []


def test_what_must_be_there() -> None:
    rules = ConsoleRules((), require=(Required(pattern="^ready$", says="the appliance came up"),))
    assert watched("x\nready", rules).findings() == []
    (finding,) = watched("x\nnot ready\n", rules).findings()
    assert finding.expected == "a line of the console matches '^ready$': the appliance came up"


def test_a_rule_of_ones_own_can_end_a_boot_once() -> None:
    rule = Rule(id="gave-up", pattern="giving up", unless="not giving up", says="our agent gave up", ends=True)
    watch = Watch(ConsoleRules((rule,)), "uefi")
    ends: list[Mark] = []
    watch.on_end = ends.append
    cutter = Cutter(watch.take)
    cutter.feed("not giving up\ngiving up\ngiving up\n", 1.0)
    assert [(mark.rule, mark.line) for mark in ends] == [("gave-up", 2)]
    assert watch.ended == ends[0]


def test_what_firmware_says_only_on_the_screen() -> None:
    watch = watched("")
    text = ("SeaBIOS (version 1.16.2)", "Booting from Hard Disk...", "No bootable device.", "")
    (said,) = watch.on_screen(text)
    assert said.startswith("the screen says: No bootable device. (no-bootable-device: ")
    assert watch.on_screen(("debian login:",)) == []
    assert watch.silent and not watched("x").silent
