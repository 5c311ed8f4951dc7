"""What a busy host takes from a process, on a real one and on files as the kernel writes them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from goldsmith.host import starved


def test_a_process_is_found_by_its_name_and_where_it_works(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    process = subprocess.Popen(["sleep", "60"], cwd=here)
    try:
        end = time.monotonic() + 10
        while starved.find("sleep", here) is None and time.monotonic() < end:
            time.sleep(0.02)
        assert starved.find("sleep", here) == process.pid
        assert starved.find("sleep", there) is None
        assert starved.find("qemu-system-x86_64", here) is None
    finally:
        process.kill()
        process.wait()
    assert starved.find("sleep", here) is None


def test_the_thread_that_waited_most_counts(tmp_path: Path) -> None:
    for thread, text in {"10": "5000000000 1500000000 7\n", "11": "0 250000000 1\n", "12": "damaged\n"}.items():
        (tmp_path / "10/task" / thread).mkdir(parents=True)
        (tmp_path / "10/task" / thread / "schedstat").write_text(text)
    assert starved.seconds(10, tmp_path) == 1.5


def test_where_nothing_is_counted_nothing_was_waited(tmp_path: Path) -> None:
    assert starved.seconds(10, tmp_path) == 0.0


def test_two_that_share_a_processor_wait_for_each_other() -> None:
    one = sorted(os.sched_getaffinity(0))[:1]
    spins = ["python3", "-c", f"import os\nos.sched_setaffinity(0, {one})\nwhile True: pass"]
    processes = [subprocess.Popen(spins) for _ in range(2)]
    try:
        end = time.monotonic() + 30
        while min(starved.seconds(process.pid) for process in processes) < 0.2:
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        for process in processes:
            process.kill()
            process.wait()
