r"""The kind registry: a key or value of a Windows registry's hive on the disk.

A hive whose two sequence numbers differ has changes in its transaction logs that are not in the file.  hivex does not
know the logs, so what it reads of such a hive may be of no account: the check is broken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from goldsmith.errors import HarnessError
from goldsmith.host.regf import HEAD_SIZE, HiveProblemError, clean_head
from goldsmith.verify.compare import Finding, Strict, shown
from goldsmith.verify.tree import Hive, Tree

_CONFIG = "/Windows/System32/config"
#: where Windows keeps the hives that it mounts there
_HIVES = {
    ("HKLM", "SYSTEM"): f"{_CONFIG}/SYSTEM",
    ("HKLM", "SOFTWARE"): f"{_CONFIG}/SOFTWARE",
    ("HKLM", "SAM"): f"{_CONFIG}/SAM",
    ("HKLM", "SECURITY"): f"{_CONFIG}/SECURITY",
    ("HKU", ".DEFAULT"): f"{_CONFIG}/DEFAULT",
}
_LONG = {"HKEY_LOCAL_MACHINE": "HKLM", "HKEY_USERS": "HKU"}
#: winnt.h
Type = Literal["REG_NONE", "REG_SZ", "REG_EXPAND_SZ", "REG_BINARY", "REG_DWORD", "REG_MULTI_SZ", "REG_QWORD"]
_TYPES: dict[int, Type] = {
    0: "REG_NONE",
    1: "REG_SZ",
    2: "REG_EXPAND_SZ",
    3: "REG_BINARY",
    4: "REG_DWORD",
    7: "REG_MULTI_SZ",
    11: "REG_QWORD",
}
_NUMBERS = {"REG_DWORD": 4, "REG_QWORD": 8}


class RegistryAssertion(Strict):
    """A key, or a value of it, in a hive of an offline Windows."""

    key: str = Field(
        pattern=r"^[^\\]+(\\[^\\]+)*$",
        description=r"HKLM\SYSTEM\CurrentControlSet\...; with hive, the key below that hive's root",
    )
    hive: str | None = Field(default=None, pattern=r"^/", description="Path of the hive's file; else key decides")
    value: str | None = Field(
        default=None, description="Name of the value; @ is the key's own; the key alone if left out"
    )
    exists: bool = Field(default=True, description="false: there is no such key, or it has no such value")
    type: Type | None = None
    equals: int | str | tuple[str, ...] | None = Field(
        default=None,
        description="A number, a text, the texts of a REG_MULTI_SZ, hex digits of a REG_BINARY (in quotes)",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        asked = self.type is not None or self.equals is not None
        if asked and self.value is None:
            raise ValueError("type and equals are of a value: give value")
        if asked and not self.exists:
            raise ValueError("exists: false cannot stand with type or equals")
        if self.hive is None and _split(self.key)[0] is None:
            known = ", ".join("\\".join(names) for names in _HIVES)
            raise ValueError(f"key begins with one of {known}; for another hive give hive")
        return self


@dataclass(frozen=True)
class Value:
    """A value of a hive; ``kind`` is its number in winnt.h."""

    kind: int
    raw: bytes

    @property
    def type(self) -> str:
        return _TYPES.get(self.kind, f"type {self.kind}")

    @property
    def content(self) -> int | str | tuple[str, ...]:
        """As ``equals`` writes it; hex digits where the bytes are not of their type, which Windows does not enforce."""
        if self.type in _NUMBERS and len(self.raw) == _NUMBERS[self.type]:
            return int.from_bytes(self.raw, "little")
        if self.type in ("REG_SZ", "REG_EXPAND_SZ") and len(self.raw) % 2 == 0:
            return self.raw.decode("utf-16-le", errors="replace").partition("\0")[0]
        if self.type == "REG_MULTI_SZ" and len(self.raw) % 2 == 0:
            text = self.raw.decode("utf-16-le", errors="replace")
            return tuple(text.partition("\0\0")[0].rstrip("\0").split("\0")) if text.strip("\0") else ()
        return self.raw.hex()

    def __str__(self) -> str:
        return f"{self.type} {shown(repr(self.content))}"


def registry(assertion: RegistryAssertion, tree: Tree) -> list[Finding]:
    """Raises HarnessError where there is no such hive, it is dirty or damaged, or this tree opens none."""
    place, names = (None, assertion.key.split("\\")) if assertion.hive else _split(assertion.key)
    path = in_any_case(assertion.hive or place or "", tree)
    require_clean(tree.head(path, HEAD_SIZE), path)
    with tree.hive(path) as hive:
        key = hive.key(_resolved(names, hive, path) if place else names)
        return _compared(assertion, hive, key)


def _compared(assertion: RegistryAssertion, hive: Hive, key: int | None) -> list[Finding]:
    if assertion.value is None:
        if (key is not None) == assertion.exists:
            return []
        wanted = "exists" if assertion.exists else "does not exist"
        return [Finding(f"the key {assertion.key} {wanted}", "it exists" if key is not None else "no such key")]
    what = f"{assertion.key} {assertion.value}"
    found = None if key is None else hive.value(key, "" if assertion.value == "@" else assertion.value)
    value = None if found is None else Value(*found)
    if not assertion.exists:
        return [] if value is None else [Finding(f"{what} does not exist", str(value))]
    if value is None:
        return [Finding(f"{what} exists", "no such key" if key is None else "the key has no such value")]
    findings = []
    if assertion.type is not None and value.type != assertion.type:
        findings.append(Finding(f"{what} is {assertion.type}", str(value)))
    if assertion.equals is not None and not _same(assertion.equals, value):
        findings.append(Finding(f"{what} is {assertion.equals!r}", str(value)))
    return findings


def _same(wanted: int | str | tuple[str, ...], value: Value) -> bool:
    content = value.content
    if isinstance(wanted, str) and value.type == "REG_BINARY":
        return wanted.replace(" ", "").lower() == content
    return wanted == content


def _split(key: str) -> tuple[str | None, list[str]]:
    """The hive's file and the names below its root; None where the key begins with no hive that is known."""
    first, *rest = key.split("\\")
    root = _LONG.get(first.upper(), first.upper())
    place = _HIVES.get((root, rest[0].upper())) if rest else None
    return place, rest[1:]


def _resolved(names: list[str], hive: Hive, path: str) -> list[str]:
    """CurrentControlSet is no key of the file: Select\\Current has the number of the one that it stands for."""
    if not names or names[0].upper() != "CURRENTCONTROLSET":
        return names
    select = hive.key(["Select"])
    found = None if select is None else hive.value(select, "Current")
    number = None if found is None else Value(*found).content
    if not isinstance(number, int):
        raise HarnessError("has no number of a control set in Select\\Current", where=path)
    return [f"ControlSet{number:03d}", *names[1:]]


def require_clean(base_block: bytes, path: str) -> None:
    """Raises HarnessError for a hive that is none, or whose changes are still in its transaction logs."""
    try:
        clean_head(base_block)
    except HiveProblemError as error:
        raise HarnessError(str(error), where=path, hint=error.hint) from error


def in_any_case(path: str, tree: Tree) -> str:
    """A path as the tree has it, whatever the case of its letters; HarnessError where there is none."""
    found = ""
    for part in path.strip("/").split("/"):
        if tree.exists(f"{found}/{part}"):
            # A folder of Windows holds thousands of names.
            found = f"{found}/{part}"
            continue
        names = [name for name in tree.names(found or "/") if name.lower() == part.lower()]
        if not names:
            raise HarnessError("there is no such registry hive", where=path, hint="is this a disk of Windows?")
        found = f"{found}/{names[0]}"
    return found
