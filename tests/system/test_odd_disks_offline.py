"""Elements applied offline to Linux disks whose file systems are in places that are not plain."""

from __future__ import annotations

import odd_bakes
import pytest
from early_jobs import EarlyJobs
from odd_bakes import FOLDERS, Odd

pytestmark = pytest.mark.system


def begin_early(jobs: EarlyJobs) -> None:
    jobs.begin("odd-disks", odd_bakes.bakes)


@pytest.fixture(scope="module")
def baked(early: EarlyJobs) -> dict[str, Odd]:
    return early.result("odd-disks")


@pytest.mark.parametrize(("name", "own"), [("lvm", {"/boot"}), ("btrfs", {"/home"}), ("boot", {"/boot", "/var"})])
def test_what_an_element_writes_lies_on_the_file_system_of_its_folder(
    baked: dict[str, Odd], name: str, own: set[str]
) -> None:
    done = baked[name]
    assert done.result.returncode == 0, done.result.stderr
    assert done.inside
    rest = {f"{folder}/mark" for folder in FOLDERS if folder not in own}
    assert done.inside.marks == {**{folder: {"/mark"} for folder in own}, "/": rest}
    assert done.inside.unread == []
    # The guest gives all files their labels when it starts: here nobody knows them.
    assert done.inside.relabelled
    assert not done.inside.littered
    assert done.after == done.before


def test_programs_of_another_processor_are_not_run(baked: dict[str, Odd]) -> None:
    done = baked["foreign"]
    assert done.result.returncode == 2, done.result.stderr
    assert "is for aarch64; its programs do not run in the appliance" in done.result.stderr
    assert done.after == done.before
