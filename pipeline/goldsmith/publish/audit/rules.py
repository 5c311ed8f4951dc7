"""The rules of the audit: each looks at one image with what is known about it, and says what is wrong.

A finding with ``value`` is sure: that value repairs it.  All others are for a human to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from goldsmith.boot.properties import contradictions
from goldsmith.publish.glance.names import NAME
from goldsmith.publish.glance.service import properties_of
from goldsmith.recipe.nova_vocabulary import known, name_fault, value_fault

Kind = Literal["snapshot", "volume-snapshot", "image"]
#: property that Nova carries into snapshots, by which the build is known that they come from
BUILD = "goldsmith_build"
#: os_distro of systems that are Linux, whoever made the image; for Nova it is free text, which its libvirt driver looks
#: up as a short id of libosinfo where that is there (nova/objects/image_meta.py, nova/virt/osinfo.py)
_LINUX = frozenset(
    {"almalinux", "alpine", "arch", "centos", "cirros", "debian", "fedora", "gentoo", "opensuse", "oraclelinux"}
    | {"rhel", "rocky", "sled", "sles", "ubuntu"}
)


@dataclass(frozen=True)
class Subject:
    """An image as Glance shows it; its ``parent``, where it has one that is there; properties its build was given."""

    image: Mapping[str, Any]
    parent: Mapping[str, Any] | None = None
    planned: Mapping[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, str]:
        return properties_of(self.image)

    @property
    def kind(self) -> Kind:
        return kind(self.image)


@dataclass(frozen=True)
class Finding:
    """``value`` is what repairs it; None where that is not sure."""

    rule: str
    name: str
    message: str
    value: str | None = None


def kind(image: Mapping[str, Any]) -> Kind:
    """A snapshot of a volume says nothing but its mapping, and has no bytes.

    nova/compute/api.py, snapshot_volume_backed; image_type, instance_uuid and user_id are written by create_image of
    nova/compute/utils.py alone, which is for other servers' snapshots and backups.
    """
    if (image.get("block_device_mapping") or image.get("bdm_v2")) and not image.get("size"):
        return "volume-snapshot"
    marked = image.get("image_type") in ("snapshot", "backup")
    if marked or any(image.get(name) for name in ("instance_uuid", "base_image_ref", "user_id")):
        return "snapshot"
    return "image"


def _value_of(subject: Subject, name: str) -> tuple[str, str] | None:
    """A right value of a property and where it comes from: its build, its parent."""
    if value := subject.planned.get(name):
        return value, "of its build"
    value = (subject.parent or {}).get(name)
    if value and not value_fault(name, value):
        return str(value), "of the image it was made from"
    return None


def missing(subject: Subject) -> Iterator[Finding]:
    """Without os_type a Windows gets the clock of a Linux; a snapshot without it has lost it (LP 1214372, 1369854)."""
    if "os_type" in subject.properties:
        return
    found = _value_of(subject, "os_type")
    distribution = subject.properties.get("os_distro", "").lower()
    if found is None and (distribution == "windows" or distribution in _LINUX):
        found = ("windows" if distribution == "windows" else "linux"), "as os_distro says"
    lost = "is missing" if subject.kind == "image" else f"is lost in this {subject.kind}"
    if found:
        yield Finding("missing", "os_type", f"{lost}: `{found[0]}`, {found[1]}", found[0])
    else:
        yield Finding("missing", "os_type", f"{lost}, and nothing here says what it was")


def misspelled(subject: Subject) -> Iterator[Finding]:
    """Names and values that Nova does not read; only a wrong case is sure to be repaired."""
    for name, value in sorted(subject.properties.items()):
        if wrong := name_fault(name):
            yield Finding("misspelled", name, ", ".join(filter(None, wrong)))
        elif wrong := value_fault(name, str(value)):
            entry = known().get(name)
            lower = str(value).strip().lower()
            sure = lower if entry and lower in entry.values else None
            yield Finding("misspelled", name, ", ".join(filter(None, wrong)), sure)


def drifted(subject: Subject) -> Iterator[Finding]:
    """A golden image that no longer says what it was published with.  Snapshots are their owners'."""
    if subject.kind != "image":
        return
    properties = subject.properties
    for name, value in sorted(subject.planned.items()):
        if name in properties and properties[name] != value:
            yield Finding("drifted", name, f"`{properties[name]}` was published as `{value}`", value)
        elif name not in properties and name != "os_type":
            yield Finding("drifted", name, f"is gone: it was published as `{value}`", value)


def frozen(subject: Subject) -> Iterator[Finding]:
    """A snapshot keeps what its image said when the instance was made; what was mended since is not in it."""
    if subject.kind == "image" or subject.parent is None:
        return
    properties = subject.properties
    for name, value in sorted(properties_of(subject.parent).items()):
        if name in known() and name in properties and properties[name] != value:
            yield Finding("frozen", name, f"`{properties[name]}` here, `{value}` in the image it was made from")


def contradictory(subject: Subject) -> Iterator[Finding]:
    for problem in contradictions({name: str(value) for name, value in subject.properties.items()}):
        yield Finding("contradictory", problem.path, ", ".join(filter(None, (problem.message, problem.suggestion))))


def replaced(subject: Subject) -> Iterator[Finding]:
    parent = subject.parent
    if parent and parent.get(NAME) and parent.get("os_hidden"):
        message = f"was made from {parent[NAME]} ({parent['id']}), which has been replaced"
        yield Finding("child-of-replaced", "base_image_ref", message)


#: in this order; the first that is sure of a property has it
RULES: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    drifted,
    missing,
    misspelled,
    contradictory,
    frozen,
    replaced,
)


def judged(subject: Subject) -> tuple[Finding, ...]:
    """All findings about an image.  What is still in the making, or has no right to exist, is left alone."""
    if subject.image.get("status") != "active":
        return ()
    found = [finding for rule in RULES for finding in rule(subject)]
    sure = {finding.name for finding in found if finding.value is not None and finding.rule == "drifted"}
    return tuple(each for each in found if each.rule == "drifted" or each.name not in sure)


def repair(findings: tuple[Finding, ...]) -> dict[str, str]:
    return {finding.name: finding.value for finding in findings if finding.value is not None}
