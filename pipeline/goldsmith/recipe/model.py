"""The recipe: what an operator writes, typed and closed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    StrictBool,
    Tag,
    WithJsonSchema,
    model_validator,
)

from goldsmith.errors import InputError, Problem
from goldsmith.recipe.problems import kind_of, wrong_type

NAME = r"^[a-z0-9][a-z0-9._-]*$"
VARIABLE = r"^DIB_[A-Za-z0-9_]+$"
#: RPM names have capitals; a trailing minus would make apt remove the package
PACKAGE = r"^[A-Za-z0-9]([A-Za-z0-9.+_-]*[A-Za-z0-9+])?$"
URL = r"^https?://[^\s/]+(/\S*)?$"
DIGEST = r"^[0-9a-fA-F]{64}$"
SIZE = r"^[1-9][0-9]*(MiB|GiB|TiB)$"

_UNITS = {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
#: less holds no system with a kernel; more is no file on an ext4 host
_SMALLEST, _LARGEST = 2**30, 16 * 2**40


class WrongValueError(ValueError):
    """A value that a validator refuses, with what to write instead."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        self.suggestion = suggestion
        super().__init__(message)


def parse_size(value: object) -> int:
    """``"4GiB"`` as bytes.  Raises WrongValueError for anything but a whole number of MiB, GiB or TiB."""
    if not isinstance(value, str):
        small = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1024
        hint = f"write {value}GiB" if small else "write it as 4GiB"
        raise WrongValueError(f"must be a size with its unit, found {kind_of(value)}", hint)
    if not re.match(SIZE, value):
        loose = re.match(r"^\s*([1-9][0-9]*)\s*([KMGT])?i?B?\s*$", value, re.IGNORECASE)
        unit = ((loose[2] or "G") if loose else "G").upper()
        hint = f"did you mean `{loose[1]}{unit}iB`" if loose and unit != "K" else "write it as 4GiB"
        raise WrongValueError(f"`{value}` is not a size: a whole number of MiB, GiB or TiB", hint)
    size = int(value[:-3]) * _UNITS[value[-3:]]
    if not _SMALLEST <= size <= _LARGEST:
        raise WrongValueError(f"a disk of {value} cannot be made: from 1GiB to 16TiB")
    return size


def _size_in_bytes(value: object) -> object:
    # bytes, as a recipe that was dumped has them; a bare 4 is no size
    return value if isinstance(value, int) and _SMALLEST <= value <= _LARGEST else parse_size(value)


def _unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise WrongValueError(f"`{value}` is there twice")
    return values


def _matching(pattern: str, what: str, suggestion: str | None = None) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise WrongValueError(f"`{value}` is not {what}", suggestion)
        return value

    return check


def property_text(value: object) -> str:
    """A Glance property's value.  Raises WrongValueError for numbers and booleans: Glance would store some text."""
    if not isinstance(value, str):
        message, _ = wrong_type("string", value)
        plain = isinstance(value, bool | int | float)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        raise WrongValueError(message, f'quote it: "{text}"' if plain else None)
    return value


