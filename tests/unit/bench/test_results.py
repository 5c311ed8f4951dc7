"""What is made of figures: medians, promises, verdicts, JSON, pages and the picture."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import page
import picture
import pytest
import results
from measure import Usage
from results import Promise, Report, Row

from goldsmith.errors import CommandFailedError, HostError

HOST: dict[str, str | int] = {"date": "2026-01-01", "rounds": 3, "cores": 2, "processor": "A & B", "accelerator": "tcg"}
OURS, THEIRS = "goldsmith <new>", "another & its like"


def _usages(*seconds: float) -> tuple[Usage, ...]:
    return tuple(Usage(each, each * 10, each * 100, 0.0) for each in seconds)


def _row(name: str, *seconds: float, **fields: object) -> Row:
    return dataclasses.replace(
        Row("build", name, "what | it does", True, ("Cold",), rounds=_usages(*seconds)), **fields
    )


def _report(*rows: Row, promises: tuple[Promise, ...] = ()) -> Report:
    return Report(HOST, rows, promises)


def _full() -> Report:
    return _report(
        _row(THEIRS, 80, 90, 70, ours=False),
        _row(OURS, 40, 41, 60, scenes=("Cold", "Warm"), recipes=1),
        _row("goldsmith, 8 recipes", 70, 72, 71, scenes=(), recipes=8),
        _row("broken", failed="it is not installed", scenes=("Warm",)),
        promises=(Promise("build", OURS, 0.6, THEIRS), Promise("build", OURS, 50)),
    )


def test_seconds_are_the_median_and_the_rest_the_most() -> None:
    row = _row("a", 3, 100, 5)
    assert (row.figure(), row.figure("memory"), row.figure("disk")) == (5, 1000, 10000)
    assert _row("a", 3, 4).figure() == 3.5


@pytest.mark.parametrize(
    ("promise", "text", "kept"),
    [
        # Ratios of the rounds are 0.5, 0.9 and 0.1: not the ratio of the medians, which is 0.45.
        (Promise("build", "a", 0.5, "b"), "0.50 of b, at most 0.5: kept", True),
        (Promise("build", "a", 0.49, "b"), "0.50 of b, at most 0.49: NOT KEPT", False),
        (Promise("build", "a", 9.0), "9.00 s, at most 9 s: kept", True),
        (Promise("build", "a", 8.9), "9.00 s, at most 8.9 s: NOT KEPT", False),
        (Promise("build", "a", 99, unit="memory"), "100 MiB, at most 99 MiB: NOT KEPT", False),
        (Promise("build", "a", 100, unit="memory"), "100 MiB, at most 100 MiB: kept", True),
        (Promise("build", "a", 0.5, "gone"), "not judged: gone could not run", None),
        (Promise("build", "gone", 9.0), "not judged: gone could not run", None),
    ],
)
def test_a_promise_is_about_ratios_of_rounds_or_a_figure(promise: Promise, text: str, kept: bool | None) -> None:
    report = _report(_row("a", 10, 9, 1), _row("b", 20, 10, 10), _row("gone", failed="why"), promises=(promise,))
    assert report.verdict(promise) == results.Verdict(text, kept)
    assert report.exit_code == {True: 3, False: 1, None: 3}[kept]


def test_exit_code_is_good_where_all_ran_and_is_kept() -> None:
    assert _report(_row("a", 1), promises=(Promise("build", "a", 1),)).exit_code == 0


def test_json_holds_all_and_comes_back() -> None:
    report = _full()
    document = json.loads(json.dumps(results.as_document(report)))
    assert results.from_document(document) == report
    assert document["rows"][0]["figures"]["seconds"] == 80
    assert [each["seconds"] for each in document["rows"][0]["rounds"]] == [80, 90, 70]
    assert [each["kept"] for each in document["promises"]] == [True, True]


def test_text_shows_figures_promises_and_failures() -> None:
    text = results.as_text(_full())
    assert re.search(rf"{OURS} +41.0 s +600 MiB +6000 MiB +0 MiB", text)
    assert "0.50 of another & its like, at most 0.6: kept" in text
    assert "could not run: it is not installed" in text


def test_a_reason_is_short_and_names_no_address() -> None:
    tail = f"first\nget http://mirror.example/debian {'x' * 900}\nsecond\nit is gone"
    said = results.reason(CommandFailedError("tool --option", status="exited 3", tail=tail))
    assert said.startswith("the command exited 3: get (an address) xxx")
    assert said.endswith("xxx / second / it is gone")
    assert len(said) < 320
    assert results.reason(HostError("is not there", hint="install it")) == "is not there / hint: install it"
    assert results.reason(KeyError()) == "KeyError"


def test_picture_is_xml_and_holds_every_row() -> None:
    root = ElementTree.fromstring(picture.draw(_full()))
    assert root.tag.endswith("}svg")
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    for row in _full().rows:
        assert texts.count(row.name) == len(row.scenes)
    assert {"Cold", "Warm", picture.GROWTH, "could not run", "80 s", "41 s", "71 s"} <= set(texts)
    height = float(root.get("height", "0"))
    assert all(0 < float(each.get("y", "-1")) < height for each in root.iter("{http://www.w3.org/2000/svg}text"))


def test_bars_are_as_long_as_their_seconds() -> None:
    rectangles = ElementTree.fromstring(picture.draw(_full())).iter("{http://www.w3.org/2000/svg}rect")
    widths = {each.get("class"): float(each.get("width", "0")) for each in list(rectangles)[1:3]}
    assert widths["ours"] / widths["theirs"] == pytest.approx(41 / 80, abs=0.01)


def test_picture_without_growth_and_with_nothing_that_ran() -> None:
    ElementTree.fromstring(picture.draw(_report(_row("a", failed="why"), _row("b", failed="why", recipes=2))))


@pytest.mark.parametrize(("value", "text"), [(0.418, "0.42 s"), (7.26, "7.3 s"), (80.6, "81 s")])
def test_seconds_have_as_many_digits_as_they_bear(value: float, text: str) -> None:
    assert picture.seconds(value) == text


def test_page_is_made_of_what_is_kept(tmp_path: Path) -> None:
    page.publish(_full(), tmp_path)
    text = (tmp_path / "bench.md").read_text()
    assert page.markdown(page.read(tmp_path)) == text
    assert "| broken | could not run | | | | | it is not installed |" in text
    assert "what \\| it does" in text
    assert "| cores | 2 |" in text


def test_docs_are_those_of_the_run_that_is_kept() -> None:
    report = page.read()
    assert (page.DOCS / "bench.md").read_text() == page.markdown(report), "run: make bench"
    assert (page.DOCS / "bench.svg").read_text() == picture.draw(report), "run: make bench"
