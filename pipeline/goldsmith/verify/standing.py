"""A guest that stands ready: booted once and saved, and from then on there in seconds, for every process of this host.

What is saved lies in the cache by what it is of: the image's content and place, the machine, the networks, QEMU.  A
folder without its state.json was not finished and is made again; the oldest go when there are more than KEPT.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from goldsmith.boot import channel, guest
from goldsmith.boot.accelerator import QEMU
from goldsmith.boot.instance import Instance, make_nics
from goldsmith.boot.lab import Lab, MetadataCount
from goldsmith.boot.machine import Machine
from goldsmith.boot.snapshot import Saved
from goldsmith.errors import CheckFailedError, HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.host.files import document_digest, file_digest, require_space, write_json
from goldsmith.host.progress import Progress
from goldsmith.host.run import run
from goldsmith.verify import settle
from goldsmith.verify.boots import BOOT_SECONDS
from goldsmith.verify.machines import GROWTH, MEMORY, NETWORKS, BootPlan, lab_machine
from goldsmith.verify.subjects import LiveGuest

#: the snapshot that every standing guest has
SETTLED = "settled"
#: guests that stay saved; each is as large as what it wrote and its memory, about half a GiB
KEPT = 4
_STATE = "state.json"
_CONSOLE = "console.log"
_EVENTS = "metadata.jsonl"
#: seconds for a guest to answer after its state was loaded
_AWAKE = 60.0
#: what names an instance by its content
_NAMESPACE = uuid.UUID("6f9f2c0e-3a52-5f0b-9a3e-1f2a7a0c64d1")


@dataclass
class Standing:
    """A booted guest that has come to rest, its networks, and the way back to that moment."""

    machine: Machine
    lab: Lab
    instance: Instance
    #: whether it went on from a saved state, so that no boot was paid for
    resumed: bool
    #: what the metadata service was asked at the boot that was saved, where another process made it
    _events: str = ""
    _dirty: bool = field(default=False, init=False)

    @property
    def guest(self) -> LiveGuest:
        return LiveGuest(self.machine.guest, self.machine.scale)

    def metadata(self) -> MetadataCount:
        """What the metadata service was asked since power-on."""
        return self.lab.metadata_log(self._events)

    def soil(self) -> None:
        """Say that the guest will be changed: it has to go back before it is anybody else's."""
        self._dirty = True

    @property
    def dirty(self) -> bool:
        return self._dirty

    def clean(self) -> None:
        """Go back to the moment when it had just come to rest, with the clock of now."""
        self.machine.restore(SETTLED, Deadline.after(_AWAKE * self.machine.scale))
        _set_clock(self.guest)
        self._dirty = False