Name = Annotated[
    str,
    AfterValidator(_matching(NAME, "a name: lower-case letters, digits, `.`, `_` and `-`")),
    WithJsonSchema({"type": "string", "pattern": NAME}),
]
VariableName = Annotated[
    str,
    AfterValidator(_matching(VARIABLE, "a variable of diskimage-builder: only DIB_... may be set")),
    WithJsonSchema({"type": "string", "pattern": VARIABLE}),
]
PackageName = Annotated[
    str,
    AfterValidator(_matching(PACKAGE, "the name of a package")),
    WithJsonSchema({"type": "string", "pattern": PACKAGE}),
]
Url = Annotated[
    str,
    AfterValidator(_matching(URL, "an http or https URL", "write it as http://HOST/PATH")),
    WithJsonSchema({"type": "string", "pattern": URL}),
]
Digest = Annotated[
    str,
    AfterValidator(_matching(DIGEST, "a sha256: 64 hexadecimal digits", "sha256sum FILE shows it")),
    AfterValidator(str.lower),
    WithJsonSchema({"type": "string", "pattern": DIGEST}),
]
Size = Annotated[
    int, BeforeValidator(_size_in_bytes), WithJsonSchema({"type": "string", "pattern": SIZE, "examples": ["4GiB"]})
]
PropertyName = Annotated[
    str,
    AfterValidator(_matching(r"^[A-Za-z0-9_:.-]{1,255}$", "the name of a Glance property")),
    WithJsonSchema({"type": "string"}),
]
PropertyText = Annotated[str, BeforeValidator(property_text), WithJsonSchema({"type": "string"})]
#: a tag of an image; Glance takes no longer one (api/v2/images.py, get_base_properties)
TagText = Annotated[str, Field(min_length=1, max_length=255)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Base(_Closed):
    """What diskimage-builder bootstraps."""

    distribution: str
    release: str
    architecture: str = "amd64"


class ImageBase(_Closed):
    """An image that somebody else made: a FILE, relative to the recipe, or a URL.

    ``sha256`` is the file's own, ``sha256sums`` a FILE or URL of a list that has it.  With ``network``, packages may be
    fetched while the elements are applied.
    """

    image: Annotated[str, Field(min_length=1)]
    sha256: Digest | None = None
    sha256sums: Annotated[str, Field(min_length=1)] | None = None
    format: Literal["qcow2", "raw", "vmdk", "vhd", "vhdx"] | None = None
    architecture: str = "amd64"
    network: StrictBool = False


def _kind_of_base(value: object) -> str:
    if isinstance(value, dict):
        return IMAGE_TAG if "image" in value else BOOTSTRAP_TAG
    return IMAGE_TAG if isinstance(value, ImageBase) else BOOTSTRAP_TAG


#: how the two kinds of a base are called in pydantic's locations of errors; no key of a recipe looks like them
BOOTSTRAP_TAG, IMAGE_TAG = "[bootstrap]", "[image]"

AnyBase = Annotated[
    Annotated[Base, Tag(BOOTSTRAP_TAG)] | Annotated[ImageBase, Tag(IMAGE_TAG)], Discriminator(_kind_of_base)
]


class Disk(_Closed):
    """The virtual disk: ``size`` in bytes (written as 4GiB), and the firmware that must boot it."""

    size: Size = 4 * 2**30
    firmware: Annotated[tuple[Literal["bios", "uefi"], ...], Field(min_length=1), AfterValidator(_unique)] = (
        "bios",
        "uefi",
    )


class Mirror(_Closed):
    """Package mirrors for the build; they stay in the image only with ``keep``."""

    url: Url
    security_url: Url | None = None
    keep: StrictBool = False


class Publish(_Closed):
    """How the image is named and shown in the catalogue; ``name`` defaults to the recipe's.

    ``keep``: so many former images stay in a cloud for a rollback; none given, all of them.  ``protected`` and ``tags``
    are for clouds as well: where they are not given, an image that is there keeps its own.
    """

    name: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    visibility: Literal["private", "shared", "community", "public"] = "private"
    keep: Annotated[int, Field(ge=0)] | None = None
    protected: StrictBool | None = None
    tags: Annotated[tuple[TagText, ...], AfterValidator(_unique)] | None = None


class ElementUse(_Closed):
    """An element with its parameters; in YAML a string, or a mapping with one key."""

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: object) -> object:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and len(value) == 1:
            ((name, parameters),) = value.items()
            if parameters is None:
                return {"name": name}
            if not isinstance(parameters, dict):
                raise WrongValueError(
                    f"the parameters of `{name}` must be a mapping, found {kind_of(parameters)}",
                    f"write {{{name}: {{PARAMETER: VALUE}}}}",
                )
            return {"name": name, "parameters": parameters}
        if isinstance(value, dict) and set(value) == {"name", "parameters"}:
            return value
        if isinstance(value, dict) and value:
            # `- networkd:` with its parameters not indented far enough reads as several keys
            hint = f"indent the parameters of `{next(iter(value))}` deeper than its name"
            raise WrongValueError("an element is one key, found several: " + ", ".join(f"`{k}`" for k in value), hint)
        raise WrongValueError(f"an element is a name, or one name with its parameters, found {kind_of(value)}")


class Recipe(_Closed):
    """One image: a base, the elements on it in this order, its disk, and how it is published."""

    name: Name
    base: AnyBase
    elements: tuple[ElementUse, ...] = ()
    environment: dict[VariableName, str] = Field(default_factory=dict)
    packages: Annotated[tuple[PackageName, ...], AfterValidator(_unique)] = ()
    disk: Disk = Field(default_factory=Disk)
    mirror: Mirror | None = None
    properties: dict[PropertyName, PropertyText] = Field(default_factory=dict)
    publish: Publish = Field(default_factory=Publish)

    #: dotted path -> file, for values that another file than the recipe's own brought in
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _source: Path | None = PrivateAttr(default=None)

    @property
    def source(self) -> Path | None:
        """The file this recipe was loaded from; None for one made in code."""
        return self._source

    @property
    def published_name(self) -> str:
        """The image's name in a catalogue."""
        return self.publish.name or self.name

    @property
    def bootstrapped(self) -> Base:
        """The base that diskimage-builder makes.  Raises InputError where it is an image."""
        if isinstance(self.base, ImageBase):
            problem = Problem(self.file_of("base"), "base", "is an image, and this needs a distribution and a release")
            raise InputError(problems=[problem])
        return self.base

    def file_of(self, path: str) -> str:
        """The file to name in a problem with the value at ``path`` (dotted)."""
        return origin(self._origins, path, str(self._source or self.name))

    def placed(self, source: Path, origins: dict[str, str]) -> Recipe:
        """This recipe, with the files that it came from."""
        copy = self.model_copy()
        copy._source, copy._origins = source, origins
        return copy


def origin(origins: dict[str, str], path: str, default: str) -> str:
    """The file of the longest prefix of ``path`` that ``origins`` knows."""
    while path:
        if path in origins:
            return origins[path]
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return default
