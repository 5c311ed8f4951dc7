from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from session_standins import Bench, bad, check, found
from verify_standins import FakeBoot, Said

from goldsmith.boot.accelerator import Accelerator, Name
from goldsmith.boot.channel import Channel
from goldsmith.boot.properties import shape_from
from goldsmith.errors import CheckFailedError, HarnessError, HostError, InputError
from goldsmith.store.manifest import Verdict
from goldsmith.verify import report as reports
from goldsmith.verify import session
from goldsmith.verify.boots import Boot
from goldsmith.verify.report import Report


@pytest.mark.parametrize("beside", [True, False])
def test_all_is_asked_once_in_each_layer_and_firmware(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    monkeypatch.setattr("goldsmith.verify.session._room_beside", lambda boots, accelerator: beside)
    report = bench.verify()
    each: list[tuple[str, str]] = [
        ("goldsmith/settled", "live"),
        ("goldsmith/no-failed-units", "live"),
        ("goldsmith/login-prompt", "live"),
        ("networkd/live", "live"),
        ("networkd/counted", "network"),
        ("goldsmith/powers-off", "shutdown"),
        ("goldsmith/console", "live"),
        ("networkd/baked", "shutdown"),
    ]
    bios = [*each[:4], ("networkd/bios-only", "live"), *each[4:]]
    assert found(report) == [
        ("networkd/baked", "offline", None, "pass"),
        ("goldsmith/image-unchanged", "offline", None, "pass"),
        *((name, layer, "bios", "pass") for name, layer in bios),
        *((name, layer, "uefi", "pass") for name, layer in each),
    ]
    assert bench.opened == [["image", "bios", "uefi"]], "one launch for all disks"
    assert report.status == "pass"
    assert report.complete
    reports.require_pass(report)


@pytest.mark.parametrize(
    ("name", "processors", "boots", "beside"),
    [
        ("kvm", 2, 1, False),
        ("kvm", 3, 1, True),
        ("kvm", 4, 2, False),
        ("kvm", 8, 2, True),
        ("tcg", 1, 1, False),
        ("tcg", 2, 1, True),
        ("tcg", 2, 2, False),
    ],
)
def test_the_appliance_takes_no_processor_from_a_guest(
    monkeypatch: pytest.MonkeyPatch, name: Name, processors: int, boots: int, beside: bool
) -> None:
    monkeypatch.setattr("goldsmith.verify.session._room_for_two", lambda: True)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(processors)))
    assert session._room_beside(boots, Accelerator(name, "a test", {}, 1.0)) is beside


def test_what_is_kept(bench: Bench) -> None:
    report = bench.verify()
    folder = bench.folder / "artefacts"
    assert Report.model_validate(json.loads((folder / "report.json").read_text())) == report
    assert (folder / "report.txt").read_text() == reports.as_text(report)
    assert sorted(path.name for path in (folder / "bios").iterdir()) == ["console.log"], "no disks are left"


def test_a_failure_shows_layer_expected_seen_console_and_repeat(bench: Bench) -> None:
    bench.boots["uefi"].answers = {"probe": Said("wrong\n")}
    report = bench.verify()
    assert list(bad(report)) == [("networkd/live", "live", "uefi")]
    text = reports.as_text(report)
    assert (
        "  FAIL live     uefi networkd/live" in text
        and "       expected: stdout is 'ok'\n       seen:     wrong\n" in text
        and f"                 screen: {bench.folder}/screen-1.png\n" in text
        and "       console:  Debian GNU/Linux 13\n                 debian login:\n" in text
        and "repeat:   goldsmith verify 'recipes/debian 13.yaml' --firmware uefi --check networkd/live\n" in text
    )
    with pytest.raises(CheckFailedError, match=r"1 checks failed: networkd/live"):
        reports.require_pass(report)


def test_each_disk_is_looked_at_by_itself(bench: Bench) -> None:
    bench.disks["uefi"] = "changed at boot"
    report = bench.verify()
    assert [(key, verdict.seen) for key, verdict in bad(report).items()] == [
        (("networkd/baked", "shutdown", "uefi"), "changed at boot")
    ]


def test_a_guest_that_never_boots_fails_and_what_it_leaves_is_not_looked_at(bench: Bench) -> None:
    bench.boots["bios"].boots = bench.boots["bios"].prompt = False
    report = bench.verify()
    verdicts = bad(report)
    assert verdicts.pop(("goldsmith/settled", "live", "bios")).status == "fail"
    assert {verdict.status for verdict in verdicts.values()} == {"broken"}
    assert {verdict.firmware for verdict in verdicts.values()} == {"bios"}
    assert ("networkd/live", "live", "bios") in verdicts and ("networkd/baked", "shutdown", "bios") in verdicts
    assert bench.opened == [["image", "uefi"]]
    assert report.status == "fail"


