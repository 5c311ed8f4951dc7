r"""registry.yaml: what a Windows element sets in the registry, and in the ini files of programs that would undo it.

``entries`` are values of ``HKLM\SYSTEM`` and ``HKLM\SOFTWARE``; ``ini`` are options of files, changed only where they
exist.  ``${parameter}``, ``for_each`` and ``when`` are those of checks.yaml.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from goldsmith.recipe.problems import dotted, kind_of
from goldsmith.recipe.substitute import expand

FILE = "registry.yaml"
#: winnt.h; the types that Windows itself interprets
Type = Literal["REG_SZ", "REG_EXPAND_SZ", "REG_BINARY", "REG_DWORD", "REG_MULTI_SZ", "REG_QWORD"]
NUMBERS: Mapping[str, int] = {
    "REG_SZ": 1,
    "REG_EXPAND_SZ": 2,
    "REG_BINARY": 3,
    "REG_DWORD": 4,
    "REG_MULTI_SZ": 7,
    "REG_QWORD": 11,
}
_BITS = {"REG_DWORD": 32, "REG_QWORD": 64}
#: the hives that an image is given values in; SAM and SECURITY hold accounts
Hive = Literal["SYSTEM", "SOFTWARE"]
_KEY = r"^(HKLM|HKEY_LOCAL_MACHINE)\\(SYSTEM|SOFTWARE)(\\[^\\\x00-\x1f]+)+$"
_MBR_SIGNATURE = r"^[0-9a-fA-F]{8}$"
_LONGEST_NAME = 255


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Volume(_Closed):
    """A volume as MountedDevices names it: by its number, by disk and place (MBR), or by its partition's GUID (GPT).

    A number is that of the partition table of the disk that holds this Windows, from 1; the table decides the form.
    """

    partition: Annotated[StrictInt, Field(ge=1, le=128)] | None = None
    signature: Annotated[StrictStr, Field(pattern=_MBR_SIGNATURE)] | None = Field(
        default=None, description="The MBR's disk signature: 8 hex digits, as diskpart's `uniqueid disk` shows it"
    )
    offset: Annotated[StrictInt, Field(ge=512, lt=2**63)] | None = Field(
        default=None, description="Where the partition begins, in bytes"
    )
    guid: StrictStr | None = Field(default=None, description="The GPT partition's unique GUID")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.signature is None) != (self.offset is None):
            raise ValueError("signature and offset belong together")
        if sum(form is not None for form in (self.partition, self.signature, self.guid)) != 1:
            raise ValueError("a volume is one of: partition; signature and offset; guid")
        if self.guid is not None:
            try:
                uuid.UUID(self.guid)
            except ValueError:
                raise ValueError(f"`{self.guid}` is not a GUID") from None
        return self


class VolumeData(_Closed):
    """Data that the disk's partition table decides."""

    volume: Volume


class Entry(_Closed):
    """One value of a registry: it has this type and these data, or it is absent."""

    key: str = Field(pattern=_KEY, description=r"HKLM\SYSTEM\CurrentControlSet\..., or HKLM\SOFTWARE\...")
    value: str = Field(min_length=1, max_length=_LONGEST_NAME, description="Name of the value; @ is the key's own")
    type: Type | None = None
    data: StrictInt | StrictStr | tuple[StrictStr, ...] | VolumeData | None = Field(
        default=None,
        description="A number, a text, the texts of a REG_MULTI_SZ, hex digits of a REG_BINARY (quoted), or a volume",
    )
    absent: Literal[True] | None = Field(default=None, description="There is no such value")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.absent:
            if self.type is not None or self.data is not None:
                raise ValueError("absent cannot stand with type or data")
            return self
        if self.type is None or self.data is None:
            raise ValueError("type and data are needed, or absent: true")
        if wrong := _data_problem(self.type, self.data):
            raise ValueError(wrong)
        return self

    @property
    def hive(self) -> Hive:
        """The hive's name in System32/config."""
        return "SYSTEM" if self.key.split("\\")[1].upper() == "SYSTEM" else "SOFTWARE"

    @property
    def names(self) -> tuple[str, ...]:
        """The key below the hive's root; CurrentControlSet stays as it is."""
        return tuple(self.key.split("\\")[2:])

    @property
    def name(self) -> str:
        """The value's name in the hive, "" for the key's own."""
        return "" if self.value == "@" else self.value

    def encoded(self) -> tuple[int, bytes] | None:
        """Type and bytes as the hive holds them; None for one that is absent.

        Raises ValueError for a volume that has not been resolved.
        """
        if self.type is None or self.data is None:
            return None
        if isinstance(self.data, VolumeData):
            raise ValueError("a volume is known once the disk is")
        return NUMBERS[self.type], _bytes(self.type, self.data)


_File = Annotated[str, Field(pattern=r"^(\\[^\\/:*?\"<>|]+)+$")]


