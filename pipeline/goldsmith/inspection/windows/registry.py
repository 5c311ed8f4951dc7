"""Hives of an offline Windows, for reading facts: which state they are in, and values by their paths."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from goldsmith.errors import HarnessError
from goldsmith.inspection.facts import shown
from goldsmith.verify.kinds.registry import Value, in_any_case, require_clean
from goldsmith.verify.tree import Hive, Tree

#: a larger hive is not opened: the appliance holds it in memory
LARGEST_HIVE = 512 * 2**20
_BASE_BLOCK = 512
_NAMES = ("SYSTEM", "SOFTWARE")

State = Literal["clean", "dirty", "damaged", "missing", "too large"]


@dataclass(frozen=True)
class HiveState:
    name: str
    #: as the tree has it; "" where it is missing
    path: str
    #: dirty: changes that Windows had not written into it yet are in its logs, and what is read may be outdated
    state: State
    #: the two sequence numbers of its first block
    sequence: tuple[int, int] | None
    #: its transaction logs that are not empty
    logs: tuple[str, ...]

    @property
    def readable(self) -> bool:
        return self.state in ("clean", "dirty")


class Registry:
    """An open hive.  Keys are paths of names, found in any case; methods raise HarnessError where it is broken."""

    def __init__(self, hive: Hive, path: str) -> None:
        self._hive = hive
        self._path = path

    def value(self, key: Sequence[str], name: str) -> Value | None:
        """None where there is no such key, or no such value of it."""
        handle = self._hive.key(key)
        found = None if handle is None else self._hive.value(handle, name)
        return None if found is None else Value(*found)

    def number(self, key: Sequence[str], name: str) -> int | None:
        """A REG_DWORD or REG_QWORD; None where there is none, or one of another type."""
        value = self.value(key, name)
        return value.content if value is not None and isinstance(value.content, int) else None

    def text(self, key: Sequence[str], name: str) -> str | None:
        """A REG_SZ or REG_EXPAND_SZ as it may be printed; None where there is none, or one of another type."""
        value = self.value(key, name)
        if value is None or value.type not in ("REG_SZ", "REG_EXPAND_SZ") or not isinstance(value.content, str):
            return None
        return shown(value.content)

    def has(self, key: Sequence[str]) -> bool:
        return self._hive.key(key) is not None

    def names(self, key: Sequence[str]) -> Iterator[str]:
        """Names of the keys below a key, each of which costs a question; none where there is no such key."""
        handle = self._hive.key(key)
        return iter(()) if handle is None else self._hive.names(handle)

    def control_set(self) -> str:
        """ControlSet001 or another: the one that CurrentControlSet stands for."""
        number = self.number(["Select"], "Current")
        if number is None or not 0 < number < 1000:
            raise HarnessError("has no number of a control set in Select\\Current", where=self._path)
        return f"ControlSet{number:03d}"


def hive_states(tree: Tree, systemroot: str) -> tuple[HiveState, ...]:
    """SYSTEM and SOFTWARE of a Windows whose folder is ``systemroot``, such as /Windows."""
    return tuple(_state(tree, systemroot, name) for name in _NAMES)


def _state(tree: Tree, systemroot: str, name: str) -> HiveState:
    try:
        path = in_any_case(f"{systemroot}/System32/config/{name}", tree)
        head = tree.head(path, _BASE_BLOCK)
    except HarnessError:
        return HiveState(name, "", "missing", None, ())
    entry = tree.stat(path)
    sequence = struct.unpack_from("<II", head, 4) if len(head) >= 12 else None
    state: State = "clean"
    if entry is not None and entry.size > LARGEST_HIVE:
        state = "too large"
    elif sequence is None or head[:4] != b"regf":
        state = "damaged"
    elif sequence[0] != sequence[1]:
        state = "dirty"
    else:
        try:
            require_clean(head, path)
        except HarnessError:
            state = "damaged"
    return HiveState(name, path, state, sequence, tuple(_logs(tree, path)))


def _logs(tree: Tree, path: str) -> Iterator[str]:
    for suffix in (".LOG", ".LOG1", ".LOG2"):
        with contextlib.suppress(HarnessError):
            log = in_any_case(path + suffix, tree)
            entry = tree.stat(log)
            if entry is not None and entry.size:
                yield log


@contextlib.contextmanager
def opened(tree: Tree, state: HiveState) -> Iterator[Registry]:
    """A hive's values.  Raises HarnessError, with the reason, for one that cannot be read."""
    if not state.readable:
        raise HarnessError(f"is {state.state}", where=state.path or state.name)
    with tree.hive(state.path) as hive:
        yield Registry(hive, state.path)
