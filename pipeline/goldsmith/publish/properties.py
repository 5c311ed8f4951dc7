"""Glance properties of an image, from its elements, from what is on its disk, and from its recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from goldsmith.errors import InputError, Problem
from goldsmith.recipe.nova_vocabulary import YES

#: Debian's architecture names in the words of Glance (nova/objects/fields.py, Architecture)
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i686", "ppc64el": "ppc64le", "s390x": "s390x"}
#: what a disk is, whoever wants something else
_GIVEN = ("architecture", "hw_firmware_type", "os_distro", "os_type")
#: properties that are of no use, or fatal, without something on the disk: name, values, what must be there, and why
_NEEDS = (
    ("hw_qemu_guest_agent", YES, "qemu-guest-agent", "the guest agent is not installed"),
    ("hw_disk_bus", ("virtio",), "viostor", "no driver viostor is started at boot: Windows would not find its disk"),
    ("hw_scsi_model", ("virtio-scsi",), "vioscsi", "no driver vioscsi is started at boot"),
    ("hw_vif_model", ("virtio",), "netkvm", "no driver netkvm is installed: Windows would have no network"),
)
THE_DISK, THE_RECIPE = "the disk", "the recipe"


@dataclass(frozen=True)
class Property:
    """A value and who says so: "element NAME", "the disk" or "the recipe"."""

    value: str
    origin: str


@dataclass(frozen=True)
class DiskFacts:
    """What was found on the disk: ``os_id`` and ``os_version`` are ID and VERSION_ID of a Linux' /etc/os-release.

    ``follows`` are properties by whoever looked into it, over those that the rest implies; ``lacks`` are agents and
    drivers that are certainly not there.
    """

    os_id: str
    os_version: str
    firmware: tuple[Literal["bios", "uefi"], ...]
    follows: Mapping[str, str] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()


def derive(planned: Mapping[str, Property], architecture: str, disk: DiskFacts) -> dict[str, Property]:
    """Properties to publish, by name: those of elements, over them what the disk implies, over both the recipe's.

    ``planned`` is a plan's, of elements and recipe.  Raises InputError, all problems at once, where a property
    contradicts the disk.
    """
    found = {
        "architecture": _ARCHITECTURES.get(architecture, architecture),
        "os_distro": disk.os_id,
        "os_type": "linux" if disk.os_id else "",
        "os_version": disk.os_version,
    }
    if disk.firmware in (("uefi",), ("bios",)):
        # With both, the choice is the cloud's; with one, the wrong firmware would find nothing to boot.
        found["hw_firmware_type"] = disk.firmware[0]
    found = {name: value for name, value in {**found, **disk.follows}.items() if value}
    of_disk = {name: Property(value, THE_DISK) for name, value in found.items()}
    of_recipe = {name: each for name, each in planned.items() if each.origin == THE_RECIPE}
    properties = {"os_type": Property("linux", THE_DISK), **planned, **of_disk, **of_recipe}
    problems = [*_contradictions(planned, found), *_firmware(properties, found, disk), *_lacking(properties, disk)]
    # nova compares os_type with 'windows' as raw strings: another case passes validation and changes the guest's clock.
    asked = planned.get("os_type", properties["os_type"])
    if asked.value not in ("linux", "windows"):
        problems = [problem for problem in problems if problem.path != "os_type"]
        problems.append(
            _problem("os_type", asked, "is not an OS type", "'linux' or 'windows', in lower case"),
        )
    if problems:
        raise InputError(problems=problems)
    return dict(sorted(properties.items()))


def _problem(name: str, wanted: Property, message: str, suggestion: str | None = None) -> Problem:
    by = "" if wanted.origin == THE_RECIPE else f" (by {wanted.origin})"
    return Problem("properties", name, f"{wanted.value!r}{by} {message}", suggestion)


def _contradictions(planned: Mapping[str, Property], found: Mapping[str, str]) -> Iterator[Problem]:
    for name in _GIVEN:
        if name in planned and name in found and planned[name].value != found[name]:
            yield _problem(name, planned[name], f"contradicts the disk: {found[name]!r}")


def _firmware(properties: Mapping[str, Property], found: Mapping[str, str], disk: DiskFacts) -> Iterator[Problem]:
    only = disk.follows.get("hw_firmware_type")
    if only is not None and only not in disk.firmware:
        yield Problem("disk", "firmware", f"the disk boots with {only!r} alone")
    firmware = properties.get("hw_firmware_type")
    if firmware is not None and firmware.value not in disk.firmware and "hw_firmware_type" not in found:
        yield Problem("properties", "hw_firmware_type", f"the disk does not boot with {firmware.value!r}")


def _lacking(properties: Mapping[str, Property], disk: DiskFacts) -> Iterator[Problem]:
    for name, values, needed, why in _NEEDS:
        wanted = properties.get(name)
        if wanted and wanted.value.lower() in values and needed in disk.lacks:
            yield _problem(name, wanted, f"contradicts the disk: {why}", "leave it out, or bring what it needs")
