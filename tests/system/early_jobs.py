"""Work that boots no guest, begun before the first test and looked at later: one processor would idle meanwhile.

A test module that has such work has a function ``begin_early(jobs)``.  The work runs in a process of its own, one
after another: the appliances that the tests of this process start and count are never its own.  It has a cache and a
catalogue of its own, too, so that it is no leftover of builds that tests kill.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from system_help import Workshop

from goldsmith.boot.accelerator import Accelerator, choose


@dataclass(frozen=True)
class Bench:
    """Where a job works: an empty ``folder`` of its own, and what all of them share."""

    workshop: Workshop
    accelerator: Accelerator
    folder: Path


def _work(work: Callable[[Bench], Any], workshop: Workshop, folder: Path) -> Any:
    return work(Bench(workshop, choose(workshop.settings), folder))


@dataclass
class EarlyJobs:
    """``begin`` takes functions of modules that are no tests, and what they are given can be pickled."""

    workshop: Workshop
    folder: Path
    _futures: dict[str, Future[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._pool = ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn"))

    def begin(self, name: str, work: Callable[[Bench], Any]) -> None:
        folder = self.folder / name
        folder.mkdir()
        self._futures[name] = self._pool.submit(_work, work, self.workshop, folder)

    def result(self, name: str) -> Any:
        """What the job gave, or the error it ended with."""
        return self._futures[name].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
