"""Results of tests that prove a fix on a guest: see support.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import support


@pytest.fixture
def proves(record_property: Callable[[str, object], None]) -> Callable[[str, str, str], None]:
    """Say that this test, if it passes, proves an element on a guest (a recipe's name) with a firmware."""

    def say(element: str, guest: str, firmware: str) -> None:
        record_property(support.PROPERTY, support.claim(element, guest, firmware))

    return say


@pytest.fixture(autouse=True)
def _fixture_tested(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    for mark in request.node.iter_markers("fixture_tested"):
        element, *guests = mark.args
        for guest in guests:
            record_property(support.PROPERTY, support.claim(element, guest, "", support.FIXTURE))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    report = yield
    claims = [value for name, value in report.user_properties if name == support.PROPERTY]
    # A test that was skipped proves nothing.
    report.support = [] if report.skipped else [{**each, "passed": report.passed} for each in claims]
    return report


class _Results:
    """Gathers what the tests of a session proved."""

    def __init__(self) -> None:
        self._results: support.Results = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test whose fixture broke has no call, and takes back what it once proved.
        if report.when == "call" or report.failed:
            self._results[report.nodeid] = getattr(report, "support", [])

    def pytest_sessionfinish(self) -> None:
        support.merge(support.RESULTS, self._results)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Results(), "support-results")
