"""A compressed qcow2 that shares its clusters with another: those of the parts of the disk that are the same.

Clusters that did not change are taken over compressed, as they are; only the others are compressed.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from goldsmith.host.jail import Jail

#: QEMU's default, bytes
CLUSTER = 65536
#: compared at once, bytes
_STRIDE = 64 * CLUSTER
_LONGEST = 1024
_SECONDS = 1800.0


def changed_clusters(old: Path, new: Path) -> list[int]:
    """Numbers of the clusters in which two disks of one size differ; holes are zeros."""
    size = new.stat().st_size
    strides = sorted({number for path in (old, new) for number in _strides(path, size)})
    with old.open("rb") as one, new.open("rb") as other, ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(partial(_changed_in_stride, one.fileno(), other.fileno()), strides, chunksize=1)
        return list(itertools.chain.from_iterable(found))


def _changed_in_stride(old: int, new: int, number: int) -> list[int]:
    # Read, not mapped: a page fault for each page of a disk takes longer than to copy it.
    a, b = (os.pread(descriptor, _STRIDE, number * _STRIDE) for descriptor in (old, new))
    if a == b:
        return []
    first = number * _STRIDE // CLUSTER
    return [first + at // CLUSTER for at in range(0, len(b), CLUSTER) if a[at : at + CLUSTER] != b[at : at + CLUSTER]]


def _strides(path: Path, size: int) -> Iterator[int]:
    with path.open("rb") as stream:
        for start, end in _data(stream.fileno(), size):
            yield from range(start // _STRIDE, (end - 1) // _STRIDE + 1)


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:
            # Nothing but a hole to the end.
            return
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def begin(jail: Jail, base: Path, target: Path) -> None:
    """Make ``target`` a copy of the qcow2 ``base``, to which ``write_changed`` writes."""
    jail.run(["cp", "--reflink=auto", base, target], deadline=_SECONDS)


def write_changed(jail: Jail, new: Path, changed: Iterable[int], target: Path, scratch: Path) -> None:
    """Make of ``target``, a copy of another disk's qcow2, that of ``new``, which differs in the clusters ``changed``.

    Raises CommandFailedError where a tool fails or the result is not whole.
    """
    commands, part = scratch / "discard.txt", scratch / "changed.raw"
    size = new.stat().st_size
    with new.open("rb") as source, part.open("wb") as sink, commands.open("w") as script:
        sink.truncate(size)
        for first, count in _runs(changed):
            start, length = first * CLUSTER, min(count * CLUSTER, size - first * CLUSTER)
            # Compressed clusters cannot be written over.
            script.write(f"discard {start} {length}\n")
            source.seek(start)
            sink.seek(start)
            sink.write(source.read(length))
    jail.run(["qemu-io", "-d", "unmap", "-f", "qcow2", target], stdin=commands, deadline=_SECONDS)
    # What is a hole in the source is left as it is in the target.  In order, so that it is the same file each time.
    jail.run(
        ["qemu-img", "convert", "-n", "--target-is-zero", "-c", "-m", "8", "-f", "raw", "-O", "qcow2", part, target],
        deadline=_SECONDS,
    )
    jail.run(["qemu-img", "check", "-q", "-f", "qcow2", target], deadline=_SECONDS)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first, how many) of the runs in sorted numbers, each short enough to be held in memory."""
    first, count = 0, 0
    for number in numbers:
        if 0 < count < _LONGEST and number == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = number, 1
    if count:
        yield first, count
