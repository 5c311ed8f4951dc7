"""One launch of the appliance from a base image to the image of a plan; the base is only read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldsmith.bake.disk import COMPRESSION_SECONDS, compression
from goldsmith.bake.offline import linux, windows
from goldsmith.bake.offline.guest import Guest, opened
from goldsmith.bake.offline.selection import Selection, select
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.systems import System
from goldsmith.errors import HarnessError, InputError
from goldsmith.host.apt_sources import Mirrors
from goldsmith.host.progress import Progress
from goldsmith.host.run import run
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.manifest import PackageFact

_TOOL_SECONDS = 60.0


@dataclass(frozen=True)
class Followed:
    """What a finished disk says: ``properties`` for Glance, and agents and drivers that it certainly ``lacks``."""

    properties: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


#: from a guestfs.GuestFS with nothing mounted, a disk's device in it, the system on it, and what deadlines are
#: multiplied by
Follow = Callable[[Any, str, System, float], Followed]


@dataclass(frozen=True)
class Customised:
    """What became of a base image; ``virtual_size`` in bytes, ``left_out`` maps an element to why."""

    system: System
    packages: tuple[PackageFact, ...]
    virtual_size: int
    left_out: dict[str, str]
    #: hives of a Windows as they were before
    kept: tuple[Path, ...] = ()
    #: what ``follow`` gave
    followed: Followed = field(default_factory=Followed)


def customise(
    plan: Plan,
    base: Path,
    base_format: str,
    target: Path,
    scratch: Path,
    settings: Settings,
    accelerator: Accelerator,
    progress: Progress,
    *,
    origin: str,
    mirrors_of: Callable[[str], Mirrors] | None,
    recover_registry: bool = False,
    follow: Follow | None = None,
) -> Customised:
    """Apply a plan's elements to ``base``, a file that was found safe to open, and write a qcow2 of its own.

    ``scratch`` is an empty folder; ``origin`` names the base in errors.  ``mirrors_of`` says where the packages of a
    distribution come from, None where none may be installed.  ``follow`` is asked of the finished disk.
    Raises InputError for elements or an image that do not go together, CommandFailedError where a script fails,
    HarnessError for the appliance.
    """
    chosen = select(plan, settings)
    for name, why in chosen.left_out.items():
        progress.note(f"{name} is left out: {why}")
    overlay = scratch / "overlay.qcow2"
    create: list[str | Path] = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base.absolute(), "-F", base_format]
    run([*create, overlay], deadline=_TOOL_SECONDS)
    log_file = settings.cache_dir / "logs" / f"{plan.recipe.name}.offline.log"
    log_file.unlink(missing_ok=True)
    packages: tuple[PackageFact, ...] = ()
    kept: tuple[Path, ...] = ()
    followed = Followed()
    with contextlib.ExitStack() as stack:
        with progress.step("offline: open the image"):
            guest = stack.enter_context(
                opened(overlay, origin, accelerator, network=mirrors_of is not None, record=_record(plan, settings))
            )
        _require_fitting(guest, plan, chosen)
        if guest.system.type == "windows":
            kept = windows.customise(guest, plan, scratch, recover=recover_registry, progress=progress).kept
        else:
            packages = linux.customise(
                guest, plan, chosen, mirrors_of=mirrors_of, progress=progress, log_file=log_file
            ).packages
        with progress.step("offline: free what is unused"):
            _trim(guest)
        if follow:
            with progress.step("offline: the properties that follow"):
                guest.call("umount_all")
                followed = follow(guest.handle, guest.device, guest.system, guest.scale)
    with progress.step("compressed qcow2"):
        run(compression(overlay, "qcow2", target, reproducible=False), deadline=COMPRESSION_SECONDS)
    return Customised(guest.system, packages, _virtual_size(target, "qcow2"), chosen.left_out, kept, followed)


def _record(plan: Plan, settings: Settings) -> Path:
    """Where it is kept what was found in this base: it has the digest that the plan names."""
    return settings.cache_dir / "systems" / f"{plan.base_sha256}.json"


def _require_fitting(guest: Guest, plan: Plan, chosen: Selection) -> None:
    """Raise InputError where the elements are for another kind of system than the image's."""
    wanted = "windows" if any(element.windows for element in chosen.applied) else "linux"
    if guest.system.type not in ("linux", "windows"):
        raise InputError(f"holds {guest.system.type}, which no element is for", where=guest.where)
    if chosen.applied and guest.system.type != wanted:
        names = ", ".join(element.name for element in chosen.applied)
        raise InputError(
            f"holds {guest.system.name}, and these elements are for {wanted.capitalize()}: {names}",
            where=guest.where,
        )


def _trim(guest: Guest) -> None:
    for folder in guest.system.folders:
        # Not every file system can: what it does not free costs room, and nothing else.
        with contextlib.suppress(HarnessError):
            guest.call("fstrim", folder)


def _virtual_size(image: Path, image_format: str) -> int:
    said = run(["qemu-img", "info", "-f", image_format, "--output=json", image], deadline=_TOOL_SECONDS).stdout
    return int(json.loads(said)["virtual-size"])
