r"""A Windows image: values of its registry and options of ini files, set without a program of its own running."""

from __future__ import annotations

import contextlib
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake import ini, registry, registry_logs, registry_volumes
from goldsmith.bake.offline.guest import Guest
from goldsmith.bake.registry import Change
from goldsmith.bake.registry_volumes import Partition, PartitionTable
from goldsmith.errors import HarnessError, InputError
from goldsmith.host.files import file_digest
from goldsmith.host.progress import Progress
from goldsmith.host.regf import HEAD_SIZE, read_head
from goldsmith.recipe import clock
from goldsmith.recipe.plan import Plan
from goldsmith.recipe.registry import Entry
from goldsmith.store.manifest import KEPT

_CONFIG = "/Windows/System32/config"
_LOGS = (".LOG1", ".LOG2")
#: offset of the disk's signature in an MBR
_SIGNATURE = 440


@dataclass(frozen=True)
class Customised:
    """``kept`` are the hives as they were, by file name; only those that were changed."""

    changes: tuple[Change, ...]
    kept: tuple[Path, ...]


def customise(guest: Guest, plan: Plan, scratch: Path, *, recover: bool, progress: Progress) -> Customised:
    """Make the registry entries and ini options of a plan true in a mounted image.

    ``scratch`` is an empty folder.  With ``recover`` the transaction logs of a dirty hive are replayed first.  Raises
    InputError for a hive that is dirty, damaged or missing, HarnessError where what was written is not what is read.
    """
    by_hive: dict[str, list[Entry]] = defaultdict(list)
    for planned in plan.registry:
        by_hive[planned.entry.hive].append(planned.entry)
    changes: list[Change] = []
    kept: list[Path] = []
    with progress.step("offline: registry"):
        table = partition_table(guest) if by_hive else None
        for hive, entries in sorted(by_hive.items()):
            assert table is not None
            place = guest.in_any_case(f"{_CONFIG}/{hive}")
            before, local = scratch / f"{hive}{KEPT}", scratch / hive
            guest.call("download", place, str(local))
            guest.call("download", place, str(before))
            if recover:
                _recovered(guest, place, local, progress)
            changes += _merged(local, entries, table, place)
            if file_digest(local) != file_digest(before):
                _replace(guest, local, place, recovered=recover)
                kept.append(before)
    for change in changes:
        progress.note(f"{change.key}: {change.value} {'set' if change.after else 'removed'}")
    for text in _warnings(guest, plan):
        progress.note(f"warning: {text}")
    with progress.step("offline: ini files"):
        _set_options(guest, plan, progress)
    return Customised(tuple(changes), tuple(kept))


def partition_table(guest: Guest) -> PartitionTable:
    """The table of the disk that holds this Windows.  Raises InputError where there is none."""
    device = guest.call("part_to_dev", guest.system.root)
    kind = guest.call("part_get_parttype", device)
    if kind not in ("gpt", "msdos"):
        raise InputError(f"its partition table is {kind}; drive letters need an MBR or a GPT", where=guest.where)
    partitions = []
    for found in guest.call("part_list", device):
        number = int(found["part_num"])
        guid = uuid.UUID(guest.call("part_get_gpt_guid", device, number)) if kind == "gpt" else None
        partitions.append(Partition(number, int(found["part_start"]), guid))
    signature = None
    if kind == "msdos":
        signature = int.from_bytes(guest.call("pread_device", device, 4, _SIGNATURE), "little")
    return PartitionTable(tuple(partitions), signature)


def _merged(local: Path, entries: list[Entry], table: PartitionTable, place: str) -> tuple[Change, ...]:
    resolved = registry_volumes.resolved(entries, table)
    mounted = registry.read_key(local, registry_volumes.KEY, where=place) if local.name == "SYSTEM" else None
    registry_volumes.require_one_letter(resolved, mounted or {})
    return registry.merge(local, resolved, where=place).changes


def _recovered(guest: Guest, place: str, local: Path, progress: Progress) -> None:
    """Replay the logs of a hive that is dirty; a clean one needs nothing."""
    with local.open("rb") as stream, registry.told(local, place):
        if not read_head(stream.read(HEAD_SIZE)).dirty:
            return
    logs: list[Path | None] = []
    for suffix in _LOGS:
        log: Path | None = local.with_name(f"{local.name}{suffix}")
        try:
            guest.call("download", guest.in_any_case(f"{place}{suffix}"), str(log))
        except InputError:
            log = None
        logs.append(log)
    done = registry_logs.recover(local, *logs, where=place)
    progress.note(f"{place}: {done.pages} pages of {done.entries} log entries were replayed")


def _replace(guest: Guest, local: Path, place: str, *, recovered: bool) -> None:
    """Put the hive in its place, whole or not at all, and read it back."""
    beside = f"{place}.goldsmith"
    guest.call("upload", str(local), beside)
    if guest.call("checksum", "sha256", beside) != file_digest(local):
        raise HarnessError("what was written to the image is not what is read from it", where=beside)
    guest.call("mv", beside, place)
    if recovered:
        # They are in the hive now; Windows makes new ones.
        for suffix in _LOGS:
            with contextlib.suppress(InputError):
                guest.call("truncate", guest.in_any_case(f"{place}{suffix}"))


def _warnings(guest: Guest, plan: Plan) -> Iterator[str]:
    for planned in plan.registry:
        if planned.entry.value == clock.VALUE and planned.entry.absent is None:
            major, minor = guest.system.version.split(".")
            yield from clock.warnings(universal=True, version=(int(major), int(minor)))


def _set_options(guest: Guest, plan: Plan, progress: Progress) -> None:
    for planned in plan.ini:
        option = planned.option
        for file in option.files:
            try:
                place = guest.in_any_case(file.replace("\\", "/"))
            except InputError:
                continue
            content = guest.read(place)
            wanted = ini.set_option(content, option.section, option.option, option.value)
            if wanted != content:
                guest.call("write", place, wanted)
                progress.note(f"{file}: {option.option} set")
