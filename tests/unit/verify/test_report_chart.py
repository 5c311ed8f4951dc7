"""The chart of the boots."""

from __future__ import annotations

import re

import pytest

import report_samples as samples
from goldsmith.verify.reporting.chart import chart, end, seconds
from goldsmith.verify.timeline import Phase, Timeline


def bars(page: str) -> list[tuple[float, float]]:
    found = re.findall(r'<rect x="([\d.]+)%"[^>]* width="([\d.]+)%"[^>]* class="phase', page)
    return [(float(left), float(width)) for left, width in found]


def test_phases_fill_the_bar_in_their_proportions() -> None:
    phases = (Phase(name="a", began=0, seconds=25), Phase(name="b", began=25, seconds=75))
    assert bars(chart([Timeline(firmware="bios", phases=phases)])) == [(0.0, 25.0), (25.0, 75.0)]


def test_both_bars_have_one_scale() -> None:
    slow = Timeline(firmware="uefi", phases=(Phase(name="a", began=0, seconds=100),))
    fast = Timeline(firmware="bios", phases=(Phase(name="a", began=0, seconds=50),))
    assert bars(chart([slow, fast])) == [(0.0, 100.0), (0.0, 50.0)]


def test_a_phase_without_an_end_reaches_to_the_edge_or_the_next() -> None:
    phases = (Phase(name="a", began=0), Phase(name="b", began=50))
    page = chart([Timeline(firmware="bios", phases=phases, stalled="b")])
    (left, width), last = bars(page)
    assert left == 0 and width == pytest.approx(last[0], abs=0.02)
    assert sum(last) == pytest.approx(100, abs=0.02)
    # Only the one that the boot did not get out of is a fault: a login prompt stands without an end.
    assert page.count('class="unended"') == page.count('class="stalled"') == 1
    assert "a from 0.0 s on" in page and "b stalled" in page
    assert "<td>from 0.0 s on</td>" in page and "⚠ stalled" in page


def test_phases_that_run_beside_one_another_are_both_seen() -> None:
    phases = (
        Phase(name="systemd", began=0, seconds=100),
        Phase(name="cloud-init", began=20, seconds=30),
        Phase(name="cloud-init", began=50, seconds=30),
        Phase(name="login", began=100.0),
        Phase(name="cloud-init", began=110.0, seconds=30),
    )
    page = chart([Timeline(firmware="bios", phases=phases)])
    tops = [int(top) for top in re.findall(r'<rect [^>]*y="(\d+)"[^>]* class="phase', page)]
    assert len(set(tops)) == 2
    assert tops[0] == tops[1] < tops[2] == tops[3] == tops[4], "systemd and login, then all of cloud-init"
    assert "<td>30 s, 30 s, 30 s</td>" in page


def test_nothing_lies_outside() -> None:
    for timeline in (samples.timeline(), samples.timeline(stalled="systemd")):
        found = bars(chart([timeline]))
        assert len(found) == len(timeline.phases)
        assert all(left >= 0 and left + width <= 100.2 for left, width in found)


@pytest.mark.parametrize("phases", [(Phase(name="a", began=0, seconds=0),), (Phase(name="a", began=0),)])
def test_a_boot_of_no_length_is_drawn(phases: tuple[Phase, ...]) -> None:
    assert len(bars(chart([Timeline(firmware="bios", phases=phases)]))) == 1


def test_the_axis_has_few_ticks() -> None:
    for length in (0.5, 9, 61, 250, 4000, 100_000):
        page = chart([Timeline(firmware="bios", phases=(Phase(name="a", began=0, seconds=length),))])
        assert 1 <= page.count('class="tick"') <= 7


def test_the_numbers_of_the_bars_are_those_of_the_table() -> None:
    page = chart([samples.timeline()])
    for number, name in enumerate(samples.PHASES, 1):
        assert re.search(rf'<span class="key p\d+">{number}</span> {name}</th>', page)
    assert end(samples.timeline()) == 220


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (119.4, "119 s"), (524.2, "8 min 44 s")]
)
def test_seconds(value: float, told: str) -> None:
    assert seconds(value) == told