class IniOption(_Closed):
    """An option of ini files, set in those that exist."""

    files: tuple[_File, ...] = Field(min_length=1, description="Paths on the system's volume: \\Program Files\\...")
    section: str = Field(min_length=1, pattern=r"^[^\[\]\r\n]+$")
    option: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    value: str = Field(pattern=r"^[^\r\n]*$")


class _Resolvable(_Closed):
    when: str | bool | dict[str, Any] | None = Field(default=None, description="${parameter} or {parameter: value}")
    for_each: str | None = Field(default=None, description="${list}: once for each ${item} of it")


class _RawVolume(_Closed):
    volume: Volume | Annotated[str, Field(pattern=r"^\$\{.*\}$")]


class _RawEntry(_Resolvable):
    key: str
    value: str
    type: Annotated[Type | None, WithJsonSchema({"enum": [*NUMBERS]})] = None
    data: int | str | tuple[str, ...] | _RawVolume | None = None
    absent: Literal[True] | None = None


class _RawIni(_Resolvable):
    files: tuple[str, ...] = Field(min_length=1)
    section: str
    option: str
    value: str


class RegistryFile(_Closed):
    """A registry.yaml as it is written, parameters not yet put in."""

    entries: tuple[_RawEntry, ...] = Field(min_length=1)
    ini: tuple[_RawIni, ...] = ()


_Model = TypeVar("_Model", Entry, IniOption)


@dataclass(frozen=True)
class Wrong:
    """What is wrong with an entry once its parameters are in; ``path`` is below the entry."""

    path: str
    message: str


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a registry.yaml."""
    schema = RegistryFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "goldsmith registry.yaml"}


def entries_of(raw: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[Entry | Wrong]:
    """What one of ``entries`` stands for.  Raises SubstitutionError."""
    yield from _resolved(raw, parameters, Entry)


def ini_of(raw: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[IniOption | Wrong]:
    """What one of ``ini`` stands for.  Raises SubstitutionError."""
    yield from _resolved(raw, parameters, IniOption)


def _resolved(raw: Mapping[str, Any], parameters: Mapping[str, Any], model: type[_Model]) -> Iterator[_Model | Wrong]:
    # expand() numbers the ids of what it repeats; entries have none.
    for each in expand({**raw, "id": ""}, parameters):
        del each["id"]
        try:
            yield model.model_validate(each)
        except ValidationError as error:
            yield from _wrongs(error, each)


def _wrongs(error: ValidationError, value: Mapping[str, Any]) -> Iterator[Wrong]:
    """Of data, which may be many things, what is wrong with that which it was meant to be."""
    data = value.get("data")
    found = error.errors()
    if not isinstance(data, Mapping) and any(item["loc"][:1] == ("data",) for item in found):
        yield Wrong("data", f"must be a number, a text, a list of texts or a volume, found {kind_of(data)}")
        found = [item for item in found if item["loc"][:1] != ("data",)]
    for item in found:
        if item["loc"][:1] != ("data",) or VolumeData.__name__ in item["loc"]:
            place = [part for part in item["loc"] if part != VolumeData.__name__]
            yield Wrong(dotted(place), item["msg"].removeprefix("Value error, "))


def _data_problem(kind: Type, data: int | str | tuple[str, ...] | VolumeData) -> str | None:
    if isinstance(data, VolumeData):
        return None if kind == "REG_BINARY" else f"a volume is a REG_BINARY, not a {kind}"
    if kind in _BITS:
        if not isinstance(data, int):
            return f"a {kind} is a number, found {kind_of(data)}"
        return None if 0 <= data < 2 ** _BITS[kind] else f"{data} is no number of {_BITS[kind]} bits without a sign"
    if kind == "REG_MULTI_SZ":
        if not isinstance(data, tuple):
            return f"a REG_MULTI_SZ is a list of texts, found {kind_of(data)}"
        return "a REG_MULTI_SZ cannot hold an empty text or a NUL" if any(not t or "\0" in t for t in data) else None
    if not isinstance(data, str):
        return f"a {kind} is a text, found {kind_of(list(data) if isinstance(data, tuple) else data)}"
    if kind == "REG_BINARY":
        return None if re.fullmatch(r"([0-9a-fA-F]{2} ?)*", data) else "a REG_BINARY is pairs of hex digits, in quotes"
    return "a text cannot hold a NUL" if "\0" in data else None


def _bytes(kind: Type, data: int | str | tuple[str, ...]) -> bytes:
    if isinstance(data, int):
        return data.to_bytes(_BITS[kind] // 8, "little")
    if isinstance(data, tuple):
        return "".join(f"{each}\0" for each in (*data, "")).encode("utf-16-le")
    if kind == "REG_BINARY":
        return bytes.fromhex(data)
    return f"{data}\0".encode("utf-16-le")
