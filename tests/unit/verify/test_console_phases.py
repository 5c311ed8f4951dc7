"""The timeline of a boot, from stamped lines."""

from __future__ import annotations

import pytest

from goldsmith.boot.lines import Line
from goldsmith.verify.console_rules.phases import MOST, all_phases
from goldsmith.verify.console_rules.rules import built_in
from goldsmith.verify.console_rules.watch import Watch
from goldsmith.verify.timeline import Phase, Timeline

#: seconds since power-on, and what the console shows then: Debian 12 with UEFI
DEBIAN = (
    (2.0, 'BdsDxe: starting Boot0001 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x1D,0x0)'),
    (3.0, "Welcome to GRUB!"),
    (3.5, "GNU GRUB  version 2.06-13+deb12u2"),
    (8.0, "Loading Linux 6.1.0-56-amd64 ..."),
    (9.0, "EFI stub: Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID device path"),
    (10.0, "[    0.000000] Linux version 6.1.0-56-amd64 (debian-kernel@lists.example) (gcc-12)"),
    (19.0, "[   11.309435] Run /init as init process"),
    (20.0, "Loading, please wait..."),
    (22.0, "Begin: Loading essential drivers ... done."),
    (33.0, "[   25.029046] systemd[1]: systemd 252.39-1~deb12u2 running in system mode (+PAM +AUDIT)"),
    (33.5, "Welcome to Debian GNU/Linux 12 (bookworm)!"),
    (
        74.0,
        "[   66.4] cloud-init[376]: Cloud-init v. 22.4.2 running 'init-local' at Sun, 22 Nov 2026. Up 65.78 seconds.",
    ),
    (105.0, "[   97.0] cloud-init[484]: Cloud-init v. 22.4.2 running 'init' at Sun, 22 Nov 2026. Up 96.54 seconds."),
    (140.0, "goldsmith-uefi login: "),
    (148.0, "[  140.4] cloud-init[548]: Cloud-init v. 22.4.2 running 'modules:config' at Sun, 22 Nov 2026."),
    (176.0, "[  168.0] cloud-init[574]: Cloud-init v. 22.4.2 running 'modules:final' at Sun, 22 Nov 2026."),
    (183.0, "[  174.7] cloud-init[574]: Cloud-init v. 22.4.2 finished at Sun, 22 Nov 2026. Up 174.54 seconds"),
    (500.0, "[  438.1] reboot: Power down"),
)


def seen(*lines: tuple[float, str], stalled: bool = False) -> Timeline:
    watch = Watch(built_in(), "uefi")
    for number, (at, text) in enumerate(lines, 1):
        watch.take(Line(number, at, text))
    watch.stalled = stalled
    return watch.timeline()


def times(timeline: Timeline) -> list[tuple[str, float, float | None]]:
    return [(phase.name, phase.began, phase.seconds) for phase in timeline.phases]


def test_a_boot_that_shows_everything() -> None:
    timeline = seen(*DEBIAN)
    assert times(timeline) == [
        ("firmware", 0.0, 3.0),
        ("GRUB", 3.0, 6.0),
        ("kernel", 9.0, 10.0),
        ("initrd", 19.0, 14.0),
        ("systemd", 33.0, 41.0),
        ("cloud-init init-local", 74.0, 31.0),
        ("cloud-init init", 105.0, 43.0),
        ("login", 140.0, None),
        ("cloud-init modules-config", 148.0, 28.0),
        ("cloud-init modules-final", 176.0, 7.0),
    ]
    assert (timeline.stalled, timeline.marks) == ("", ())
    assert {phase.name for phase in timeline.phases} == {spec.name for spec in all_phases()}


@pytest.mark.parametrize(
    ("last", "stalled"),
    [
        (0, "firmware"),
        (1, "firmware"),
        (2, "GRUB"),
        (4, "GRUB"),
        (5, "kernel"),
        (6, "kernel"),
        (8, "initrd"),
        (10, "systemd"),
        (12, "cloud-init init-local"),
        (13, "cloud-init init"),
        (14, "login"),
        (15, "cloud-init modules-config"),
        (16, "cloud-init modules-final"),
    ],
)
def test_a_boot_that_stalls_names_the_phase_begun_last(last: int, stalled: str) -> None:
    assert seen(*DEBIAN[:last], stalled=True).stalled == stalled
    assert seen(*DEBIAN[:last]).stalled == ""


def test_without_grub_on_the_serial_line_the_firmwares_time_is_not_known() -> None:
    (_, firmware, kernel, *_) = ("", *times(seen(*DEBIAN[5:])))
    assert (firmware, kernel) == (("firmware", 0.0, None), ("kernel", 10.0, 9.0))


