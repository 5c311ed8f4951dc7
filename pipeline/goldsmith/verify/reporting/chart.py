"""The course of the boots as a chart: a bar each, its phases by their numbers, and a table of the seconds.

Phases can run beside one another, as cloud-init does beside systemd: such a bar has several lanes.

The drawing has no viewBox: its width is that of the page in percent, its text keeps its size on a narrow screen.
"""

from __future__ import annotations

from collections.abc import Sequence

from goldsmith.verify.reporting.markup import Markup, joined, lines, tag
from goldsmith.verify.timeline import Phase, Timeline

_LABEL, _BAR, _LANE_GAP, _GAP, _AXIS = 22, 30, 3, 14, 26
#: percent of the width that a phase's number takes, and each letter of its name (hidden under 640 pixels)
_ROOM_NUMBER, _ROOM_LETTER = 3.0, 1.15
#: seconds that two phases can seem to overlap by, as times are rounded
_TOGETHER = 0.05
#: distinct fills of the style sheet
_COLOURS = 11
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_MOST_TICKS = 6


def seconds(value: float) -> str:
    """4.2 s, 42 s, 4 min 2 s."""
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60} s"


def end(timeline: Timeline) -> float:
    """Seconds from power-on to the last thing that was seen."""
    return max(map(_end, timeline.phases), default=0.0)


def _end(phase: Phase) -> float:
    return phase.began + (phase.seconds or 0)


def chart(timelines: Sequence[Timeline]) -> Markup:
    """The drawing and its table, of timelines with phases."""
    names = list(dict.fromkeys(phase.name for timeline in timelines for phase in timeline.phases))
    return lines(
        tag(
            "figure",
            _drawing(timelines, names),
            tag("figcaption", "Seconds since power-on; the numbers are those of the table."),
        ),
        _table(timelines, names),
    )


def _drawing(timelines: Sequence[Timeline], names: Sequence[str]) -> Markup:
    longest = max(end(timeline) for timeline in timelines) or 1.0
    # A phase without an end needs room after its beginning.
    unended = any(phase.seconds is None for timeline in timelines for phase in timeline.phases)
    scale = longest * (1.12 if unended else 1.0)
    bars: list[Markup] = []
    foot = 0
    for timeline in timelines:
        lanes = _lanes(timeline.phases)
        bars += _bar(timeline, lanes, names, foot, scale)
        foot += _LABEL + len(lanes) * (_BAR + _LANE_GAP) + _GAP
    described = "; ".join(_described(timeline) for timeline in timelines)
    return tag(
        "svg",
        tag("title", f"Course of the boots: {described}"),
        _hatch(),
        *_axis(scale, foot),
        *bars,
        role="img",
        width="100%",
        height=foot + _AXIS,
        class_="chart",
    )


def _described(timeline: Timeline) -> str:
    parts = [f"{phase.name} {_took(timeline, phase)}" for phase in timeline.phases]
    return f"{timeline.firmware}: {', '.join(parts)}"


def _hatch() -> Markup:
    line = tag("path", d="M0 8L8 0", class_="hatch")
    return tag("defs", tag("pattern", line, id="hatch", width=8, height=8, patternUnits="userSpaceOnUse"))


def _lanes(phases: Sequence[Phase]) -> list[list[Phase]]:
    """The phases, each in a lane that is free when it begins."""
    lanes: list[list[Phase]] = []
    for phase in sorted(phases, key=lambda phase: phase.began):
        ended = [lane for lane in lanes if lane[-1].seconds is not None and _end(lane[-1]) <= phase.began + _TOGETHER]
        # One without an end makes way where there is no other place: it may be over, and that was not seen.
        free = ended or [lane for lane in lanes if lane[-1].seconds is None]
        if free:
            free[0].append(phase)
        else:
            lanes.append([phase])
    return lanes