@contextlib.contextmanager
def standing(plan: BootPlan, progress: Progress, *, anew: bool = False) -> Iterator[Standing]:
    """A guest of ``plan`` that stands ready; the plan's folder takes the logs.

    With ``anew`` it is booted whatever is saved.  Raises CheckFailedError where it does not come to rest, and
    HarnessError and InputError as lab_machine does.
    """
    digest = _digest(plan)
    parent = plan.settings.cache_dir / "saved"
    parent.mkdir(parents=True, exist_ok=True)
    kept = parent / digest
    instance = Instance(str(uuid.uuid5(_NAMESPACE, digest)), f"goldsmith-{plan.firmware}", make_nics(NETWORKS))
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(_lock_file(kept).open("a"))
        with progress.step("guest: waiting for a process that boots the same one"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.utime(lock.fileno())
        saved = None if anew else _read(kept)
        if saved:
            try:
                yield stack.enter_context(_resumed(plan, instance, kept, saved, lock, progress))
                return
            except _UnusableError as error:
                progress.note(f"guest: booted again, because what was saved cannot be used: {error}")
        yield stack.enter_context(_booted(plan, instance, kept, lock, progress))


class _UnusableError(Exception):
    """What was saved does not go on."""


@contextlib.contextmanager
def _booted(plan: BootPlan, instance: Instance, kept: Path, lock: IO[str], progress: Progress) -> Iterator[Standing]:
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    _forget_oldest(kept.parent, kept)
    with lab_machine(plan, NETWORKS, instance, base=kept) as (machine, lab):
        found = Standing(machine, lab, instance, resumed=False)
        with progress.step(f"guest: boot with {plan.firmware}"):
            machine.guest.wait_ready(Deadline.after(BOOT_SECONDS * machine.scale))
            findings = settle.settled(found.guest)
        if stalled := [each for each in findings if isinstance(each, settle.Stalled)]:
            raise CheckFailedError(f"the guest does not come to rest: {stalled[0].seen}", where=str(plan.image))
        for each in findings:
            progress.note(f"guest: expected: {each.expected}; seen: {each.seen}")
        with progress.step("guest: save its state"):
            _keep(found, kept)
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield found


def _keep(found: Standing, kept: Path) -> None:
    machine = found.machine
    require_space(kept, 2**20 * MEMORY + 2 * machine.overlay.stat().st_size, "a guest's state")
    saved = machine.keep(SETTLED, kept, Deadline.after(_AWAKE * machine.scale))
    (kept / _CONSOLE).write_bytes(saved.console)
    (kept / _EVENTS).write_text(found.lab.metadata_events())
    write_json(kept / _STATE, {"name": saved.name, "boot": saved.boot})


@contextlib.contextmanager
def _resumed(
    plan: BootPlan, instance: Instance, kept: Path, saved: Saved, lock: IO[str], progress: Progress
) -> Iterator[Standing]:
    fcntl.flock(lock, fcntl.LOCK_SH)
    with contextlib.ExitStack() as stack:
        try:
            with progress.step(f"guest: go on from what was saved with {plan.firmware}"):
                machine, lab = stack.enter_context(lab_machine(plan, NETWORKS, instance, base=kept, saved=saved))
                machine.guest.wait_ready(Deadline.after(_AWAKE * machine.scale))
                found = Standing(machine, lab, instance, True, (kept / _EVENTS).read_text())
                _set_clock(found.guest)
        except (HarnessError, OSError) as error:
            stack.close()
            fcntl.flock(lock, fcntl.LOCK_EX)
            raise _UnusableError(str(error)) from error
        yield found


def _set_clock(guest: LiveGuest) -> None:
    """The guest's clock stood still while it was saved.  One without date(1) keeps its time."""
    guest.run(f"date -u -s @{time.time():.0f}")


def _digest(plan: BootPlan) -> str:
    """What two plans have in common whose guests are the same."""
    cpu = plan.accelerator.cpu(cx16=plan.channel.cx16)
    return document_digest(
        {
            "image": [str(plan.image.absolute()), file_digest(plan.image)],
            "firmware": plan.firmware,
            "shape": dataclasses.asdict(plan.shape),
            "datasource": plan.datasource,
            "channel": [plan.channel.kind, guest.probe().decode(), channel.NEEDS[plan.channel.kind]],
            "networks": [dataclasses.asdict(network) for network in NETWORKS],
            "sizes": [MEMORY, GROWTH, plan.accelerator.processors],
            "qemu": [plan.accelerator.name, cpu, run([QEMU, "--version"], deadline=60).stdout],
        }
    )


def _read(kept: Path) -> Saved | None:
    """What was saved, None where nothing was, or not to the end."""
    try:
        state = json.loads((kept / _STATE).read_text())
        return Saved(kept, state["name"], state["boot"], (kept / _CONSOLE).read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lock_file(kept: Path) -> Path:
    return kept.with_suffix(".lock")


def _forget_oldest(parent: Path, keep: Path) -> None:
    """Remove what was used least lately, as far as nobody uses it now."""
    others = [folder for folder in parent.iterdir() if folder.is_dir() and folder != keep]
    # The locks themselves stay: a process may be waiting at one.
    others.sort(key=lambda folder: _lock_file(folder).stat().st_mtime if _lock_file(folder).exists() else 0.0)
    for folder in others[: max(0, len(others) + 1 - KEPT)]:
        with _lock_file(folder).open("a") as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