def test_a_grub_that_shows_only_what_it_loads_began_at_an_unknown_time() -> None:
    assert times(seen(*DEBIAN[3:6])) == [("firmware", 0.0, None), ("GRUB", 8.0, None), ("kernel", 9.0, None)]


def test_a_quiet_kernel() -> None:
    lines = [
        *DEBIAN[1:4],
        (12.0, "[    2.345678] GPT:Primary header thinks Alt. header is not at the end of the disk."),
    ]
    assert times(seen(*lines)) == [("firmware", 0.0, 3.0), ("GRUB", 3.0, None), ("kernel", 12.0, None)]
    lines = [*DEBIAN[1:4], DEBIAN[10], (40.0, "debian login: ")]
    assert times(seen(*lines)) == [
        ("firmware", 0.0, 3.0),
        ("GRUB", 3.0, None),
        ("systemd", 33.5, 6.5),
        ("login", 40.0, None),
    ]


def test_no_cloud_init() -> None:
    assert times(seen(*DEBIAN[:11], (60.0, "debian login: ")))[-2:] == [("systemd", 33.0, 27.0), ("login", 60.0, None)]


def test_no_initrd() -> None:
    lines = [DEBIAN[5], (14.0, "[    4.000000] Run /sbin/init as init process"), DEBIAN[9]]
    assert times(seen(*lines))[1:] == [("kernel", 10.0, 4.0), ("systemd", 33.0, None)]


def test_no_console_at_all() -> None:
    assert times(seen()) == [("firmware", 0.0, None)]
    assert seen(stalled=True).stalled == "firmware"


def test_a_systemd_that_says_it_is_in_an_initrd() -> None:
    dracut = (
        (10.0, "[    0.000000] Linux version 5.14.0-284.el9.x86_64 (mockbuild@x)"),
        (14.0, "[    4.000000] Run /init as init process"),
        (15.0, "[    5.792000] systemd[1]: systemd 252-13.el9 running in system mode (+PAM +AUDIT)"),
        (15.1, "[    5.793755] systemd[1]: Running in initrd."),
        (15.2, "Welcome to Red Hat Enterprise Linux 9.2 (Plow) dracut-057-21.git20230214.el9 (Initramfs)!"),
        (16.0, "[  OK  ] Reached target Path Units."),
        (25.0, "[   15.000000] systemd[1]: systemd 252-13.el9 running in system mode (+PAM +AUDIT)"),
        (26.0, "Welcome to Red Hat Enterprise Linux 9.2 (Plow)!"),
    )
    assert times(seen(*dracut))[1:] == [("kernel", 10.0, 4.0), ("initrd", 14.0, 11.0), ("systemd", 25.0, None)]
    assert seen(*dracut[:6], stalled=True).stalled == "initrd"
    assert times(seen(*dracut[2:5]))[1:] == [("initrd", 15.1, None)], "it was seen, its beginning was not"


def test_a_guest_that_starts_over_begins_its_phases_anew() -> None:
    again = [(at + 200, text) for at, text in DEBIAN[1:9]]
    timeline = seen(*DEBIAN, *again, stalled=True)
    assert times(timeline)[10:] == [("GRUB", 203.0, 6.0), ("kernel", 209.0, 10.0), ("initrd", 219.0, None)]
    assert timeline.stalled == "initrd"


def test_a_guest_that_loops_has_a_bounded_timeline() -> None:
    lines = [(at + 30 * turn, text) for turn in range(100) for at, text in DEBIAN[1:9]]
    timeline = seen(*lines, stalled=True)
    assert len(timeline.phases) == MOST
    assert timeline.phases[-1].began > 2900


def test_a_prompt_is_a_login_before_its_line_ends() -> None:
    watch = Watch(built_in(), "bios")
    for _ in range(3):
        watch.take(Line(1, 4.0, "debian login: ", complete=False))
    watch.take(Line(1, 4.0, "debian login: [FAILED] Failed to start x."))
    assert watch.phase() == Phase(name="login", began=4.0, seconds=None)
    assert [mark.rule for mark in watch.timeline().marks] == ["unit-failed"]


def test_what_comes_with_a_later_phase_is_no_earlier_one() -> None:
    lines = [*DEBIAN[:11], (40.0, "[   32.000000] EXT4-fs (vda1): re-mounted"), (41.0, "Begin: x")]
    assert [name for name, *_ in times(seen(*lines))][-1] == "systemd"
