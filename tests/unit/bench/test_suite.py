"""How a benchmark runs: rounds in order, and what fails is said while the rest goes on."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import results
import suite
from measure import Usage
from results import Row
from suite import Job, Round, Suite, Workshop

from goldsmith.errors import HostError

ROWS = tuple(Row("build", name, "what", True) for name in ("a", "b"))


def _usage(seconds: float) -> Usage:
    return Usage(seconds, 0, 0, 0)


def _suite(one_round: Round, before: str = "", after: str = "") -> Suite:
    @contextlib.contextmanager
    def opened(workshop: Workshop) -> Iterator[Round]:
        if before:
            raise HostError(before)
        yield one_round
        if after:
            raise HostError(after)

    return Suite(ROWS, (), opened)


def _run(made: Suite, rounds: int = 2) -> dict[str, Row]:
    return {row.name: row for row in made.run(Workshop(Path("/nonexistent"), argparse.Namespace()), rounds)}


def _fail(message: str) -> Usage:
    raise HostError(message)


def test_each_round_measures_all_rows() -> None:
    def one_round(number: int) -> Iterator[tuple[str, Job]]:
        yield "b", lambda: _usage(number)
        yield "a", lambda: _usage(number + 10)

    rows = _run(_suite(one_round))
    assert rows["a"].rounds == (_usage(10), _usage(11))
    assert rows["b"].rounds == (_usage(0), _usage(1))


def test_a_contestant_that_fails_once_could_not_run_and_the_others_go_on() -> None:
    def one_round(number: int) -> Iterator[tuple[str, Job]]:
        yield "a", lambda: _fail("it is not there") if number else _usage(1)
        yield "b", lambda: _usage(2)

    rows = _run(_suite(one_round))
    assert (rows["a"].failed, rows["a"].rounds) == ("it is not there", ())
    assert (rows["b"].failed, len(rows["b"].rounds)) == ("", 2)


def test_a_preparation_that_fails_is_said_of_all_rows() -> None:
    rows = _run(_suite(lambda number: iter(()), before="no cloud"))
    assert {row.failed for row in rows.values()} == {"no cloud"}


def test_what_was_measured_before_the_end_failed_is_kept() -> None:
    def one_round(number: int) -> Iterator[tuple[str, Job]]:
        yield "a", lambda: _usage(1)
        yield "b", lambda: _fail("its own reason")

    rows = _run(_suite(one_round, after="did not close"))
    assert (rows["a"].failed, len(rows["a"].rounds)) == ("", 2)
    assert rows["b"].failed == "its own reason"


def test_a_run_has_a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDSMITH_CACHE", "/the/users")
    seen = []

    def one_round(number: int) -> Iterator[tuple[str, Job]]:
        seen.append(Path(os.environ["GOLDSMITH_CACHE"]))
        yield "a", lambda: _usage(1)
        yield "b", lambda: _usage(1)

    monkeypatch.setattr(suite, "host_facts", lambda rounds: {"rounds": rounds})
    report, args = suite.run([_suite(one_round)], None, ["--rounds", "3", "--folder", str(tmp_path), "--json"])
    assert (args.json, report.host, len(report.rows)) == (True, {"rounds": 3}, 2)
    assert all(path.is_relative_to(tmp_path) for path in seen)
    assert os.environ["GOLDSMITH_CACHE"] == "/the/users"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_what_is_mounted_in_the_folder_is_not_removed(tmp_path: Path) -> None:
    # In a namespace of its own, where the mounts end with the test.
    script = """
mount -t tmpfs none "$1" && mkdir "$1/dir" && touch "$1/kept"
exec "$2" -c 'import subprocess, sys
from pathlib import Path
import suite
with suite._own_folder(Path(sys.argv[1])) as folder:
    (folder / "own").touch()
    (folder / "tree").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", folder / "tree"], check=True)
    (folder / "tree" / "of-another").touch()
assert (folder / "tree" / "of-another").exists()
assert not (folder / "own").exists()' "$1/dir"
"""
    path = ":".join(str(suite.PROJECT_ROOT / part) for part in ("tests/bench", "pipeline"))
    subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script, "sh", str(tmp_path), sys.executable],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        timeout=60,
    )


def test_a_version_is_a_programs_own_word() -> None:
    assert suite._first_line("sh", "-c", "echo 'tool 1.2.3 (of someone)'") == "1.2.3"
    assert suite._first_line("sh", "-c", "echo 1.2; exit 1") == "not there"
    assert suite._first_line("not-there") == "not there"


def _one_round(number: int) -> Iterator[tuple[str, Job]]:
    for row in ROWS:
        yield row.name, lambda: _usage(number)


def test_what_was_measured_before_is_taken_if_it_is_all_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "host_facts", lambda rounds: {"rounds": rounds})
    other = Suite((dataclasses.replace(ROWS[0], suite="other"),), (), _suite(_one_round).opened)
    common = ["--rounds", "2", "--folder", str(tmp_path)]
    before, _ = suite.run([_suite(_one_round)], None, [*common, "--only", "build"])
    had = tmp_path / "had.json"
    had.write_text(json.dumps(results.as_document(before)))
    report, _ = suite.run([_suite(lambda number: pytest.fail("measured")), other], None, [*common, "--have", str(had)])
    assert [row for row in report.rows if row.suite == "build"] == list(before.rows)
    had.write_text(json.dumps(results.as_document(dataclasses.replace(before, rows=before.rows[:1]))))
    report, _ = suite.run([_suite(_one_round), other], None, [*common, "--have", str(had)])
    assert all(len(row.rounds) == 2 for row in report.rows if row.suite == "build")


def test_what_holds_for_figures_of_two_runs_is_said_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "host_facts", lambda rounds: {"commit": "new", "rounds": rounds})
    other = Suite((dataclasses.replace(ROWS[0], suite="other"),), (), _suite(_one_round).opened)
    mine, common = _suite(_one_round), ["--rounds", "2", "--folder", str(tmp_path)]
    before, _ = suite.run([mine], None, common)
    had = tmp_path / "had.json"
    had.write_text(json.dumps(results.as_document(dataclasses.replace(before, host={"commit": "old", "rounds": 2}))))
    assert suite.run([mine], None, [*common, "--have", str(had)])[0].host == {"commit": "old", "rounds": 2}
    assert suite.run([mine, other], None, [*common, "--have", str(had)])[0].host == {"commit": "old, new", "rounds": 2}
    had.write_text(json.dumps({**json.loads(had.read_text()), "rows": []}))
    assert suite.run([mine], None, [*common, "--have", str(had)])[0].host == {"commit": "new", "rounds": 2}


def test_the_others_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "host_facts", lambda rounds: {"rounds": rounds})
    other = Suite(
        (dataclasses.replace(ROWS[0], suite="other"),), (), _suite(lambda number: pytest.fail("measured")).opened
    )
    words = ["--rounds", "1", "--folder", str(tmp_path), "--only", "build"]
    report, _ = suite.run([_suite(_one_round), other], None, words)
    assert {row.suite for row in report.rows} == {"build"}
