"""The exception tree: what an error shows and which exit code it means."""

import pytest

from goldsmith.errors import (
    CheckFailedError,
    CommandFailedError,
    DeadlineError,
    ExitCode,
    GoldsmithError,
    HarnessError,
    HostError,
    InputError,
    Problem,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CheckFailedError("x"), 1),
        (InputError("x"), 2),
        (HostError("x"), 3),
        (HarnessError("x"), 3),
        (DeadlineError("x", 1), 3),
        (CommandFailedError("x", status="exited 1"), 3),
        (GoldsmithError("x"), 3),
    ],
)
def test_class_decides_the_exit_code(error: GoldsmithError, code: int) -> None:
    assert error.exit_code == code
    assert isinstance(error.exit_code, ExitCode)


def test_error_shows_where_and_hint() -> None:
    assert str(HostError("no room", where="/tmp", hint="free some")) == "/tmp: no room\n  hint: free some"
    assert str(HostError("no room")) == "no room"


def test_a_broken_harness_is_no_failed_check() -> None:
    assert not issubclass(HarnessError, CheckFailedError)
    assert not issubclass(CheckFailedError, HostError)


def test_deadline_error_names_condition_and_wait() -> None:
    error = DeadlineError("login prompt on ttyS0", 90.4, hint="see the console log")
    assert str(error) == "login prompt on ttyS0: not within 90 s\n  hint: see the console log"
    assert error.seconds == 90.4


def test_command_error_shows_command_status_and_tail() -> None:
    error = CommandFailedError("false --now", status="exited 1", tail="one\ntwo")
    assert str(error) == "command exited 1: false --now\n  | one\n  | two"


def test_input_error_lists_every_problem() -> None:
    problems = [
        Problem("r.yaml", "elements.0.adress", "unknown parameter", "did you mean addresses"),
        Problem("r.yaml", "", "not a mapping"),
    ]
    assert str(InputError(problems=problems)).splitlines() == [
        "2 problems in the input",
        "  r.yaml: elements.0.adress: unknown parameter, did you mean addresses",
        "  r.yaml: not a mapping",
    ]
    assert str(InputError(problems=problems[:1])).startswith("1 problem in the input\n")