def test_a_silent_channel_of_a_guest_that_is_up_is_the_harnesss_fault(bench: Bench) -> None:
    bench.boots["bios"].boots = False
    report = bench.verify()
    assert bad(report)[("goldsmith/settled", "live", "bios")].status == "broken"
    assert report.status == "broken"
    with pytest.raises(HarnessError, match="could not be evaluated"):
        reports.require_pass(report)


def test_a_host_that_cannot_boot_breaks_every_check_of_a_boot(bench: Bench) -> None:
    error = HostError("/dev/net/tun is missing", hint="modprobe tun")
    bench.refusal = {"bios": error, "uefi": error}
    report = bench.verify()
    assert {name for name, _, _, status in found(report) if status == "pass"} == {
        "networkd/baked",
        "goldsmith/image-unchanged",
    }
    assert report.status == "broken"
    broken = bad(report)
    assert "modprobe tun" in broken[("networkd/live", "live", "uefi")].seen
    assert ("networkd/baked", "shutdown", "uefi") in broken
    assert ("goldsmith/settled", "live", "bios") in broken


@pytest.mark.parametrize(
    ("change", "name", "layer"),
    [
        ({"prompt": False}, "goldsmith/login-prompt", "live"),
        ({"goes": False}, "goldsmith/powers-off", "shutdown"),
        ({"requests": 41}, "networkd/counted", "network"),
        ({"answers": {"list-units": Said("x.service failed")}}, "goldsmith/no-failed-units", "live"),
        ({"answers": {"is-system-running": Said("maintenance", 1)}}, "goldsmith/settled", "live"),
    ],
)
def test_each_of_our_own_checks_can_fail(bench: Bench, change: dict[str, Any], name: str, layer: str) -> None:
    for attribute, value in change.items():
        setattr(bench.boots["bios"], attribute, value)
    verdicts = bad(bench.verify())
    assert [(key, verdict.status) for key, verdict in verdicts.items()] == [((name, layer, "bios"), "fail")]


def test_an_image_that_is_written_to_is_found_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def writes() -> bool:
        with bench.image.open("ab") as stream:
            stream.write(b"x")
        return True

    monkeypatch.setattr(bench.boots["uefi"], "power_off", writes)
    assert list(bad(bench.verify())) == [("goldsmith/image-unchanged", "offline", None)]


def test_an_appliance_that_does_not_start_breaks_the_checks_of_disks_only(bench: Bench) -> None:
    bench.launch_error = HarnessError("the appliance took longer than 180 s")
    verdicts = bad(bench.verify())
    assert list(verdicts) == [
        ("networkd/baked", "offline", None),
        ("networkd/baked", "shutdown", "bios"),
        ("networkd/baked", "shutdown", "uefi"),
    ]
    assert {verdict.status for verdict in verdicts.values()} == {"broken"}


def test_a_disk_that_cannot_be_read_breaks_its_own_checks_only(bench: Bench) -> None:
    bench.disks["bios"] = ""
    assert list(bad(bench.verify())) == [("networkd/baked", "shutdown", "bios")]


def test_a_selection_runs_what_it_needs_and_proves_nothing_of_the_image(bench: Bench) -> None:
    report = bench.verify(only=("networkd/bios-only",))
    assert found(report) == [("networkd/bios-only", "live", "bios", "pass")]
    assert bench.opened == []
    assert not bench.boots["uefi"].ready, "nothing is asked of it, so it is not booted"
    assert not report.complete


def test_a_selection_of_a_shutdown_check_powers_the_guest_off(bench: Bench) -> None:
    report = bench.verify(only=("networkd/baked",))
    assert [layer for _, layer, _, _ in found(report)] == ["offline", "shutdown", "shutdown"]
    assert bench.boots["bios"].powered_off and bench.boots["uefi"].powered_off


def test_a_selection_shows_that_the_guest_did_not_settle(bench: Bench) -> None:
    bench.boots["bios"].answers = {"is-system-running": Said("maintenance", 1)}
    report = bench.verify(only=("networkd/bios-only",))
    assert [name for name, *_ in found(report)] == ["goldsmith/settled", "networkd/bios-only"]


def test_wrong_input_is_refused_before_anything_boots(bench: Bench) -> None:
    with pytest.raises(InputError, match="no check 'networkd/bakd'") as caught:
        bench.verify(only=("networkd/bakd",))
    assert caught.value.hint == "did you mean networkd/baked"
    with pytest.raises(InputError, match="1 problem"):
        bench.verify(checks=(check("x", file={"pathh": "/x", "path": "/x"}),))
    assert not bench.boots["bios"].ready


def test_an_image_that_names_another_file_is_refused(bench: Bench) -> None:
    bench.image.unlink()
    backed = ["-b", "/etc/passwd", "-F", "raw", bench.image, "1M"]
    subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", *backed], check=True)
    with pytest.raises(InputError, match="not safe to open"):
        bench.verify()
    bench.image.write_text("no image at all")
    with pytest.raises(InputError, match="no disk image"):
        bench.verify()
    bench.image.unlink()
    with pytest.raises(InputError, match="no such file"):
        bench.verify()


