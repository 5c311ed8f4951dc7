"""The page of a report in a real browser: what it holds, on a desk, on a phone and on paper."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest

import report_samples as samples
from goldsmith.boot.screen import png_size
from goldsmith.verify.reporting.page import as_html

pytestmark = pytest.mark.system

PHONE, DESK = (390, 844), (1280, 900)
#: it asks nobody for anything
_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
#: a headless window is never narrower than 500 pixels; a frame is
_FRAME = """<!DOCTYPE html><title>-</title>
<iframe id="frame" src="inner.html" style="border: 0" width="{width}" height="{height}"></iframe>
<script>
onload = () => {{
  const inner = document.getElementById("frame").contentDocument, root = inner.documentElement;
  inner.querySelectorAll("details").forEach(each => each.open = true);
  document.title = `client=${{root.clientWidth}} scroll=${{root.scrollWidth}} height=${{root.scrollHeight}}`;
}}
</script>
"""

Chromium = Callable[..., str]


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chromium]:
    """Runs the browser on a page and gives its stdout."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: run setup/prepare test"

    def browse(page: Path, *options: str, window: tuple[int, int] = DESK) -> str:
        with tempfile.TemporaryDirectory(prefix="profile-", dir=tmp_path) as profile:
            size = f"--window-size={window[0]},{window[1]}"
            argv = [program, *_QUIET, f"--user-data-dir={profile}", size, *options, page.as_uri()]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    yield browse


@pytest.fixture(params=["plain", "hostile"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A page about two boots, as a good and as a hostile guest would make it."""
    bad = request.param == "hostile"
    folder = samples.artefacts(tmp_path / "boots", samples.HOSTILE + "w" * 600 if bad else "said")
    report = samples.hostile() if bad else samples.report()
    path = tmp_path / "report.html"
    path.write_text(as_html(report, folder), encoding="utf-8")
    return path


def hostile(page: Path) -> bool:
    return "evil" in page.read_text(encoding="utf-8")


def measured(page: Path, chromium: Chromium, window: tuple[int, int]) -> dict[str, int]:
    """Widths in a window of this size, by a script in a copy of the page whose policy lets it run."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    inner = page.with_name("inner.html")
    inner.write_text(text, encoding="utf-8")
    outer = page.with_name("outer.html")
    outer.write_text(_FRAME.format(width=window[0], height=window[1]), encoding="utf-8")
    dom = chromium(outer, "--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom")
    return {name: int(value) for name, value in re.findall(r"(client|scroll|height)=(\d+)", dom)}


def test_the_browser_sees_every_verdict(page: Path, chromium: Chromium) -> None:
    dom = chromium(page, "--dump-dom")
    anchors = re.findall(r'<a href="#(verdict-\d+)">', dom)
    assert len(anchors) == sum(verdict.status != "pass" for verdict in samples.verdicts())
    assert all(f'id="{anchor}"' in dom for anchor in anchors)
    assert dom.count(" ok</span>") + len(anchors) == len(samples.verdicts())
    for verdict in samples.verdicts():
        assert f"<code>{verdict.check}</code>" in dom or hostile(page)
    # Nothing of what the guest said became an element.
    assert "<script" not in dom and '<img src="x' not in dom


def test_the_dom_is_what_was_written(page: Path, chromium: Chromium) -> None:
    def tags(text: str) -> list[str]:
        return re.findall(r"</?([a-zA-Z][a-zA-Z0-9]*)", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL))

    dom = chromium(page, "--dump-dom")
    written = page.read_text(encoding="utf-8").removeprefix("<!DOCTYPE html>\n")
    assert tags(dom.removeprefix("<!DOCTYPE html>")) == tags(written)


@pytest.mark.parametrize("window", [PHONE, DESK, (320, 600)], ids=["phone", "desk", "narrow"])
def test_nothing_is_wider_than_the_window(page: Path, chromium: Chromium, window: tuple[int, int]) -> None:
    seen = measured(page, chromium, window)
    assert seen["height"] > 2 * window[1]
    assert seen["client"] >= window[0] - 20
    assert seen["scroll"] <= seen["client"], seen


def test_a_page_that_is_too_wide_is_seen(page: Path, chromium: Chromium) -> None:
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("<footer>", '<footer><div style="width: 700px">wide</div>'), encoding="utf-8")
    seen = measured(page, chromium, PHONE)
    assert seen["scroll"] > seen["client"]


@pytest.mark.parametrize("window", [PHONE, DESK], ids=["phone", "desk"])
def test_it_is_painted(page: Path, chromium: Chromium, window: tuple[int, int]) -> None:
    picture = page.with_name("page.png")
    chromium(page, f"--screenshot={picture}", window=window)
    assert png_size(picture) == window
    assert picture.stat().st_size > 20_000, "an empty page compresses to less"


def test_it_is_printed(page: Path, chromium: Chromium) -> None:
    paper = page.with_name("page.pdf")
    chromium(page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    data = paper.read_bytes()
    assert data.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", data)) > 1


def test_what_is_folded_away_is_on_paper(tmp_path: Path, chromium: Chromium) -> None:
    report = samples.report(timelines=())
    folded = tmp_path / "folded.html"
    folded.write_text(as_html(report, samples.artefacts(tmp_path / "boots")), encoding="utf-8")
    assert "<details><summary>Serial console" in folded.read_text()
    bare = tmp_path / "bare.html"
    bare.write_text(as_html(report, tmp_path / "nothing"), encoding="utf-8")
    pages = []
    for page in (folded, bare):
        paper = page.with_suffix(".pdf")
        chromium(page, f"--print-to-pdf={paper}")
        pages.append(len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())))
    # 210 lines of each console take pages of their own, beside the two for the pictures.
    assert pages[0] >= pages[1] + 6


def test_its_title_is_the_verdict(page: Path, chromium: Chromium) -> None:
    title = re.search(r"<title>(.*?)</title>", chromium(page, "--dump-dom"), re.DOTALL)
    assert title and unescape(title[1]).endswith(": failed")
