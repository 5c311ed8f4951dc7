"""Deadlines: points in time, polled at least once."""

import time

import pytest

from goldsmith.errors import DeadlineError
from goldsmith.host.deadline import Deadline


def test_remaining_shrinks_and_is_never_negative() -> None:
    deadline = Deadline.after(0.05)
    assert 0 < deadline.remaining() <= 0.05
    assert not deadline.passed
    time.sleep(0.06)
    assert deadline.remaining() == 0
    assert deadline.passed


def test_wait_returns_what_the_condition_returned() -> None:
    answers = iter([None, "", "ready"])
    assert Deadline.after(5).wait_for(lambda: next(answers), "service", interval=0.001) == "ready"


def test_wait_tries_once_even_when_too_late() -> None:
    assert Deadline.after(0).wait_for(lambda: "here", "service") == "here"


def test_wait_gives_up_in_time_and_names_the_condition() -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineError, match="login prompt: not within 0 s") as caught:
        Deadline.after(0.2).wait_for(lambda: None, "login prompt", interval=10, hint="look at the console")
    assert 0.2 <= time.monotonic() - started < 2
    assert caught.value.hint == "look at the console"