def test_an_interrupted_session_ends_its_guests(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.boots["bios"], "login_prompt", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.verify()
    assert bench.boots["bios"].killed
    assert not list((bench.folder / "artefacts").glob("*/*.qcow2"))


def test_the_image_decides_how_commands_get_in_and_the_report_says_why(bench: Bench) -> None:
    systemd = bench.folder / "trees/image/usr/lib/systemd/systemd"
    systemd.parent.mkdir(parents=True)
    systemd.touch()
    report = bench.verify(channel=None)
    assert {plan.channel.kind for plan in bench.plans} == {"unit"}
    assert bench.opened == [["image"], ["image", "bios", "uefi"]]
    assert report.channel.startswith("unit: ")
    assert "there is no cloud-init" in reports.as_text(report)


def test_a_given_channel_is_taken_without_looking(bench: Bench) -> None:
    given = Channel("cloud-init", "a test")
    assert bench.verify(channel=given).channel == "cloud-init: a test"
    assert [plan.channel for plan in bench.plans] == [given, given]
    assert bench.opened == [["image", "bios", "uefi"]]


def test_nothing_is_looked_for_where_nothing_is_booted(bench: Bench) -> None:
    report = bench.verify(only=("goldsmith/image-unchanged",), channel=None)
    assert (bench.plans, bench.opened, report.channel) == ([], [], "")


def test_properties_shape_the_machine_of_the_firmware_they_name(bench: Bench) -> None:
    bench.verify(properties={"hw_machine_type": "q35", "hw_firmware_type": "uefi", "os_type": "windows"})
    shapes = {plan.firmware: plan.shape for plan in bench.plans}
    assert all(shape.q35 and shape.windows for shape in shapes.values())


def test_secure_boot_is_no_hindrance_to_the_other_firmware_of_the_disk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldsmith.verify.work.shape_here", shape_from)
    bench.verify(
        properties={"hw_machine_type": "q35", "hw_firmware_type": "uefi", "os_secure_boot": "required"},
    )
    assert {plan.firmware: plan.shape.secure_boot for plan in bench.plans} == {"bios": False, "uefi": True}


def test_properties_that_make_no_machine_are_refused_before_any_boot(bench: Bench) -> None:
    with pytest.raises(InputError, match="hw_disk_bus"):
        bench.verify(properties={"hw_disk_bus": "virtoi"})
    assert bench.plans == []


def test_a_boot_that_failed_is_shown_while_it_runs(bench: Bench) -> None:
    shown: list[tuple[bool, list[str]]] = []

    def look(boot: Boot, verdicts: Sequence[Verdict]) -> None:
        assert isinstance(boot, FakeBoot)
        shown.append((boot.powered_off, [verdict.name for verdict in verdicts if verdict.status != "pass"]))

    bench.verify(on_failure=look)
    assert shown == []
    bench.boots["uefi"].powered_off = False
    bench.boots["uefi"].answers["probe"] = Said("no")
    bench.verify(on_failure=look)
    assert shown == [(False, ["networkd/live"])]


def test_a_boot_that_never_came_up_is_shown_once(bench: Bench) -> None:
    shown: list[str] = []
    bench.boots["bios"].boots = bench.boots["bios"].prompt = False
    bench.verify(on_failure=lambda boot, verdicts: shown.append(verdicts[0].name))
    assert shown == ["goldsmith/settled"]


def test_checks_that_were_picked_are_shown_too(bench: Bench) -> None:
    shown: list[str] = []
    bench.boots["uefi"].answers["probe"] = Said("no")
    bench.verify(only=("networkd/live",), on_failure=lambda boot, verdicts: shown.append(verdicts[0].name))
    assert shown == ["networkd/live"]


def test_what_each_boot_left_is_in_the_report(bench: Bench) -> None:
    folder = bench.folder / "trees/uefi/var/lib"
    folder.mkdir(parents=True)
    (folder / "state").touch()
    (folder / "more").touch()
    report = bench.verify()
    bios, uefi = report.left
    assert (bios.firmware, bios.added_count, bios.removed_count) == ("bios", 0, 0)
    assert (uefi.firmware, uefi.added_count, uefi.removed_count) == ("uefi", 4, 0)
    assert [(entry.path, entry.below) for entry in uefi.added] == [("/var", 3)]
    assert "uefi: left 4 new names on the disk and took 0 away" in reports.as_text(report)


def test_one_check_alone_is_not_worth_the_comparison(bench: Bench) -> None:
    assert bench.verify(only=("networkd/baked",)).left == ()


def test_a_boot_that_broke_is_not_compared(bench: Bench) -> None:
    bench.boots["bios"].boots = bench.boots["bios"].prompt = False
    assert [each.firmware for each in bench.verify().left] == ["uefi"]
