"""The report as one HTML page that refers to no other file, runs no script and can be mailed."""

from __future__ import annotations

from pathlib import Path

from goldsmith import __version__
from goldsmith.store.manifest import BUILT_IN
from goldsmith.verify.report import Report
from goldsmith.verify.reporting import changes, chart, serial, verdicts
from goldsmith.verify.reporting.markup import Child, Markup, clipped, joined, lines, slug, tag
from goldsmith.verify.reporting.pictures import pictures

_STYLE = Path(__file__).with_name("report.css")
#: what a browser must not do for this page, whatever stands in it
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_UNCHANGED = "image-unchanged"


def as_html(report: Report, folder: Path | None) -> str:
    """The page.  ``folder`` holds a folder for each firmware with what its boot left: console.log, screen*.png.

    Without one these are left out.
    """
    sections = [
        section
        for section in (
            _failures(report),
            _image(report),
            _timeline(report),
            _checks(report),
            _screens(report, folder) if folder else None,
            _left(report),
            _serial(report, folder) if folder else None,
        )
        if section
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{report.title}: {verdicts.SIGNS[report.status][1]}"),
        # Our own file, and CSS is not escaped.
        tag("style", Markup(_STYLE.read_text(encoding="utf-8"))),
    )
    body = tag(
        "body",
        _header(report),
        tag(
            "nav",
            *(tag("a", title, href=f"#{slug(title)}") for title, _ in sections),
            aria_label="Sections",
        ),
        tag("main", lines(*(_section(title, *parts) for title, parts in sections))),
        tag("footer", tag("p", f"goldsmith {__version__}{', ' + report.finished if report.finished else ''}")),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


_Section = tuple[str, list[Markup]]


def _section(title: str, *parts: Markup) -> Markup:
    anchor = slug(title)
    return tag(
        "section", lines(tag("h2", title, id=f"{anchor}-title"), *parts), id=anchor, aria_labelledby=f"{anchor}-title"
    )


def _header(report: Report) -> Markup:
    word = verdicts.SIGNS[report.status][1]
    counts = [
        tag("li", verdicts.status(of, f"{len(report.with_status(of))} {verdicts.SIGNS[of][1]}"))
        for of in verdicts.SIGNS
        if report.with_status(of)
    ]
    notes: list[Child] = [f"{len(report.verdicts)} verdicts in {chart.seconds(report.seconds)}"]
    if not report.verdicts:
        notes.append(". No check was evaluated, so nothing is proven.")
    if not report.complete:
        notes.append(tag("strong", ". Only some of the checks were asked for."))
    return tag(
        "header",
        tag("p", "goldsmith · boot validation", class_="kind"),
        tag("h1", report.title),
        tag("p", verdicts.status(report.status, word), class_=f"verdict {report.status}"),
        tag("ul", *counts, class_="counts") if counts else None,
        tag("p", *notes, class_="quiet"),
    )


def _failures(report: Report) -> _Section | None:
    found = verdicts.failures(report)
    return ("What did not pass", found) if found else None


def _image(report: Report) -> _Section:
    facts: list[tuple[str, Child]] = [
        ("Image", tag("code", report.image)),
        ("sha256", joined(tag("code", report.sha256), " ", _unchanged(report))),
        ("Booted with", ", ".join(report.firmware) or "nothing"),
        ("Accelerator", _reasoned(report.accelerator)),
        ("Guest channel", _reasoned(report.channel) if report.channel else "none: nothing was booted"),
    ]
    rows = [tag("div", tag("dt", label), tag("dd", value)) for label, value in facts]
    properties = tag(
        "details",
        tag("summary", f"{len(report.properties)} Glance properties that follow"),
        tag(
            "table",
            tag("thead", tag("tr", tag("th", "property", scope="col"), tag("th", "value", scope="col"))),
            tag(
                "tbody",
                *(
                    tag("tr", tag("th", tag("code", key), scope="row"), tag("td", tag("code", value)))
                    for key, value in sorted(report.properties.items())
                ),
            ),
            class_="properties",
        ),
        open=True,
    )
    return "Image and machine", [tag("dl", *rows, class_="facts"), *([properties] if report.properties else [])]


def _unchanged(report: Report) -> Markup:
    """What is known of the image's file after the boots."""
    after = [verdict for verdict in report.verdicts if (verdict.element, verdict.check) == (BUILT_IN, _UNCHANGED)]
    if not after:
        return tag("span", "not looked at again afterwards", class_="quiet")
    if after[0].status == "pass":
        return verdicts.status("pass", "the same before and after")
    told = "another one afterwards" if after[0].status == "fail" else "could not be read again afterwards"
    return verdicts.status(after[0].status, told)


def _reasoned(text: str) -> Markup:
    """``name: reason``."""
    name, _, reason = text.partition(": ")
    return joined(tag("b", name), f": {clipped(reason)}" if reason else None)


def _timeline(report: Report) -> _Section | None:
    seen = [timeline for timeline in report.timelines if timeline.phases]
    stalls = [
        tag(
            "p", verdicts.status("fail", f"{timeline.firmware}: the boot stalled in {timeline.stalled}"), class_="stall"
        )
        for timeline in report.timelines
        if timeline.stalled
    ]
    if not seen and not stalls:
        return None
    return "Timeline", [*stalls, *([chart.chart(seen)] if seen else [])]


def _checks(report: Report) -> _Section | None:
    found = verdicts.tables(report)
    return ("Checks", found) if found else None


def _screens(report: Report, folder: Path) -> _Section | None:
    found = [figure for firmware in report.firmware for figure in pictures(folder / firmware, firmware)]
    return ("Screens", [tag("div", *found, class_="screens")]) if found else None


def _left(report: Report) -> _Section | None:
    found = [changes.difference(each) for each in report.left]
    return ("Left on the disk", found) if found else None


def _serial(report: Report, folder: Path) -> _Section | None:
    marks = {timeline.firmware: timeline.marks for timeline in report.timelines}
    logs = [
        serial.console(folder / firmware / "console.log", firmware, marks.get(firmware, ()))
        for firmware in report.firmware
    ]
    found = [log for log in logs if log]
    return ("Serial console", found) if found else None
