r"""Registry entries merged into a hive's file on the host.

The hive is read whole by registry_reader (Python, bounded), written by hivex in a process of its own (registry_worker),
and the result is read whole again: what differs must be what was asked for and nothing else.  Only then does it replace
the file.  Where nothing is to be changed nothing is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldsmith.bake import registry_worker
from goldsmith.bake.registry_reader import Hive, Values, control_set
from goldsmith.errors import CommandFailedError, HarnessError, HostError, InputError
from goldsmith.host.files import replacing
from goldsmith.host.memory import available_memory
from goldsmith.host.regf import HiveProblemError
from goldsmith.host.run import run
from goldsmith.recipe.registry import Entry

#: larger hives are refused unread; a SOFTWARE hive of a server has about 100 MiB
LARGEST = 256 * 2**20
#: memory that a hive takes here, in its own sizes (measured: registry_reader's tables of it before and after)
_MEMORY_FACTOR = 16
_SECONDS = 900.0
#: content above this is kept in pieces ("big data"), which hivex reads and does not write
_BIG = 16344
_HERE = "CURRENTCONTROLSET"


@dataclass(frozen=True)
class HiveState:
    """A clean hive.  ``control_set`` is what CurrentControlSet stands for, None in a hive that has no Select.

    ``next_control_set`` is what Windows says it will take at its next start (Select\\Default).
    """

    size: int
    sequence: int
    keys: int
    values: int
    control_set: str | None
    next_control_set: str | None


@dataclass(frozen=True)
class Change:
    """One value that merge changed: (type, bytes) before and after, None where it is absent."""

    key: str
    value: str
    before: tuple[int, bytes] | None
    after: tuple[int, bytes] | None


@dataclass(frozen=True)
class Merged:
    """What merge did; no changes means that the file is as it was, to the byte."""

    changes: tuple[Change, ...]
    control_set: str | None


def examine_hive(path: Path, *, where: str | None = None, limit: int = LARGEST) -> HiveState:
    """Look at a whole hive.

    ``where`` names it in errors (the path inside the image), ``limit`` is in bytes.  Raises InputError: no hive, dirty,
    damaged, or too large.
    """
    with told(path, where):
        hive = _opened(path, limit)
        everything = hive.everything()
        current = control_set(hive) if hive.find(["Select"]) else None
        return HiveState(
            size=path.stat().st_size,
            sequence=hive.head.first,
            keys=len(everything),
            values=sum(len(values) for values in everything.values()),
            control_set=current,
            next_control_set=_next_control_set(hive) if current else None,
        )


def read_key(path: Path, key: str, *, where: str | None = None, limit: int = LARGEST) -> Values | None:
    r"""The values of one key, such as ``HKLM\SYSTEM\MountedDevices``: name -> (type, bytes); None where it is absent.

    Raises InputError as examine_hive does, for what lies on the way to the key.
    """
    with told(path, where):
        hive = _opened(path, limit)
        names = key.split("\\")[2:]
        if names and names[0].upper() == _HERE:
            names[0] = control_set(hive)
        found = hive.find(names)
        return None if found is None else hive.values(found)


def merge(path: Path, entries: Sequence[Entry], *, where: str | None = None, limit: int = LARGEST) -> Merged:
    """Make ``entries`` true in the hive at ``path``; they are all of one hive, and their volumes are resolved.

    A value that is there already with this type and these bytes is left alone.  Raises InputError as examine_hive does,
    and where an entry cannot be merged; HarnessError where the result is not what was asked for.  On any error the
    file is as it was.
    """
    with told(path, where):
        hive = _opened(path, limit)
        before = hive.everything()
        current = control_set(hive) if any(entry.names[0].upper() == _HERE for entry in entries) else None
        changes = _wanted(hive, before, entries, current)
        if not changes:
            return Merged((), current)
        with workplace() as folder:
            source, result = folder / "hive", folder / "merged"
            put(source, path.read_bytes())
            work({"do": "merge", "hive": source, "out": result, "changes": [_request(change) for change in changes]})
            content = result.read_bytes()
        _prove(content, before, changes, hive.head.first)
        with replacing(path) as part:
            part.write_bytes(content)
    return Merged(tuple(changes), current)


@contextlib.contextmanager
def told(path: Path, where: str | None) -> Iterator[None]:
    try:
        yield
    except HiveProblemError as error:
        raise InputError(str(error), where=where or str(path), hint=error.hint) from error
    except InputError as error:
        raise InputError(error.message, where=error.where or where or str(path), hint=error.hint) from error


def _opened(path: Path, limit: int) -> Hive:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from error
    if size > limit:
        raise HiveProblemError(f"has {size / 2**20:.0f} MiB; a hive of more than {limit / 2**20:.0f} MiB is not opened")
    if size * _MEMORY_FACTOR > (free := available_memory()):
        raise HiveProblemError(
            f"has {size / 2**20:.0f} MiB, for which {size * _MEMORY_FACTOR / 2**20:.0f} MiB of memory are needed and "
            f"{free / 2**20:.0f} MiB are free",
            "use a host with more memory",
        )
    return Hive(path.read_bytes())


def _next_control_set(hive: Hive) -> str | None:
    select = hive.find(["Select"])
    kind, raw = ({} if select is None else hive.values(select)).get("Default", (0, b""))
    return f"ControlSet{int.from_bytes(raw, 'little'):03d}" if kind == 4 and len(raw) == 4 else None


def _wanted(
    hive: Hive, before: Mapping[tuple[str, ...], Values], entries: Sequence[Entry], current: str | None
) -> list[Change]:
    """The changes that are left to do."""
    if len({entry.hive for entry in entries}) > 1:
        raise ValueError("entries of two hives cannot be merged into one")
    changes: list[Change] = []
    seen: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        names = (current, *entry.names[1:]) if current and entry.names[0].upper() == _HERE else entry.names
        key = hive.find(names)
        # As the hive writes it, so that two spellings are one key.
        path = key.path if key is not None else names
        place = ("\\".join(path).upper(), entry.name.upper())
        if place in seen and seen[place].encoded() != entry.encoded():
            raise InputError(f"`{entry.key}` `{entry.value}` is to be two things at once")
        if place in seen:
            continue
        seen[place] = entry
        values: Values = {} if key is None else before[key.path]
        name = next((each for each in values if each.upper() == entry.name.upper()), entry.name)
        after, now = entry.encoded(), values.get(name)
        if after == now:
            continue
        if key is None and hive.find(names[:-1]) is None:
            raise InputError(
                f"there is no key {entry.key.rpartition(chr(92))[0]}",
                hint="is this the Windows that the element is for?",
            )
        if large := [each for each, (_, content) in values.items() if len(content) > _BIG]:
            # hivex writes all values of the key anew.
            raise InputError(f"`{entry.key}` also holds `{large[0]}`, which is too large to be written again")
        changes.append(Change("\\".join(path), name, now, after))
    return changes


def _request(change: Change) -> dict[str, Any]:
    document: dict[str, Any] = {"key": change.key.split("\\"), "name": change.value}
    if change.after is not None:
        document |= {"type": change.after[0], "data": change.after[1].hex()}
    return document


def _prove(content: bytes, before: Mapping[tuple[str, ...], Values], changes: Sequence[Change], sequence: int) -> None:
    """Raises HarnessError unless ``content`` is a clean hive that differs in these changes and nothing else."""
    expected = {path: dict(values) for path, values in before.items()}
    for change in changes:
        values = expected.setdefault(tuple(change.key.split("\\")), {})
        if change.after is None:
            values.pop(change.value, None)
        else:
            values[change.value] = change.after
    try:
        hive = Hive(content)
        found = hive.everything()
    except HiveProblemError as error:
        raise HarnessError(f"what hivex wrote {error}") from error
    if hive.head.first == sequence:
        raise HarnessError("hivex wrote the hive and did not count it")
    if found != expected:
        wrong = [path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path)]
        raise HarnessError("what hivex wrote is not what was asked for, at " + "\\".join(min(wrong)))


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder for the worker, which is nobody where we are root."""
    with tempfile.TemporaryDirectory(prefix="goldsmith-hive-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, registry_worker.NOBODY, registry_worker.NOBODY)
        yield folder


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)


def work(request: Mapping[str, Any]) -> None:
    """Have the worker do something, with the files that ``request`` names.

    Raises HiveProblemError where it could not, or died of it; HostError where the host lacks hivex.
    """
    argv = [sys.executable, "-I", registry_worker.__file__]
    try:
        done = run(argv, deadline=_SECONDS, stdin=json.dumps(request, default=str))
    except CommandFailedError as error:
        raise HiveProblemError(f"makes hivex fail: the process {error.status}") from error
    answer = json.loads(done.stdout)
    if "missing" in answer:
        raise HostError(f"cannot write registry hives: {answer['missing']}", hint="run: setup/prepare")
    if "error" in answer:
        raise HiveProblemError(f"cannot be worked with: {answer['error']}")
