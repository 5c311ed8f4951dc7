"""What a verification makes of the consoles of its boots."""

from __future__ import annotations

from session_standins import Bench, bad, found
from verify_standins import Said

from goldsmith.errors import HarnessError, MachineLostError, NoChannelError
from goldsmith.verify.console_rules.rules import with_users

GOOD = (
    "GNU GRUB  version 2.12",
    "[    0.000000] Linux version 6.12.1 (x) (gcc) #1 SMP",
    "[    8.000000] Run /init as init process",
    "[   19.000000] systemd[1]: systemd 257 running in system mode (+PAM)",
)
PANIC = "[   20.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100"


def test_the_report_carries_the_course_of_each_boot(bench: Bench) -> None:
    bench.boots["bios"].lines = GOOD
    bios, uefi = bench.verify().timelines
    assert [(phase.name, phase.began, phase.seconds) for phase in bios.phases] == [
        ("firmware", 0.0, 10.0),
        ("GRUB", 10.0, 10.0),
        ("kernel", 20.0, 10.0),
        ("initrd", 30.0, 10.0),
        ("systemd", 40.0, None),
    ]
    assert (bios.stalled, bios.marks) == ("", ())
    assert (uefi.firmware, [phase.name for phase in uefi.phases]) == ("uefi", ["firmware"])


def test_a_boot_that_was_refused_has_no_course(bench: Bench) -> None:
    bench.refusal = {"bios": HarnessError("no")}
    assert [timeline.firmware for timeline in bench.verify().timelines] == ["uefi"]


def test_a_stalled_boot_names_its_phase_and_for_how_long(bench: Bench) -> None:
    boot = bench.boots["bios"]
    boot.boots = boot.prompt = False
    boot.lines = GOOD[:3]
    report = bench.verify()
    verdict = bad(report)[("goldsmith/settled", "live", "bios")]
    assert verdict.status == "fail"
    assert verdict.seen == "stalled in initrd, 870 s after that began\nthe guest channel: silence"
    assert verdict.repeat == "goldsmith verify 'recipes/debian 13.yaml' --firmware bios --check goldsmith/settled"
    assert report.timelines[0].stalled == "initrd"
    assert bad(report)[("goldsmith/console", "live", "bios")].status == "broken", "half a boot proves nothing"


def test_a_silent_console_is_no_proof_of_where_it_stalled(bench: Bench) -> None:
    boot = bench.boots["bios"]
    boot.boots = boot.prompt = False
    seen = bad(bench.verify())[("goldsmith/settled", "live", "bios")].seen
    assert seen.startswith("the console showed nothing in 900 s: stalled in firmware, or it goes on unseen\n")


def test_a_boot_that_does_not_come_to_rest_stalls_where_it_is(bench: Bench) -> None:
    boot = bench.boots["bios"]
    boot.lines = GOOD
    boot.answers = {"is-system-running": Said("maintenance", 1)}
    report = bench.verify()
    verdict = bad(report)[("goldsmith/settled", "live", "bios")]
    assert verdict.seen.startswith("stalled in systemd, 860 s after that began\nmaintenance, waiting for:")
    assert verdict.seen.endswith(f"screen: {bench.folder}/screen-1.png")
    assert report.timelines[0].stalled == "systemd"


def test_a_cloud_init_with_an_error_is_no_stall(bench: Bench) -> None:
    bench.boots["bios"].answers = {"cloud-init": Said("status: error", 1)}
    report = bench.verify()
    assert "stalled" not in bad(report)[("goldsmith/settled", "live", "bios")].seen
    assert report.timelines[0].stalled == ""


def test_a_console_rule_fails_with_its_id_the_line_and_the_reason(bench: Bench) -> None:
    bench.boots["bios"].lines = (*GOOD, "[FAILED] Failed to start x.service - X.")
    report = bench.verify()
    ((key, verdict),) = bad(report).items()
    assert (key, verdict.status) == (("goldsmith/console", "live", "bios"), "fail")
    assert verdict.expected == "no unit-failed on the console"
    assert verdict.seen == (
        "unit-failed: systemd could not start, mount or stop a unit\nline 5: [FAILED] Failed to start x.service - X."
    )
    assert [(mark.rule, mark.line) for mark in report.timelines[0].marks] == [("unit-failed", 5)]


def test_a_panic_is_the_images_fault_even_behind_a_login_prompt(bench: Bench) -> None:
    boot = bench.boots["bios"]
    boot.boots = False
    boot.lines = (*GOOD, "debian login: ", PANIC)
    verdicts = bad(bench.verify())
    assert verdicts[("goldsmith/settled", "live", "bios")].status == "fail"
    assert verdicts[("goldsmith/settled", "live", "bios")].seen.startswith("ended in login, 850 s after that began")
    assert "kernel-panic: the kernel gave up\nline 6: [" in verdicts[("goldsmith/console", "live", "bios")].seen


def test_a_users_console_rules_bend_the_check_and_are_repeated(bench: Bench) -> None:
    bench.boots["bios"].lines = ("[FAILED] Failed to start x.service - X.",)
    file = bench.folder / "my rules.yaml"
    file.write_text("ignore: [unit-failed]\nrequire: [{pattern: 'agent ready', says: our agent is up}]\n")
    report = bench.verify(console_rules=with_users(file))
    assert {name for name, _, _ in bad(report)} == {"goldsmith/console"}
    verdict = bad(report)[("goldsmith/console", "live", "bios")]
    assert verdict.expected == "a line of the console matches 'agent ready': our agent is up"
    assert f"--firmware bios --console-rules '{file}' --check goldsmith/console" in verdict.repeat


