"""JUnit XML as Jenkins and its kin read it: one suite for each layer and firmware, one case for each check.

The elements and attributes are those of the schema of Jenkins' xUnit plugin (junit-10.xsd).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from goldsmith.store.manifest import Verdict
from goldsmith.verify.report import Report

# What is not in Char of XML 1.0, section 2.2; a parser refuses the whole document for one of them.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENDS = {"fail": "failure", "broken": "error"}


def as_junit(report: Report) -> bytes:
    """The document, UTF-8.  ``fail`` is a failure (the image's fault), ``broken`` an error (nothing can be said)."""
    root = ET.Element("testsuites", {"name": _clean(report.title), **_counts(report.verdicts)})
    del root.attrib["skipped"]  # not an attribute of testsuites
    for number, (suite, verdicts) in enumerate(_suites(report).items()):
        root.append(_suite(report, suite, verdicts, number))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suites(report: Report) -> dict[str, list[Verdict]]:
    suites: dict[str, list[Verdict]] = {}
    for verdict in report.verdicts:
        suites.setdefault(f"{verdict.layer} {verdict.firmware or 'image'}", []).append(verdict)
    return suites


def _suite(report: Report, name: str, verdicts: Sequence[Verdict], number: int) -> ET.Element:
    suite = ET.Element("testsuite", {"name": name, **_counts(verdicts), "id": str(number)})
    if report.finished:
        suite.set("timestamp", _clean(report.finished.removesuffix("Z")))
    facts = {
        "image": report.image,
        "sha256": report.sha256,
        "accelerator": report.accelerator,
        "channel": report.channel,
        "complete": str(report.complete).lower(),
    }
    properties = ET.SubElement(suite, "properties")
    for key, value in facts.items():
        if value:
            ET.SubElement(properties, "property", {"name": key, "value": _clean(value)})
    for verdict in verdicts:
        suite.append(_case(report, verdict))
    return suite


def _case(report: Report, verdict: Verdict) -> ET.Element:
    # Readers cut a class name at its dots into a tree of packages.
    parts = (report.title, verdict.layer, verdict.firmware or "image", verdict.element)
    classname = ".".join(part.replace(".", "_") for part in parts)
    case = ET.Element(
        "testcase", {"name": _clean(verdict.check), "classname": _clean(classname), "time": f"{verdict.seconds:.3f}"}
    )
    if end := _ENDS.get(verdict.status):
        seen = verdict.seen.strip().partition("\n")[0]
        found = ET.SubElement(case, end, {"type": verdict.status, "message": _clean(f"{verdict.says}: {seen}")})
        found.text = _clean(_told(verdict))
    if verdict.console:
        ET.SubElement(case, "system-out").text = _clean("\n".join(verdict.console))
    return case


def _told(verdict: Verdict) -> str:
    seen = "seen" if verdict.status == "fail" else "because"
    told = (("expected", verdict.expected), (seen, verdict.seen), ("repeat", verdict.repeat))
    return "\n".join(f"{label}: {text}" for label, text in told if text)


def _counts(verdicts: Sequence[Verdict]) -> dict[str, str]:
    return {
        "tests": str(len(verdicts)),
        "failures": str(sum(verdict.status == "fail" for verdict in verdicts)),
        "errors": str(sum(verdict.status == "broken" for verdict in verdicts)),
        "skipped": "0",
        "time": f"{sum(verdict.seconds for verdict in verdicts):.3f}",
    }


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", text)
