"""What the benchmark sees of the work that it measures: all its processes, its files on disks and in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import measure
import pytest
from measure import measured, watched

from goldsmith.errors import CommandFailedError, HostError

#: takes 100 MiB, for long enough to be seen on a busy host
_TAKE = "import time; held = bytes(1) * (100 * 2**20); time.sleep(3)"


def _python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def _alone(argv: list[str], folder: Path, first: str = "") -> dict[str, Any]:
    """What a process of its own measures, once it has done ``first``: from this one other tests start programs too."""
    code = f"""
import dataclasses, json, pathlib, subprocess, sys, measure
{first}
usage, done = measure.measured(sys.argv[2:], pathlib.Path(sys.argv[1]))
print(json.dumps({{**dataclasses.asdict(usage), "stdout": done.stdout}}))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(measure.__file__).parent)}
    words = [sys.executable, "-c", code, str(folder), *argv]
    said = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    usage: dict[str, Any] = json.loads(said)
    return usage


def test_memory_of_a_command_is_seen(tmp_path: Path) -> None:
    usage = _alone(_python(f"print('said'); {_TAKE}"), tmp_path)
    assert usage["stdout"] == "said\n"
    assert 100 < usage["memory"] < 150
    assert usage["seconds"] > 1.0


def test_memory_of_processes_that_a_command_starts_is_added(tmp_path: Path) -> None:
    both = f"import subprocess, sys; each = [sys.executable, '-I', '-S', '-c', {_TAKE!r}]\n"
    both += "for process in [subprocess.Popen(each) for _ in 'ab']: process.wait()"
    assert 200 < _alone(_python(both), tmp_path)["memory"] < 300


def test_memory_of_what_ran_before_and_of_the_benchmark_is_not_seen(tmp_path: Path) -> None:
    before = _python(f"print(flush=True); {_TAKE}")
    first = f"""
own = bytes(1) * (100 * 2**20)
before = subprocess.Popen({before}, stdout=subprocess.PIPE)
before.stdout.readline()
"""
    assert _alone(["sleep", "0.3"], tmp_path, first)["memory"] < 50
    # Started while it is measured, the same is seen.
    assert _alone(before, tmp_path)["memory"] > 100


def test_a_shared_page_counts_once(tmp_path: Path) -> None:
    forked = "import os, time; held = bytes(1) * (100 * 2**20); os.fork(); time.sleep(1)"
    assert 100 < _alone(_python(forked), tmp_path)["memory"] < 160


def test_disk_that_is_given_back_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Others write on this disk too: the file system is a played one, whose files are those of the folder.
    monkeypatch.setattr(measure, "_file_systems", lambda folders: [tmp_path])
    monkeypatch.setattr(measure, "_free", lambda path: -sum(each.stat().st_size for each in path.glob("*")))
    script = 'head -c 60M /dev/zero >"$1/a"; sleep 1; mv "$1/a" "$2"'
    usage, _ = measured(["sh", "-c", script, "sh", str(tmp_path), str(tmp_path.parent / "away")], tmp_path)
    assert 59 < usage.disk < 61


def test_free_space_is_that_of_the_file_system(tmp_path: Path) -> None:
    facts = os.statvfs(tmp_path)
    assert abs(measure._free(tmp_path) - facts.f_bfree * facts.f_frsize) < 2**30


def test_files_in_memory_are_seen_and_are_no_disk(tmp_path: Path) -> None:
    place = Path(f"/dev/shm/bench-test-{os.getpid()}")
    try:
        usage, _ = measured(["sh", "-c", 'head -c 200M /dev/zero >"$1"; sleep 1', "sh", str(place)], tmp_path)
    finally:
        place.unlink(missing_ok=True)
    assert usage.tmpfs > 150
    assert measure._file_systems([Path("/dev/shm")]) == []
    assert len(measure._file_systems([tmp_path, tmp_path])) <= 1


def test_a_failed_command_says_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="exited 3") as caught:
        measured(["sh", "-c", "echo broken >&2; exit 3"], tmp_path)
    assert caught.value.tail == "broken"
    with pytest.raises(HostError, match="not-there"):
        measured(["not-there"], tmp_path)


def test_the_clock_stands_still_once_stopped(tmp_path: Path) -> None:
    with watched(tmp_path) as watch:
        watch.stop()
        first = watch.usage
        subprocess.run(["sleep", "0.2"], check=True)
    assert watch.usage == first