def _bar(
    timeline: Timeline, lanes: Sequence[Sequence[Phase]], names: Sequence[str], y: int, scale: float
) -> list[Markup]:
    took = seconds(end(timeline))
    told = f"stalled, last sign at {took}" if timeline.stalled else took
    label = joined(tag("tspan", timeline.firmware, class_="name"), f"  {told}")
    parts = [tag("text", label, x=0, y=y + 15, class_="bar-label")]
    for row, lane in enumerate(lanes):
        top = y + _LABEL + row * (_BAR + _LANE_GAP)
        for phase, after in zip(lane, [*lane[1:], None], strict=True):
            until = after.began if after else scale
            parts.append(_segment(timeline, phase, until, names.index(phase.name), top, scale))
    return parts


def _segment(timeline: Timeline, phase: Phase, until: float, number: int, y: int, scale: float) -> Markup:
    """One phase; one without an end is drawn to ``until``, the next one's beginning or the edge."""
    left = 100 * phase.began / scale
    width = 100 * (until - phase.began if phase.seconds is None else phase.seconds) / scale
    stalled = phase.seconds is None and phase.name == timeline.stalled
    parts = [
        tag("title", f"{phase.name}: {_took(timeline, phase)} (began at {seconds(phase.began)})"),
        _rect(left, width, y, f"phase p{number % _COLOURS}"),
    ]
    if phase.seconds is None:
        parts.append(_rect(left, width, y, "stalled" if stalled else "unended"))
    text = f"{number + 1}!" if stalled else str(number + 1)
    middle = f"{left + width / 2:.2f}%"
    if width >= _ROOM_NUMBER + _ROOM_LETTER * len(phase.name):
        words = joined(text, tag("tspan", f" {phase.name}", class_="wide"))
        parts.append(tag("text", words, x=middle, y=y + _BAR // 2 + 5, class_="in-bar"))
    elif width >= _ROOM_NUMBER:
        parts.append(tag("text", text, x=middle, y=y + _BAR // 2 + 5, class_="in-bar"))
    return tag("g", *parts)


def _rect(left: float, width: float, y: int, class_: str) -> Markup:
    return tag("rect", x=f"{left:.2f}%", y=y, width=f"{max(width, 0.15):.2f}%", height=_BAR, class_=class_)


def _axis(scale: float, y: int) -> list[Markup]:
    step = next((step for step in _STEPS if scale / step <= _MOST_TICKS), scale / _MOST_TICKS)
    parts = []
    for number in range(int(scale / step) + 1):
        x = f"{100 * number * step / scale:.2f}%"
        # The last label would be cut off at the edge.
        anchor = "start" if number == 0 else "end" if number * step > 0.95 * scale else "middle"
        parts.append(tag("line", x1=x, x2=x, y1=0, y2=y - 4, class_="grid"))
        parts.append(tag("text", f"{number * step:g} s", x=x, y=y + 13, text_anchor=anchor, class_="tick"))
    return parts


def _took(timeline: Timeline, phase: Phase) -> str:
    if phase.seconds is not None:
        return seconds(phase.seconds)
    return "stalled" if phase.name == timeline.stalled else f"from {seconds(phase.began)} on"


def _table(timelines: Sequence[Timeline], names: Sequence[str]) -> Markup:
    heads = [tag("th", timeline.firmware, scope="col") for timeline in timelines]
    rows = [
        tag(
            "tr",
            tag("th", tag("span", str(number + 1), class_=f"key p{number % _COLOURS}"), f" {name}", scope="row"),
            *(_cell(timeline, name) for timeline in timelines),
        )
        for number, name in enumerate(names)
    ]
    rows.append(
        tag(
            "tr",
            tag("th", "all that was seen", scope="row"),
            *(tag("td", seconds(end(timeline))) for timeline in timelines),
            class_="sum",
        )
    )
    return tag(
        "table",
        tag("caption", "Seconds of each phase"),
        tag("thead", tag("tr", tag("th", "phase", scope="col"), *heads)),
        tag("tbody", *rows),
        class_="phases",
    )


def _cell(timeline: Timeline, name: str) -> Markup:
    phases = [phase for phase in timeline.phases if phase.name == name]
    told = ", ".join(_took(timeline, phase) for phase in phases) or "–"
    stalled = any(phase.seconds is None and phase.name == timeline.stalled for phase in phases)
    return tag("td", tag("span", f"⚠ {told}", class_="status fail")) if stalled else tag("td", told)