def test_the_console_alone_can_be_asked_for(bench: Bench) -> None:
    report = bench.verify(only=("goldsmith/console",))
    assert [name for name, *_ in found(report)] == ["goldsmith/console"] * 2
    assert bench.boots["bios"].ready


def test_only_a_failure_is_pictured(bench: Bench) -> None:
    bench.boots["bios"].answers = {"probe": Said("wrong\n")}
    bench.verify()
    assert bench.boots["bios"].pictures == ["networkd/live"]
    assert bench.boots["uefi"].pictures == []


def test_a_guest_that_starts_over_was_asked_to_or_not(bench: Bench) -> None:
    boot = bench.boots["bios"]
    boot.lines = (*GOOD, *GOOD)
    assert "rebooted: " in bad(bench.verify())[("goldsmith/console", "live", "bios")].seen
    boot.restarts = 1
    assert bench.verify().status == "pass"


def test_a_guest_that_can_only_be_looked_at_has_its_screen_and_its_end_judged(bench: Bench) -> None:
    boot = bench.boots["bios"]
    boot.passive = "there is no systemd"
    boot.failure = NoChannelError("no command can be asked of this guest: there is no systemd")
    report = bench.verify()
    verdicts = {(v.name, v.layer): v for v in report.verdicts if v.firmware == "bios"}
    settled = verdicts[("goldsmith/settled", "live")]
    assert settled.status == "broken"
    assert "there is no systemd; its console shows a login prompt, 900 s after power-on" in settled.seen
    assert "screen: " in settled.seen
    assert "no command can be asked" in verdicts[("networkd/live", "live")].seen
    passed = {name for (name, _), verdict in verdicts.items() if verdict.status == "pass"}
    asked = {
        "goldsmith/login-prompt",
        "networkd/counted",
        "goldsmith/powers-off",
        "goldsmith/console",
        "networkd/baked",
    }
    assert passed == asked
    assert report.status == "broken"


def test_one_that_does_not_come_up_is_the_images_fault_all_the_same(bench: Bench) -> None:
    boot = bench.boots["bios"]
    boot.passive, boot.prompt = "there is no systemd", False
    boot.failure = HarnessError("no login prompt on ttyS0: not within 900 s")
    boot.lines = GOOD[:2]
    report = bench.verify()
    assert bad(report)[("goldsmith/settled", "live", "bios")].seen.startswith("stalled in kernel, 880 s after")
    assert bad(report)[("goldsmith/login-prompt", "live", "bios")].status == "broken"
    assert report.status == "fail"


def test_a_qemu_that_dies_in_a_boot_breaks_the_harness_and_names_the_phase(bench: Bench) -> None:
    boot = bench.boots["bios"]
    boot.lines, boot.prompt = GOOD[:3], False
    boot.failure = MachineLostError("QEMU ended with SIGKILL while the guest ran")
    report = bench.verify()
    verdicts = [v for v in report.verdicts if v.firmware == "bios"]
    assert {v.status for v in verdicts} == {"broken"} and report.status == "broken"
    assert "QEMU ended with SIGKILL while the guest ran, in initrd" in verdicts[0].seen
    assert report.timelines[0].stalled == "initrd"


def test_an_emergency_after_the_first_command_is_the_images_fault(bench: Bench) -> None:
    """The guest's end of the channel outlives an emergency."""
    boot = bench.boots["bios"]
    boot.lines = (*GOOD, "You are in emergency mode. After logging in, type ...")
    boot.lost_in = HarnessError("the boot ended in systemd: emergency-shell, systemd gave up")
    report = bench.verify()
    verdict = bad(report)[("goldsmith/settled", "live", "bios")]
    assert (verdict.status, boot.ready) == ("fail", True)
    assert verdict.seen.startswith("ended in systemd, 860 s after that began\nthe boot ended in systemd: emergency-")
    # Four minutes for a power button that nobody looks at would be for nothing.
    assert "the boot is over" in bad(report)[("goldsmith/powers-off", "shutdown", "bios")].seen


def test_a_command_that_fails_in_a_guest_that_is_up_is_not_the_images_fault(bench: Bench) -> None:
    boot = bench.boots["bios"]
    boot.prompt, boot.lines = False, GOOD
    boot.lost_in = HarnessError("the guest channel: no answer")
    assert bad(bench.verify())[("goldsmith/settled", "live", "bios")].status == "broken"


def test_a_boot_that_was_given_up_names_the_rule(bench: Bench) -> None:
    boot = bench.boots["bios"]
    boot.failure = HarnessError("the boot ended in firmware: boot-loop, the machine was reset 8 times")
    boot.given_up = ("boot-loop", "the machine was reset 8 times")
    verdict = bad(bench.verify())[("goldsmith/settled", "live", "bios")]
    # With a prompt on the console of a turn before, too.
    assert (verdict.status, boot.prompt) == ("fail", True)
    assert verdict.seen.startswith("ended in firmware, after 900 s; the console showed nothing\n")
    assert "boot-loop, the machine was reset 8 times" in verdict.seen
