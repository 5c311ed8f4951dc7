"""The rows of a benchmark as a picture: an SVG of bars side by side, scene by scene, and the growth as a line.

It brings its own ground, dark where the reader's browser asks for it, so that it reads well on any page.
"""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from results import Report, Row

GROWTH = "Recipes that share a base, all built from an empty cache"
_WIDTH, _LABEL, _BAR = 880, 270, 400
_LINE, _HEADING, _PADDING = 26, 44, 20
_CHART = 190
_STYLE = """\
.ground { fill: #ffffff; stroke: #d0d7de }
text { fill: #1f2328; font: 13px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif }
.heading { font-size: 15px; font-weight: 600 }
.small { font-size: 12px; fill: #59636e }
.failed { font-style: italic; fill: #59636e }
.ours { fill: #0969da }
.theirs { fill: #8c959f }
.grid { stroke: #d0d7de; stroke-width: 1 }
.line { stroke: #0969da; stroke-width: 2; fill: none }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117; stroke: #3d444d }
  text { fill: #f0f6fc }
  .small, .failed { fill: #9198a1 }
  .ours { fill: #4493f8 }
  .theirs { fill: #656c76 }
  .grid { stroke: #3d444d }
  .line { stroke: #4493f8 }
}"""


def seconds(value: float) -> str:
    """As all pages show them: 0.42 s, 7.3 s, 81 s."""
    return f"{value:.{2 if value < 1 else 1 if value < 20 else 0}f} s"


def draw(report: Report) -> str:
    """The whole document."""
    parts: list[str] = []
    top = _PADDING
    for scene, rows in report.scenes.items():
        parts.append(_text(_PADDING, top + 20, scene, "heading"))
        top += _HEADING - 10
        longest = max((row.figure() for row in rows if row.rounds), default=1.0)
        for row in rows:
            parts += _bar(row, top, longest)
            top += _LINE
        top += _HEADING - _LINE
    if points := [row for row in report.growth if row.rounds]:
        parts += _growth(points, top)
        top += _CHART + _HEADING * 2
    lost = [row for row in report.growth if row.failed]
    for row in lost:
        parts.append(_text(_PADDING, top, f"{row.name}: could not run", "failed"))
        top += _LINE
    facts = report.host
    foot = f"{facts['date']}, {facts['cores']} cores ({facts['processor']}), {facts['accelerator']}; "
    parts.append(
        _text(_PADDING, top, foot + f"seconds are medians of {facts['rounds']}, memory the most seen", "small")
    )
    height = top + _PADDING
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="title">\n'
        f'<title id="title">Seconds of goldsmith and of what it is compared with</title>\n<style>\n{_STYLE}\n</style>\n'
        f'<rect class="ground" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    attributes = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{attributes}>{escape(text)}</text>'


def _bar(row: Row, top: int, longest: float) -> list[str]:
    middle = top + 15
    label = _text(_PADDING + _LABEL - 12, middle, row.name, anchor="end")
    left = _PADDING + _LABEL
    if row.failed:
        return [label, _text(left, middle, "could not run", "failed")]
    length = max(2.0, row.figure() / longest * _BAR)
    kind = "ours" if row.ours else "theirs"
    bar = f'<rect class="{kind}" x="{left}" y="{top + 2}" width="{length:.1f}" height="18" rx="2"/>'
    beside = left + length + 8
    memory = f"{row.figure('memory'):.0f} MiB"
    return [label, bar, _text(beside, middle, seconds(row.figure())), _text(beside + 54, middle, memory, "small")]


def _growth(points: list[Row], top: int) -> list[str]:
    """Seconds over the number of recipes, both from 0, so that a straight line through 0 would be no gain."""
    left, right, ground = _PADDING + 50, _PADDING + 640, top + _HEADING + _CHART
    most = max(row.figure() for row in points)
    step = _step(most)
    high = math.ceil(most / step) * step
    wide = max(row.recipes for row in points)

    def x(recipes: float) -> float:
        return left + recipes / wide * (right - left)

    def y(value: float) -> float:
        return ground - value / high * _CHART

    parts = [_text(_PADDING, top + 20, GROWTH, "heading")]
    for number in range(round(high / step) + 1):
        height = y(number * step)
        parts.append(f'<line class="grid" x1="{left}" y1="{height:.1f}" x2="{right}" y2="{height:.1f}"/>')
        parts.append(_text(left - 8, round(height + 4, 1), f"{number * step:g} s", "small", "end"))
    line = " ".join(f"{x(row.recipes):.1f},{y(row.figure()):.1f}" for row in points)
    parts.append(f'<polyline class="line" points="{line}"/>')
    for row in points:
        across, height = x(row.recipes), y(row.figure())
        # Every round's, small, so that the spread is seen.
        dots = [(each.seconds, 2) for each in row.rounds] + [(row.figure(), 4)]
        parts += [f'<circle class="ours" cx="{across:.1f}" cy="{y(value):.1f}" r="{size}"/>' for value, size in dots]
        parts.append(_text(round(across, 1), round(height - 12, 1), seconds(row.figure()), anchor="middle"))
        parts.append(_text(round(across, 1), ground + 18, f"{row.recipes}", "small", "middle"))
    parts.append(_text(right + 14, ground + 18, "recipes", "small"))
    return parts


def _step(most: float) -> float:
    """Between grid lines: 1, 2 or 5 times a power of ten, about four lines."""
    power = 10.0 ** math.floor(math.log10(most / 4))
    return next(power * factor for factor in (1, 2, 5, 10) if most / (power * factor) <= 5)
