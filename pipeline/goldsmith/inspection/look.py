"""One look into an image: its operating systems and what is in each, from one launch of the appliance."""

from __future__ import annotations

import dataclasses
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from goldsmith.boot.accelerator import Accelerator
from goldsmith.errors import HarnessError, InputError
from goldsmith.inspection.image import Image
from goldsmith.verify import appliance
from goldsmith.verify.appliance import Appliance, System
from goldsmith.verify.residue.rules import Rule
from goldsmith.verify.residue.search import Residue, printable, search
from goldsmith.verify.tree import HEAD_LIMIT, Tree

_DISK = "image"


@dataclass(frozen=True)
class Seen:
    """An operating system and what was found in it."""

    system: System
    #: None where it was not searched: the rules are about Linux
    residue: tuple[Residue, ...] | None
    #: folders whose file systems could not be mounted, so that nothing is known of them
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """What is inside an image, and the rules that were applied."""

    image: Image
    systems: tuple[Seen, ...]
    rules: tuple[Rule, ...]

    @property
    def residue(self) -> list[Residue]:
        return [residue for seen in self.systems for residue in seen.residue or ()]


def inspected(image: Image, rules: Sequence[Rule], accelerator: Accelerator) -> Inspection:
    """Open an image, read-only, and look at every operating system in it.

    Raises InputError where it holds none or cannot be read, HostError and HarnessError where the appliance fails.
    """
    with appliance.launched({_DISK: (image.path, image.format)}, accelerator) as running:
        try:
            systems = running.systems()
            seen = tuple(_seen(running, system, rules) for system in systems)
        except HarnessError as error:
            if not running.answers():
                raise
            where = f"{image.path}: {error.where}" if error.where else str(image.path)
            raise InputError(f"cannot be read: {printable(error.message)}", where=printable(where)) from error
    if not seen:
        raise InputError(
            "holds no operating system that libguestfs recognises",
            where=str(image.path),
            hint="an encrypted disk, a disk of data, or a file system that is damaged looks so",
        )
    return Inspection(image, seen, tuple(rules))


def _seen(running: Appliance, system: System, rules: Sequence[Rule]) -> Seen:
    if system.type != "linux":
        return Seen(system, None)
    with running.system(system) as (tree, unread):
        named = dataclasses.replace(system, name=_pretty_name(tree) or f"{system.distribution} {system.name}")
        return Seen(named, tuple(search(tree, rules)), tuple(unread))


def _pretty_name(tree: Tree) -> str | None:
    """What os-release(5) calls the system: libguestfs takes the name from /etc/debian_version, a bare number."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        entry = tree.stat(path)
        if entry is not None and stat.S_ISREG(entry.mode):
            text = tree.head(path, HEAD_LIMIT).decode(errors="replace")
            if match := re.search(r"""^PRETTY_NAME=(["']?)(.{1,100}?)\1[ \t]*$""", text, re.MULTILINE):
                return match[2]
    return None
