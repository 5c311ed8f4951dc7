"""Glance properties of an image, from its recipe and from what is on its disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from goldsmith.errors import InputError, Problem

#: Debian's architecture names in the words of Glance (nova/objects/fields.py, Architecture)
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i686", "ppc64el": "ppc64le", "s390x": "s390x"}


@dataclass(frozen=True)
class DiskFacts:
    """What was found on the disk: ``os_id`` and ``os_version`` are ID and VERSION_ID of /etc/os-release.

    ``follows`` are properties by whoever looked into it, over those that the rest implies.
    """

    os_id: str
    os_version: str
    firmware: tuple[Literal["bios", "uefi"], ...]
    follows: Mapping[str, str] = field(default_factory=dict)


def derive(planned: Mapping[str, str], architecture: str, disk: DiskFacts) -> dict[str, str]:
    """Properties to publish: ``planned`` (a plan's, from elements and recipe) over those that the disk implies.

    Raises InputError, all problems at once, where a planned property contradicts the disk.
    """
    found = {
        "architecture": _ARCHITECTURES.get(architecture, architecture),
        "os_distro": disk.os_id,
        "os_version": disk.os_version,
    }
    if disk.firmware in (("uefi",), ("bios",)):
        # With both, the choice is the cloud's; with one, the wrong firmware would find nothing to boot.
        found["hw_firmware_type"] = disk.firmware[0]
    found |= disk.follows
    properties = {"os_type": "linux", **{name: value for name, value in found.items() if value}, **planned}
    problems = [
        Problem("properties", name, f"{planned[name]!r} contradicts the disk: {found[name]!r}")
        for name in ("architecture", "hw_firmware_type", "os_distro", "os_type")
        if found.get(name) and planned.get(name, found[name]) != found[name]
    ]
    only = disk.follows.get("hw_firmware_type")
    if only is not None and only not in disk.firmware:
        problems.append(Problem("disk", "firmware", f"the disk boots with {only!r} alone"))
    firmware = properties.get("hw_firmware_type")
    if firmware is not None and firmware not in disk.firmware and "hw_firmware_type" not in found:
        problems.append(Problem("properties", "hw_firmware_type", f"the disk does not boot with {firmware!r}"))
    # nova compares os_type with 'windows' as raw strings: another case passes validation and changes the guest's clock.
    if (os_type := properties["os_type"]) not in ("linux", "windows"):
        problems = [problem for problem in problems if problem.path != "os_type"]
        problems.append(
            Problem("properties", "os_type", f"{os_type!r} is not an OS type", "'linux' or 'windows', in lower case")
        )
    if problems:
        raise InputError(problems=problems)
    return dict(sorted(properties.items()))
