"""The manifest: what stands beside an image, and says what is in it, what it was made of and what was proven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from goldsmith.errors import InputError, Problem
from goldsmith.host.files import write_text

Status = Literal["pass", "fail", "broken"]
Firmware = Literal["bios", "uefi"]
Layer = Literal["offline", "live", "shutdown", "screen", "network"]

#: the element that goldsmith's own checks are reported under, and the one that proves a boot
BUILT_IN = "goldsmith"
SETTLED = "settled"
#: how the names of files end that were changed in a base image, and are kept beside the manifest as they were
KEPT = ".before"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Verdict(_Document):
    """What came of one check in one layer.

    ``fail`` is the image's fault; ``broken`` means that the harness failed and nothing can be said about the image.
    """

    layer: Layer
    element: str
    check: str
    says: str = Field(description="The sentence that the check proves")
    firmware: Firmware | None = Field(default=None, description="What it was booted with; none for the image as baked")
    status: Status
    expected: str = ""
    seen: str = ""
    seconds: float = Field(default=0.0, ge=0)
    console: tuple[str, ...] = Field(default=(), description="Last lines of the serial console")
    repeat: str = Field(default="", description="Command that runs only this check again")

    @property
    def name(self) -> str:
        return f"{self.element}/{self.check}"


class UsedElement(_Document):
    """An element with the digest of its files."""

    name: str
    digest: str


class PackageFact(_Document):
    """An installed package, as dpkg-query names it."""

    name: str
    version: str
    architecture: str


def installed_packages(listing: str) -> tuple[PackageFact, ...]:
    """Packages of a listing (bake/offline/run.sh): status, name, version and architecture a line, tabs between."""
    rows = [line.split("\t") for line in listing.splitlines() if line.startswith("ii")]
    return tuple(PackageFact(name=row[1], version=row[2], architecture=row[3]) for row in rows if len(row) == 4)


class Step(_Document):
    """A step of the work and its duration in seconds."""

    name: str
    seconds: float = Field(ge=0)


_SHA256 = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(_Document):
    """All that is known about an image; sizes in bytes."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    recipe_digest: str = _SHA256
    inputs: dict[str, str] = Field(description="Digest of each input that recipe_digest covers")
    base: dict[str, str]
    elements: tuple[UsedElement, ...]
    packages: tuple[PackageFact, ...] = ()
    properties: dict[str, str] = {}
    found: dict[str, str] = Field(
        default={}, description="Properties that follow from what is on the disk, where the base is an image"
    )
    lacks: tuple[str, ...] = Field(
        default=(), description="Agents and drivers that were looked for on such a disk, and are certainly not there"
    )
    firmware: tuple[Firmware, ...] = Field(description="What the image is proven to boot with; nothing for a Windows")
    sha256: str = _SHA256
    sha512: str = Field(pattern=r"^[0-9a-f]{128}$")
    size: int = Field(gt=0)
    virtual_size: int = Field(gt=0)
    verdicts: tuple[Verdict, ...] = ()
    steps: tuple[Step, ...] = ()
    goldsmith_version: str


def read(path: Path) -> Manifest:
    """Read a manifest; raises InputError where the file is absent or not a manifest."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path), hint="run: goldsmith build") from error
    except ValidationError as error:
        problems = [Problem(path.name, ".".join(str(p) for p in e["loc"]), e["msg"]) for e in error.errors()]
        raise InputError(
            "is not a manifest", problems=problems, where=str(path), hint="build the image again"
        ) from error


def as_text(manifest: Manifest) -> str:
    """The manifest as it stands in its file: JSON, keys sorted."""
    return json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def write(path: Path, manifest: Manifest) -> None:
    """Replace the file atomically."""
    write_text(path, as_text(manifest))
