"""One launch of the appliance from a base image to the image of a plan; the base is only read."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake.disk import COMPRESSION_SECONDS, compression
from goldsmith.bake.offline import linux
from goldsmith.bake.offline.guest import Guest, System, opened
from goldsmith.bake.offline.selection import select
from goldsmith.boot.accelerator import Accelerator
from goldsmith.errors import HarnessError, InputError
from goldsmith.host.apt_sources import Mirrors
from goldsmith.host.progress import Progress
from goldsmith.host.run import run
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.manifest import PackageFact

_TOOL_SECONDS = 60.0


@dataclass(frozen=True)
class Customised:
    """What became of a base image; ``virtual_size`` in bytes, ``left_out`` maps an element to why."""

    system: System
    packages: tuple[PackageFact, ...]
    virtual_size: int
    left_out: dict[str, str]


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
    mirrors: Mirrors | None,
) -> Customised:
    """Apply a plan's elements to ``base``, a file that was found safe to open, and write a qcow2 of its own.

    ``scratch`` is an empty folder; ``mirrors`` is where missing packages come from, None where none may be installed.
    Raises InputError for elements or an image that do not go together, CommandFailedError where a script fails,
    HarnessError for the appliance.
    """
    chosen = select(plan, settings)
    for name, why in chosen.left_out.items():
        progress.note(f"{name} is left out: {why}")
    overlay = scratch / "overlay.qcow2"
    size = _virtual_size(base, base_format)
    create: list[str | Path] = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base.absolute(), "-F", base_format]
    run([*create, overlay, str(_wanted_size(plan, size, base))], deadline=_TOOL_SECONDS)
    log_file = settings.cache_dir / "logs" / f"{plan.recipe.name}.offline.log"
    log_file.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        with progress.step("offline: open the image"):
            guest = stack.enter_context(opened(overlay, str(base), accelerator, network=mirrors is not None))
        if guest.system.type != "linux":
            raise InputError(f"holds {guest.system.type}, which no element of this recipe is for", where=str(base))
        found = linux.customise(guest, plan, chosen, mirrors=mirrors, progress=progress, log_file=log_file)
        with progress.step("offline: free what is unused"):
            _trim(guest)
    with progress.step("compressed qcow2"):
        run(compression(overlay, "qcow2", target), deadline=COMPRESSION_SECONDS)
    return Customised(guest.system, found.packages, _virtual_size(target, "qcow2"), chosen.left_out)


def _trim(guest: Guest) -> None:
    for folder in guest.system.folders:
        # Not every file system can: what it does not free costs room, and nothing else.
        with contextlib.suppress(HarnessError):
            guest.call("fstrim", folder)


def _virtual_size(image: Path, image_format: str) -> int:
    said = run(["qemu-img", "info", "-f", image_format, "--output=json", image], deadline=_TOOL_SECONDS).stdout
    return int(json.loads(said)["virtual-size"])


def _wanted_size(plan: Plan, size: int, base: Path) -> int:
    """The size that the recipe asks for, or else the base's; the guest's file systems grow when it boots."""
    if "size" not in plan.recipe.disk.model_fields_set:
        return size
    if plan.recipe.disk.size < size:
        mib = -(-size // 2**20)
        raise InputError(
            f"is a disk of {mib}MiB, and a disk cannot be made smaller",
            where=str(base),
            hint=f"ask for disk.size: {mib}MiB or more, or for none",
        )
    return plan.recipe.disk.size
