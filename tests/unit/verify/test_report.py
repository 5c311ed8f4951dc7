from __future__ import annotations

import pytest

from goldsmith.errors import HarnessError, InputError
from goldsmith.store.manifest import Manifest, Verdict
from goldsmith.verify.report import Report, as_text, attached, require_pass
from goldsmith.verify.timeline import Mark, Phase, Timeline

PASS = Verdict(layer="live", element="x", check="y", says="it works", status="pass", firmware="bios")


def report(*verdicts: Verdict, complete: bool = True, sha256: str = "a" * 64) -> Report:
    return Report(
        image="image.qcow2",
        sha256=sha256,
        accelerator="tcg: a test",
        firmware=("bios",),
        complete=complete,
        verdicts=verdicts,
        seconds=61.2,
    )


def with_status(status: str) -> Verdict:
    return PASS.model_copy(update={"status": status, "seen": "two\nlines"})


def test_fail_counts_more_than_broken_and_no_verdict_proves_nothing() -> None:
    assert report(PASS).status == "pass"
    assert report(PASS, with_status("broken")).status == "broken"
    assert report(PASS, with_status("broken"), with_status("fail")).status == "fail"
    assert report().status == "broken"
    with pytest.raises(HarnessError, match="no check was evaluated"):
        require_pass(report())


def test_the_table() -> None:
    text = as_text(report(PASS, with_status("broken")))
    assert text.splitlines() == [
        "    ok live     bios x/y  it works [0.0 s]",
        "BROKEN live     bios x/y  it works [0.0 s]",
        "       because:  two",
        "                 lines",
        "1 passed, 1 broken in 61 s (tcg: a test)",
    ]


def test_the_table_names_how_commands_got_into_the_guest() -> None:
    with_channel = report(PASS).model_copy(update={"channel": "unit: there is no cloud-init"})
    assert as_text(with_channel).splitlines()[1] == "guest channel by unit: there is no cloud-init"


def test_verdicts_go_into_the_manifest_of_their_image_only() -> None:
    manifest = Manifest(
        name="debian-13",
        recipe_digest="a" * 64,
        inputs={},
        base={},
        elements=(),
        firmware=("bios",),
        sha256="a" * 64,
        sha512="b" * 128,
        size=1,
        virtual_size=1,
        goldsmith_version="0.1.0",
    )
    assert attached(manifest, report(PASS)).verdicts == (PASS,)
    with pytest.raises(InputError, match="only some checks"):
        attached(manifest, report(PASS, complete=False))
    with pytest.raises(InputError, match="another image"):
        attached(manifest, report(PASS, sha256="c" * 64))


def test_the_table_tells_the_course_of_a_boot() -> None:
    phases = (Phase(name="kernel", began=0, seconds=20.04), Phase(name="initrd", began=20.04))
    mark = Mark(rule="panic", line=3, text="Kernel panic", reason="the kernel gave up")
    course = Timeline(firmware="bios", phases=phases, stalled="initrd", marks=(mark,))
    silent = Timeline(firmware="uefi")
    lines = as_text(report(PASS).model_copy(update={"timelines": (course, silent)})).splitlines()
    assert lines[1:-1] == ["bios: kernel 20.0 s, initrd from 20.0 s on, stalled in initrd, marked on the console: 1"]


def test_an_image_without_a_recipe_has_its_files_name() -> None:
    assert report().title == "image.qcow2"
    assert report().model_copy(update={"name": "debian-13"}).title == "debian-13"
