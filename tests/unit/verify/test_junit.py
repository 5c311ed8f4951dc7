"""JUnit XML by the schema of Jenkins' xUnit plugin (junit-10.xsd), whose rules are written out here."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

import report_samples as samples
from goldsmith.verify.reporting.junit import as_junit

_SUREFIRE_TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")
_COUNTS = ("tests", "failures", "errors")
#: element: attributes that must be, that may be, and children
_SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", *_COUNTS}, {"testsuite"}),
    "testsuite": (
        {"name", *_COUNTS},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": (
        {"name"},
        {"time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}
_MIXED = {"failure", "error", "system-out"}


def problems(document: bytes) -> list[str]:
    """What the schema would say; a document that is no XML raises ParseError."""
    root = ET.fromstring(document)
    found = [] if root.tag == "testsuites" else [f"the root is {root.tag}"]
    for element in root.iter():
        must, may, children = _SCHEMA.get(element.tag, (set(), set(), set()))
        if element.tag not in _SCHEMA:
            found.append(f"no element {element.tag}")
            continue
        found += [f"{element.tag} lacks {name}" for name in sorted(must - set(element.attrib))]
        found += [f"{element.tag} has {name}" for name in sorted(set(element.attrib) - must - may)]
        found += [f"{child.tag} in {element.tag}" for child in element if child.tag not in children]
        if element.tag not in _MIXED and ((element.text or "").strip() or any((c.tail or "").strip() for c in element)):
            found.append(f"text in {element.tag}")
        if element.tag.startswith("testsuite") and not _SUREFIRE_TIME.fullmatch(element.get("time", "")):
            found.append(f"time {element.get('time')}")
    for suite in root.iter("testsuite"):
        for count, tags in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error")):
            if suite.get(count) != str(len(suite.findall(tags))):
                found.append(f"{suite.get('name')}: {count} is {suite.get(count)}")
    return found


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("<testsuite/>", "the root is testsuite"),
        ("<testsuites><testsuite name='a'/></testsuites>", "testsuite lacks errors"),
        ("<testsuites skipped='0'/>", "testsuites has skipped"),
        ("<testsuites><testcase name='a'/></testsuites>", "testcase in testsuites"),
        ("<testsuites><odd/></testsuites>", "no element odd"),
        ("<testsuites time='1e3'/>", "time 1e3"),
        ("<testsuites>text</testsuites>", "text in testsuites"),
        (
            "<testsuites><testsuite name='a' tests='2' failures='0' errors='0'/></testsuites>",
            "a: tests is 2",
        ),
    ],
)
def test_the_schema_finds(document: str, problem: str) -> None:
    assert problem in problems(document.encode())


def suites() -> dict[str | None, ET.Element]:
    return {suite.get("name"): suite for suite in ET.fromstring(as_junit(samples.report())).findall("testsuite")}


def test_it_keeps_to_the_schema() -> None:
    document = as_junit(samples.report())
    assert problems(document) == []
    assert document.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    root = ET.fromstring(document)
    assert [root.get(name) for name in _COUNTS] == ["12", "1", "1"]
    assert problems(as_junit(samples.report(verdicts=()))) == []


def test_a_suite_for_each_layer_and_firmware() -> None:
    assert list(suites()) == [
        "offline image",
        *(f"{layer} bios" for layer in samples.LAYERS[1:]),
        *(f"{layer} uefi" for layer in samples.LAYERS[1:]),
    ]
    facts = {each.get("name"): each.get("value") for each in suites()["live bios"].iter("property")}
    assert facts["sha256"] == "a" * 64
    assert facts["channel"] == "credential: systemd 257 makes a unit of a credential"
    assert suites()["live bios"].get("timestamp") == "2026-01-31T12:00:00"


def test_failed_and_broken_are_kept_apart() -> None:
    failed = suites()["live bios"].find("testcase[@name='live-bad']")
    broken = suites()["screen uefi"].find("testcase[@name='screen-odd']")
    assert failed is not None and broken is not None
    failure, error = failed.find("failure"), broken.find("error")
    assert failure is not None and failed.find("error") is None
    assert error is not None and broken.find("failure") is None
    assert failure.get("message") == "the guest does what live-bad promises: GRUB_TERMINAL=console"
    assert failure.text == (
        "expected: /etc/default/grub matches '^GRUB_TERMINAL=.*serial'\n"
        "seen: GRUB_TERMINAL=console\n(and nothing else)\n"
        "repeat: goldsmith verify recipes/debian-13.yaml --check text-console/live-bad"
    )
    assert (error.text or "").startswith("because: ")
    assert failed.findtext("system-out") == "Debian GNU/Linux 13 goldsmith ttyS0\ngoldsmith login:"
    assert failed.get("time") == "4.250"
    # A dot would put it into another package.
    assert failed.get("classname") == "debian-13.live.bios.text-console"
    good = suites()["live bios"].find("testcase[@name='live-good']")
    assert good is not None and len(good) == 0


def test_a_hostile_guest_cannot_break_the_document() -> None:
    document = as_junit(samples.hostile())
    assert problems(document) == []
    text = ET.fromstring(document).findtext(".//system-out") or ""
    assert "<script>alert(1)</script>" in text and "]]>" in text and "&amp;" in text
    assert not {"\x00", "\x07", "\x1b"} & set(text)
    # Not forbidden, so left.
    assert "\x85" in text
