"""The page: whole, valid, safe whatever the guest says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import report_samples as samples
from goldsmith.verify.report import Report
from goldsmith.verify.reporting import pictures
from goldsmith.verify.reporting.page import as_html
from html_lint import Lint


def linted(report: Report, folder: Path) -> Lint:
    lint = Lint(as_html(report, folder))
    assert lint.problems == []
    return lint


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    assert found, f"no section {name}"
    return found[0]


def test_the_page_is_valid_and_alone(tmp_path: Path) -> None:
    lint = linted(samples.report(), samples.artefacts(tmp_path))
    for needed in ("svg", "table", "caption", "details", "img", "mark", "nav", "main"):
        assert needed in lint.tags


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("<p>", "no doctype"),
        ("<!DOCTYPE html>\n<p>a", "not closed"),
        ("<!DOCTYPE html>\n<p><b></p></b>", "closes nothing"),
        ("<!DOCTYPE html>\n<p><ul></ul></p>", "inside a <p>"),
        ("<!DOCTYPE html>\n<script></script>", "<script>"),
        ("<!DOCTYPE html>\n<p onclick=a></p>", "onclick"),
        ("<!DOCTYPE html>\n<img src=data:image/png;base64,>", "alt text"),
        ("<!DOCTYPE html>\n<img alt=a src=b.png>", "refers to b.png"),
        ("<!DOCTYPE html>\n<a href=http://a.example></a>", "refers to http"),
        ("<!DOCTYPE html>\n<a href=#b></a>", "nothing has the id b"),
        ("<!DOCTYPE html>\n<i id=a></i><i id=a></i>", "the id a twice"),
        ("<!DOCTYPE html>\n<th></th>", "without scope"),
        ("<!DOCTYPE html>\n<h1></h1><h3></h3>", "<h3> after level 1"),
        ("<!DOCTYPE html>\n<style>@import 'a'</style>", "another file"),
        ("<!DOCTYPE html>\n<p>\x07</p>", "the character"),
        ("<!DOCTYPE html>\n<p>\u202e</p>", "the character"),
    ],
)
def test_the_lint_finds(page: str, problem: str) -> None:
    assert any(problem in each for each in Lint(page).problems)


def test_the_verdict_stands_first(tmp_path: Path) -> None:
    page = as_html(samples.report(), tmp_path)
    assert "<title>debian-13: failed</title>" in page
    header = page[page.index("<header>") : page.index("</header>")]
    assert "<h1>debian-13</h1>" in header
    assert [word in header for word in ("10 passed", "1 failed", "1 broken")] == [True] * 3
    order = [page.index(f'<section id="{name}"') for name in ("what-did-not-pass", "image-and-machine", "checks")]
    assert order == sorted(order)


def test_what_failed_is_told_in_full(tmp_path: Path) -> None:
    told = section(as_html(samples.report(), tmp_path), "what-did-not-pass")
    failed, broken = told.index("text-console/live-bad"), told.index("text-console/screen-odd")
    assert failed < broken
    for part in (
        "^GRUB_TERMINAL=.*serial",
        "GRUB_TERMINAL=console\n",
        "goldsmith login:",
        "--check text-console/live-bad",
    ):
        assert part in told
    assert "<dt>Seen</dt>" in told[failed:broken]
    assert "<dt>Because</dt>" in told[broken:] and "<dt>Seen</dt>" not in told[broken:]


def test_a_good_report_has_no_list_of_failures(tmp_path: Path) -> None:
    page = as_html(samples.report(verdicts=(samples.UNCHANGED,)), tmp_path)
    assert "What did not pass" not in page
    assert "<title>debian-13: passed</title>" in page


def test_every_verdict_is_in_the_table(tmp_path: Path) -> None:
    report = samples.report()
    table = section(as_html(report, tmp_path), "checks")
    for verdict in report.verdicts:
        assert f"<code>{verdict.check}</code>" in table
    # A check of two firmwares is one row; the one that failed leads to its story.
    assert table.count("<code>live-good</code>") == 1
    row = re.search(r"<tr[^>]*><th scope=\"row\"><code>live-good.*?</tr>", table)
    assert row and row[0].count("ok</span>") == 2
    bad = re.search(r'<tr class="fail">.*?</tr>', table)
    assert bad and "live-bad" in bad[0] and "failed" in bad[0] and '<a href="#verdict-' in bad[0]
    assert re.findall(r"<h3[^>]*>(\w+)", table) == list(samples.LAYERS)


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ((samples.UNCHANGED,), "the same before and after"),
        ((samples.UNCHANGED.model_copy(update={"status": "fail"}),), "another one afterwards"),
        ((samples.UNCHANGED.model_copy(update={"status": "broken"}),), "could not be read again"),
        ((samples.verdict("a"),), "not looked at again"),
    ],
)
def test_what_is_known_of_the_file_after_the_boot(tmp_path: Path, verdicts: tuple[object, ...], said: str) -> None:
    facts = section(as_html(samples.report(verdicts=verdicts), tmp_path), "image-and-machine")
    assert said in facts
    assert "a" * 64 in facts


def test_facts_of_the_machine(tmp_path: Path) -> None:
    text = linted(samples.report(), tmp_path).text
    for fact in ("tcg: /dev/kvm is broken", "credential: systemd 257", "hw_firmware_type", "8 min 44 s", "bios, uefi"):
        assert fact in text


def test_a_selection_and_nothing_at_all_are_said(tmp_path: Path) -> None:
    assert "Only some of the checks" in linted(samples.report(complete=False), tmp_path).text
    assert "Only some of the checks" not in linted(samples.report(), tmp_path).text
    empty = samples.report(verdicts=(), timelines=(), channel="", properties={}, firmware=())
    lint = linted(empty, tmp_path)
    assert "nothing is proven" in lint.text and "nothing was booted" in lint.text
    assert "svg" not in lint.tags


def test_the_stalled_phase_is_named(tmp_path: Path) -> None:
    page = as_html(samples.report(), tmp_path)
    timeline = section(page, "timeline")
    assert "uefi: the boot stalled in systemd" in timeline
    assert "⚠ stalled" in timeline and 'class="stalled"' in timeline
    healthy = section(as_html(samples.report(timelines=(samples.timeline(),)), tmp_path), "timeline")
    assert "stalled" not in healthy and 'class="unended"' not in healthy


def test_pictures_are_inside(tmp_path: Path) -> None:
    folder = samples.artefacts(tmp_path)
    (folder / "uefi/screen-last.png").write_bytes((folder / "uefi/screen.png").read_bytes())
    (folder / "bios/screen.png").write_bytes(b"no picture")
    screens = section(as_html(samples.report(), folder), "screens")
    # One of bios, one of uefi, where both are the same.
    assert screens.count("<img ") == 2
    assert "bios/screen.png is no PNG picture" in screens
    assert "graphics" in screens and "VGA text mode" in screens
    assert linted(samples.report(), folder).tags.count("img") == 2


def test_what_looks_the_same_is_shown_once_and_not_for_ever(tmp_path: Path) -> None:
    folder = samples.artefacts(tmp_path)
    for number in range(20):
        (folder / f"uefi/screen-same-{number}.png").write_bytes(samples.png())
        (folder / f"bios/screen-other-{number:02}.png").write_bytes(samples.png(8 + number, 8))
    screens = section(as_html(samples.report(), folder), "screens")
    bios, _, uefi = screens.partition("more pictures are in the folder bios")
    assert bios.count("<img ") == pictures.MOST_PICTURES and "10 " in bios[-4:]
    assert "before the machine was switched off" in bios and "after other-00 did not pass" in bios
    assert uefi.count("<img ") == 2 and "and on 17 more occasions" in uefi


def test_a_picture_as_large_as_the_guest_likes_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = samples.artefacts(tmp_path)
    monkeypatch.setattr("goldsmith.verify.reporting.pictures.MOST", 10)
    screens = section(as_html(samples.report(), folder), "screens")
    assert "<img" not in screens and "bios/screen.png is too large" in screens


def test_no_boot_no_screens(tmp_path: Path) -> None:
    page = as_html(samples.report(timelines=()), tmp_path)
    for title in ("Screens", "Serial console", "Timeline"):
        assert title not in page


def test_a_hostile_guest_stays_text(tmp_path: Path) -> None:
    folder = samples.artefacts(tmp_path, samples.HOSTILE)
    lint = linted(samples.hostile(), folder)
    assert "script" not in lint.tags
    assert "<script>alert(1)</script>" in lint.text
    # Its control characters can be seen.
    assert "\\u{0}\\u{7}\\u{1b}[31m" in lint.text and "\\u{202e}evil" in lint.text


def test_long_texts_are_cut(tmp_path: Path) -> None:
    long = samples.verdict("long", "fail").model_copy(update={"seen": "y" * 500_000})
    page = as_html(samples.report(verdicts=(long,)), tmp_path)
    assert len(page) < 100_000
    assert "characters more" in page


def test_what_the_boots_left_is_folded(tmp_path: Path) -> None:
    part = section(as_html(samples.report(), tmp_path), "left-on-the-disk")
    assert "bios: 3 names new" in part
    assert "bios: 1 name gone" in part
    assert "/var/log/journal" in part
    assert "with 1 name below" in part
    assert "/var/log/journal/a" not in part
    assert 'id="left-on-the-disk"' not in as_html(samples.report(left=()), tmp_path)
