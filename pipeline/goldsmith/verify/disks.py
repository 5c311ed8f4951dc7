"""The image as it is, and what the boots left on its disk, read in one appliance."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldsmith.errors import GoldsmithError, HarnessError
from goldsmith.store.manifest import Firmware, Verdict
from goldsmith.verify.booting import Booted
from goldsmith.verify.evaluate import Place, broken, evaluate
from goldsmith.verify.left import Left, left
from goldsmith.verify.model import BoundCheck
from goldsmith.verify.work import OpenDisks, Work

_IMAGE = "image"


@dataclass(frozen=True)
class _Disk:
    """What is asked of one disk."""

    name: str
    place: Place
    checks: list[BoundCheck]
    #: the boot whose disk it is
    firmware: Firmware | None = None


def read_disks(work: Work, booted: Sequence[Booted]) -> tuple[list[Verdict], list[Left]]:
    """Verdicts of the image and of what each boot left on its disk, and how these disks differ from the image."""
    verdicts: list[Verdict] = []
    files: dict[str, tuple[Path, str]] = {}
    disks: list[_Disk] = []
    # Only a whole verification is worth the seconds of comparing names.
    compared = [] if work.only else [one for one in booted if one.overlay is not None and one.error is None]
    offline = work.checks_in("offline", None)
    if offline or compared:
        files[_IMAGE] = (work.image, work.image_format)
        disks.append(_Disk(_IMAGE, Place("offline", None, repeat=work.repeat(None)), offline))
    for one in booted:
        place = Place("shutdown", one.firmware, _constant(one.console), work.repeat(one.firmware))
        checks = work.checks_in("shutdown", one.firmware)
        if one.overlay is None or one.error is not None:
            # What is on the disk of a boot that never came to its end says nothing.
            verdicts += _all_broken(checks, place, one.error or HarnessError("the machine never ran"))
        elif checks or one in compared:
            files[one.firmware] = (one.overlay, "qcow2")
            disks.append(_Disk(one.firmware, place, checks, one.firmware if one in compared else None))
    if not disks:
        return verdicts, []
    with work.progress.step("verify: disks in the appliance"), contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(work.open_disks(files, work.accelerator))
        except GoldsmithError as error:
            return [*verdicts, *(v for disk in disks for v in _all_broken(disk.checks, disk.place, error))], []
        names: dict[str, list[str]] = {}
        for disk in disks:
            verdicts += _read_disk(opened, disk, names if compared else None)
    found = [
        left(disk.firmware, names[_IMAGE], names[disk.name])
        for disk in disks
        if disk.firmware and disk.name in names and _IMAGE in names
    ]
    return verdicts, found


def _constant(lines: tuple[str, ...]) -> Callable[[], tuple[str, ...]]:
    return lambda: lines


def _read_disk(opened: OpenDisks, disk: _Disk, names: dict[str, list[str]] | None) -> list[Verdict]:
    """Evaluate a disk's checks, and put its paths into ``names``."""
    try:
        with opened.tree(disk.name) as tree:
            verdicts = [evaluate(bound, tree, disk.place) for bound in disk.checks]
            if names is not None:
                # What cannot be listed is not compared; whether that is a fault the checks say.
                with contextlib.suppress(HarnessError):
                    names[disk.name] = tree.paths()
            return verdicts
    except GoldsmithError as error:
        return _all_broken(disk.checks, disk.place, error)


def _all_broken(checks: Iterable[BoundCheck], place: Place, error: GoldsmithError) -> list[Verdict]:
    return [broken(place, bound.element, bound.id, bound.check.says, error) for bound in checks]
