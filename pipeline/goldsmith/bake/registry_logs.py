"""The transaction logs of a dirty hive (Windows 8.1 and later): judged entry by entry, then replayed by regipy.

regipy writes every entry that it finds, old ones too and unchecked, and LOG2 before LOG1 whichever is the later.  So it
is given one log, made of the entries that Windows itself would apply.
Rules: github.com/msuhanov/regf, "Log entries" (notes 1 to 9) and "Multiple transaction log files".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake import registry
from goldsmith.bake.registry_reader import Hive
from goldsmith.errors import HarnessError
from goldsmith.host.files import replacing
from goldsmith.host.regf import HEAD_SIZE, HiveProblemError, read_head, seal

_BINS = 4096
_NEW_FORMAT = 6
_HEAD = 40
_SEED = (0x7A4E55C5, 0x82EF4D88)
_START_WINDOWS = "start this Windows and shut it down (shutdown /s /t 0), so that it writes its logs into the hive"


@dataclass(frozen=True)
class LogEntry:
    """One write: ``pages`` are (offset in the hive bins, content); ``raw`` is the entry as it stands in the log."""

    sequence: int
    size: int
    pages: tuple[tuple[int, bytes], ...]
    raw: bytes


@dataclass(frozen=True)
class Recovered:
    """What recover did: how many log entries and pages, the first and last sequence number of the entries."""

    entries: int
    pages: int
    first: int
    last: int


def recover(path: Path, log1: Path | None, log2: Path | None, *, where: str | None = None) -> Recovered:
    """Replay the transaction logs into the dirty hive at ``path``, which becomes clean.

    A log that is absent (None), or empty, is left out.  Raises InputError: the hive is not dirty, it or its logs are
    damaged, of the older format, or do not continue each other; the file is then as it was.
    """
    with registry.told(path, where):
        size = path.stat().st_size
        if size > registry.LARGEST:
            raise HiveProblemError(f"has {size} bytes; more than {registry.LARGEST} are not opened")
        content = bytearray(path.read_bytes())
        head = read_head(bytes(content[:HEAD_SIZE]))
        if not head.dirty:
            raise HiveProblemError("is clean: there is nothing to recover", "leave --recover-registry out")
        if not head.checksum_holds:
            raise HiveProblemError("is damaged: the checksum of its first block is wrong", _START_WINDOWS)
        logs = [log for log in (log1, log2) if log is not None and log.exists() and log.stat().st_size]
        entries = applicable([_read_log(log) for log in logs], head.second)
        largest = max(_BINS + entry.size for entry in entries)
        if largest > registry.LARGEST:
            raise HiveProblemError(f"would have {largest} bytes with its logs")
        # regipy writes inside the file only; Windows grows it.
        content.extend(bytes(max(0, largest - len(content))))
        replayed = bytearray(_replayed(bytes(content), logs[0].read_bytes()[:HEAD_SIZE], entries))
        seal(replayed, sequence=entries[-1].sequence)
        _prove(bytes(replayed), bytes(content), entries)
        with replacing(path) as part:
            part.write_bytes(replayed)
    pages = sum(len(entry.pages) for entry in entries)
    return Recovered(len(entries), pages, entries[0].sequence, entries[-1].sequence)


def _read_log(path: Path) -> bytes:
    if path.stat().st_size > registry.LARGEST:
        raise HiveProblemError(f"has a transaction log of {path.stat().st_size} bytes: {path.name}")
    return path.read_bytes()


def applicable(logs: Sequence[bytes], second: int) -> list[LogEntry]:
    """The entries that are to be applied to a hive with this secondary sequence number, in their order.

    Raises HiveProblemError where there are none, or the logs do not continue each other.
    """
    found = [entries for log in logs if (entries := list(log_entries(log))) and entries[0].sequence >= second]
    found.sort(key=lambda entries: entries[0].sequence)
    if not found:
        raise HiveProblemError("is dirty, and its transaction logs hold nothing that continues it", _START_WINDOWS)
    chain = found[0]
    for entries in found[1:]:
        if entries[0].sequence != chain[-1].sequence + 1:
            raise HiveProblemError(
                f"is dirty, and its transaction logs do not continue each other: {chain[-1].sequence} is followed by "
                f"{entries[0].sequence}",
                _START_WINDOWS,
            )
        chain = [*chain, *entries]
    return chain


def log_entries(log: bytes) -> Iterator[LogEntry]:
    """The entries of one log up to the first that is torn, bad or old, as Windows reads it.

    Raises HiveProblemError for a log that is none, or of the format before Windows 8.1.
    """
    if not log.strip(b"\0"):
        return
    try:
        head = read_head(log)
    except HiveProblemError:
        raise HiveProblemError("has a transaction log that is none", _START_WINDOWS) from None
    if head.kind != _NEW_FORMAT:
        raise HiveProblemError(
            "has a transaction log in the format before Windows 8.1, which is not replayed", _START_WINDOWS
        )
    if not head.checksum_holds:
        return
    at, expected = HEAD_SIZE, head.first
    while (entry := _entry(log, at)) is not None and entry.sequence == expected:
        yield entry
        at += len(entry.raw)
        expected += 1


def _entry(log: bytes, at: int) -> LogEntry | None:
    if len(log) - at < _HEAD or log[at : at + 4] != b"HvLE":
        return None
    size, _, sequence, bins, count = struct.unpack_from("<5I", log, at + 4)
    raw = log[at : at + size]
    if size < _HEAD + 8 * count or size % 512 or len(raw) != size or bins % 4096 or not bins:
        return None
    content, head = struct.unpack_from("<QQ", raw, 24)
    if marvin32(raw[_HEAD:]) != content or marvin32(raw[:32]) != head:
        return None
    pages, start = [], _HEAD + 8 * count
    for offset, length in struct.iter_unpack("<II", raw[_HEAD:start]):
        if offset + length > bins or start + length > size:
            return None
        pages.append((offset, raw[start : start + length]))
        start += length
    return LogEntry(sequence, bins, tuple(pages), raw)


def marvin32(data: bytes) -> int:
    """The hash of log entries, 64 bits, with the seed that Windows uses for them."""
    low, high = _SEED
    whole = len(data) // 4 * 4
    rest = data[whole:] + b"\x80"
    words = [*struct.unpack(f"<{whole // 4}I", data[:whole]), int.from_bytes(rest, "little"), 0]
    mask = 0xFFFFFFFF
    for word in words:
        low = (low + word) & mask
        high ^= low
        low = ((low << 20 | low >> 12) + high) & mask
        high = (high << 9 | high >> 23) & mask
        high ^= low
        low = ((low << 27 | low >> 5) + high) & mask
        high = (high << 19 | high >> 13) & mask
    return high << 32 | low


def _replayed(content: bytes, base: bytes, entries: Sequence[LogEntry]) -> bytes:
    """``content`` with one clean log replayed by regipy."""
    with registry.workplace() as folder:
        hive, log, out = folder / "hive", folder / "log", folder / "recovered"
        registry.put(hive, content)
        registry.put(log, base + b"".join(entry.raw for entry in entries))
        registry.work({"do": "replay", "hive": hive, "log": log, "out": out})
        return out.read_bytes()


def _prove(replayed: bytes, before: bytes, entries: Sequence[LogEntry]) -> None:
    """Raises HarnessError unless the pages and nothing else were written, HiveProblemError unless it is whole."""
    expected = bytearray(before)
    for entry in entries:
        for offset, page in entry.pages:
            expected[_BINS + offset : _BINS + offset + len(page)] = page
    if replayed[_BINS:] != expected[_BINS:]:
        raise HarnessError("regipy's replay of the transaction logs is not what they hold")
    Hive(replayed).everything()
    with registry.workplace() as folder:
        hive = folder / "hive"
        registry.put(hive, replayed)
        registry.work({"do": "open", "hive": hive})
