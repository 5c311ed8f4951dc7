"""What some work costs: seconds, and the most that its processes held of memory, disks and files in memory.

Looked at from the outside, several times a second, for all processes that were started meanwhile, so that it is the
same for every program measured.  What lives for less than a sample can be missed; the looking itself is kept below one
part in forty of one processor.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldsmith.host.run import Completed, run

#: seconds between samples at the least, and how many times what a sample takes
_INTERVAL, _SPARING = 0.05, 40
#: that a command may take in all: ends a run that hangs
DEADLINE = 3600.0
_MIB = 2**20
_PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """``seconds``; the others are the most seen at once, in MiB above what there was before."""

    seconds: float
    #: all processes together; a page that several share counts once
    memory: float
    #: taken from the disks' file systems
    disk: float
    #: files in memory: tmpfs of any mount namespace
    tmpfs: float


class Watch:
    """Looks until it is stopped; then ``usage`` is what it saw."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._known = set(_parents())
        self._file_systems = _file_systems(folders)
        self._free = {path: _free(path) for path in self._file_systems}
        self._shared = _shared_memory()
        self._most = dict.fromkeys(("memory", "disk", "tmpfs"), 0.0)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._started = time.monotonic()
        self._seconds: float | None = None
        self._thread.start()

    def stop(self) -> None:
        """The clock stands still from here; safe to call twice."""
        if self._seconds is None:
            self._seconds = time.monotonic() - self._started
            self._done.set()
            self._thread.join()

    @property
    def usage(self) -> Usage:
        assert self._seconds is not None, "still running"
        return Usage(seconds=self._seconds, **{name: most / _MIB for name, most in self._most.items()})

    def _look(self) -> None:
        took, done = 0.0, False
        while not done:
            done = self._done.wait(max(_INTERVAL, took * _SPARING))
            started = time.thread_time()
            seen = {
                "memory": sum(memory_of(pid) for pid in _descendants(os.getpid(), self._known)),
                "disk": sum(max(0, free - _free(path)) for path, free in self._free.items()),
                "tmpfs": max(0, _shared_memory() - self._shared),
            }
            self._most = {name: max(most, seen[name]) for name, most in self._most.items()}
            took = time.thread_time() - started


@contextlib.contextmanager
def watched(*folders: Path) -> Iterator[Watch]:
    """Measure what is done in the block; the disks of ``folders`` are looked at, and those of temporary files."""
    # What the work before has written must not be on this one's bill.
    os.sync()
    watch = Watch([*folders, Path(tempfile.gettempdir()), Path("/var/tmp")])
    try:
        yield watch
    finally:
        watch.stop()


def measured(
    argv: Sequence[str | os.PathLike[str]], *folders: Path, env: Mapping[str, str] | None = None
) -> tuple[Usage, Completed]:
    """Run a command and say what it cost; raises as ``goldsmith.host.run.run`` does where it fails."""
    with watched(*folders) as watch:
        done = run(argv, deadline=DEADLINE, env=env)
        watch.stop()
    return watch.usage, done


def memory_of(pid: int) -> int:
    """Bytes, its part of what it shares; all of that where only root may know, and 0 where it is gone."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^Pss:\s+(\d+) kB", (_PROC / str(pid) / "smaps_rollup").read_text(), re.MULTILINE):
            return int(found[1]) * 1024
    with contextlib.suppress(OSError, IndexError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _parents() -> dict[int, int]:
    """Of every process, its parent."""
    found = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # The program's name may hold anything, brackets and blanks too.
                found[int(entry.name)] = int((_PROC / entry.name / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _descendants(root: int, known: set[int]) -> Iterator[int]:
    """Without those that are known, and theirs."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    waiting = [root]
    while waiting:
        fresh = [pid for pid in children.get(waiting.pop(), []) if pid not in known and not _is_copy(pid)]
        yield from fresh
        waiting += fresh


def _is_copy(pid: int) -> bool:
    """Of this process: not yet the program that it was started for, so its memory is ours."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "cmdline").read_bytes() == _OWN_COMMAND
    return True


_OWN_COMMAND = (_PROC / "self" / "cmdline").read_bytes()


def _file_systems(folders: Sequence[Path]) -> list[Path]:
    """One folder of each that is no tmpfs: those have a figure of their own."""
    mounts = [line.split() for line in (_PROC / "self" / "mountinfo").read_text().splitlines()]
    in_memory = {words[2] for words in mounts if words[words.index("-") + 1] == "tmpfs"}
    found: dict[int, Path] = {}
    for folder in folders:
        device = folder.stat().st_dev
        if f"{os.major(device)}:{os.minor(device)}" not in in_memory:
            found.setdefault(device, folder)
    return list(found.values())


def _free(folder: Path) -> int:
    usage = shutil.disk_usage(folder)
    return usage.total - usage.used


def _shared_memory() -> int:
    found = re.search(r"^Shmem:\s+(\d+) kB", (_PROC / "meminfo").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024
