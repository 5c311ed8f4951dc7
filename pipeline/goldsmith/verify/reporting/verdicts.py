"""Verdicts in a page: what did not pass, told in full, and a table of all by layer and element."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from goldsmith.store.manifest import Layer, Status, Verdict
from goldsmith.verify.report import Report
from goldsmith.verify.reporting.chart import seconds
from goldsmith.verify.reporting.markup import Markup, clipped, lines, tag

#: sign and word of a status; colour is never the only mark
SIGNS: dict[Status, tuple[str, str]] = {"pass": ("✓", "passed"), "fail": ("✗", "failed"), "broken": ("!", "broken")}
_LAYERS: dict[Layer, str] = {
    "offline": "the image as it was built, read without booting it",
    "live": "asked of the running guest",
    "screen": "what its screen shows",
    "network": "what it asked of the lab's services",
    "shutdown": "what it left on its disk",
}


def status(of: Status, text: str = "") -> Markup:
    """A verdict's sign, with its word or another text."""
    sign, word = SIGNS[of]
    return tag("span", tag("span", sign, aria_hidden="true"), f" {text or word}", class_=f"status {of}")


def failures(report: Report) -> list[Markup]:
    """An article for each verdict that is not pass: the image's faults before those of the harness."""
    bad = [*report.with_status("fail"), *report.with_status("broken")]
    return [_failure(verdict, _id(report, verdict)) for verdict in bad]


def _id(report: Report, verdict: Verdict) -> str:
    # Not of its name: two odd ones could come to the same id.
    return f"verdict-{next(number for number, each in enumerate(report.verdicts) if each is verdict)}"


def _failure(verdict: Verdict, anchor: str) -> Markup:
    place = f"{verdict.layer}, {verdict.firmware or 'image'}"
    told = [("Expected", verdict.expected), ("Seen" if verdict.status == "fail" else "Because", verdict.seen)]
    facts = [
        tag("div", tag("dt", label), tag("dd", tag("pre", clipped(text))))
        for label, text in [*told, ("Repeat", verdict.repeat)]
        if text
    ]
    console = tag(
        "details",
        tag("summary", f"The console's last {len(verdict.console)} lines"),
        tag("pre", clipped("\n".join(verdict.console)), class_="log"),
    )
    return tag(
        "article",
        tag("h3", status(verdict.status), " ", tag("code", verdict.name)),
        tag("p", verdict.says, tag("span", f" ({place}, {seconds(verdict.seconds)})", class_="quiet")),
        tag("dl", *facts, class_="facts told") if facts else None,
        console if verdict.console else None,
        id=anchor,
        class_=f"failure {verdict.status}",
    )


def tables(report: Report) -> list[Markup]:
    """A table for each layer, in the order of the work."""
    layers = {layer: [verdict for verdict in report.verdicts if verdict.layer == layer] for layer in _LAYERS}
    return [_table(report, layer, verdicts) for layer, verdicts in layers.items() if verdicts]


def _table(report: Report, layer: Layer, verdicts: Sequence[Verdict]) -> Markup:
    columns = list(dict.fromkeys(verdict.firmware for verdict in verdicts))
    passed = sum(verdict.status == "pass" for verdict in verdicts)
    heads = [tag("th", column or "image", scope="col") for column in columns]
    anchor = f"layer-{layer}"
    # An element's checks stand together, in the order in which they were first asked.
    elements = list(dict.fromkeys(verdict.element for verdict in verdicts))
    ordered = sorted(verdicts, key=lambda verdict: elements.index(verdict.element))
    bodies = []
    for element, group in groupby(ordered, key=lambda verdict: verdict.element):
        head = tag("tr", tag("th", element, scope="rowgroup", colspan=len(columns) + 1), class_="element")
        bodies.append(tag("tbody", head, *_rows(report, list(group), columns)))
    return lines(
        tag(
            "h3",
            layer,
            tag("span", f" {_LAYERS[layer]} · {passed} of {len(verdicts)} passed", class_="quiet"),
            id=anchor,
        ),
        tag(
            "table",
            tag("thead", tag("tr", tag("th", "check", scope="col"), *heads)),
            *bodies,
            class_="verdicts",
            aria_labelledby=anchor,
        ),
    )


def _rows(report: Report, verdicts: Sequence[Verdict], columns: Sequence[str | None]) -> list[Markup]:
    checks: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        checks.setdefault(verdict.check, []).append(verdict)
    return [_row(report, check, found, columns) for check, found in checks.items()]


def _row(report: Report, check: str, found: Sequence[Verdict], columns: Sequence[str | None]) -> Markup:
    name = tag("th", tag("code", check), tag("span", found[0].says, class_="says"), scope="row")
    cells = []
    for column in columns:
        here = [verdict for verdict in found if verdict.firmware == column]
        cells.append(tag("td", *(_verdict(report, verdict) for verdict in here)) if here else tag("td", "–"))
    worst = next((of for of in ("fail", "broken") if any(verdict.status == of for verdict in found)), None)
    return tag("tr", name, *cells, class_=worst)


def _verdict(report: Report, verdict: Verdict) -> Markup:
    word = SIGNS[verdict.status][1]
    shown = status(verdict.status, "ok" if verdict.status == "pass" else word)
    if verdict.status != "pass":
        shown = tag("a", shown, href=f"#{_id(report, verdict)}")
    return tag("div", shown, " ", tag("span", seconds(verdict.seconds), class_="took"))
