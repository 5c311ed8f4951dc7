"""The image as it is, and what the boots left on its disk, read in one appliance: it may start while guests boot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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


@dataclass
class _Read:
    """What came of the disks so far."""

    verdicts: list[Verdict] = field(default_factory=list)
    #: paths, by disk
    names: dict[str, list[str]] = field(default_factory=dict)


class Disks:
    """The disks of a verification.  The image is read as soon as the appliance runs, in a thread of its own."""

    def __init__(self, work: Work, stack: contextlib.ExitStack, compared: bool) -> None:
        self._work = work
        self._stack = stack
        # Only a whole verification is worth the seconds of comparing names.
        self._compared = compared
        self._image = _Disk(_IMAGE, Place("offline", None, repeat=work.repeat(None)), work.checks_in("offline", None))
        self._read = _Read()

    def read_image(self) -> OpenDisks | GoldsmithError:
        """Launch the appliance and read the image there; why that was not possible, where it was not."""
        work = self._work
        with work.progress.step("verify: the image in the appliance"):
            try:
                opened = self._stack.enter_context(
                    work.open_disks({_IMAGE: (work.image, work.image_format)}, work.accelerator)
                )
            except GoldsmithError as error:
                self._read.verdicts += _all_broken(self._image.checks, self._image.place, error)
                return error
            self._look(opened, self._image, self._compared)
            return opened

    def read_left(
        self, opened: OpenDisks | GoldsmithError | None, booted: Sequence[Booted]
    ) -> tuple[list[Verdict], list[Left]]:
        """Verdicts of the image and of what each boot left on its disk, and how these disks differ from the image."""
        work, read = self._work, self._read
        disks: list[tuple[_Disk, Path]] = []
        for one in booted:
            place = Place("shutdown", one.firmware, _constant(one.console), work.repeat(one.firmware))
            checks = work.checks_in("shutdown", one.firmware)
            if one.overlay is None or one.error is not None:
                # What is on the disk of a boot that never came to its end says nothing.
                read.verdicts += _all_broken(checks, place, one.error or HarnessError("the machine never ran"))
            elif checks or self._compared:
                disks.append((_Disk(one.firmware, place, checks, one.firmware), one.overlay))
        if disks:
            with work.progress.step("verify: what the boots left on their disks"):
                for disk, overlay in disks:
                    if opened is None or isinstance(opened, GoldsmithError):
                        error = opened or HarnessError("the appliance was not launched")
                        read.verdicts += _all_broken(disk.checks, disk.place, error)
                        continue
                    try:
                        opened.add(disk.name, overlay, "qcow2")
                    except GoldsmithError as error:
                        read.verdicts += _all_broken(disk.checks, disk.place, error)
                        continue
                    self._look(opened, disk, self._compared)
        found = [
            left(disk.firmware, read.names[_IMAGE], read.names[disk.name])
            for disk, _ in disks
            if disk.firmware and disk.name in read.names and _IMAGE in read.names
        ]
        return read.verdicts, found

    def _look(self, opened: OpenDisks, disk: _Disk, compared: bool) -> None:
        """Evaluate a disk's checks, and keep its paths."""
        try:
            with opened.tree(disk.name) as tree:
                verdicts = [evaluate(bound, tree, disk.place) for bound in disk.checks]
                if compared:
                    # What cannot be listed is not compared; whether that is a fault the checks say.
                    with contextlib.suppress(HarnessError):
                        self._read.names[disk.name] = tree.paths()
        except GoldsmithError as error:
            verdicts = _all_broken(disk.checks, disk.place, error)
        self._read.verdicts += verdicts


#: gives the verdicts and the differences, once the boots are over
ReadLeft = Callable[[Sequence[Booted]], tuple[list[Verdict], list[Left]]]


@contextlib.contextmanager
def reading(work: Work, to_boot: Sequence[Firmware], *, beside: bool) -> Iterator[ReadLeft]:
    """The body boots, and then has read what is asked of the disks: of the image ``beside`` the boots, or after."""
    compared = bool(to_boot) and not work.only
    asked = work.checks_in("offline", None) or any(work.checks_in("shutdown", firmware) for firmware in to_boot)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(max_workers=1) as pool:
        disks = Disks(work, stack, compared)
        # Names are compared where a guest came up; an image of which nothing else is asked may well not.
        begun = pool.submit(disks.read_image) if asked and beside else None

        def read_left(booted: Sequence[Booted]) -> tuple[list[Verdict], list[Left]]:
            if begun:
                return disks.read_left(begun.result(), booted)
            late = asked or (compared and any(one.overlay is not None and one.error is None for one in booted))
            return disks.read_left(disks.read_image() if late else None, booted)

        yield read_left


def _constant(lines: tuple[str, ...]) -> Callable[[], tuple[str, ...]]:
    return lambda: lines


def _all_broken(checks: Iterable[BoundCheck], place: Place, error: GoldsmithError) -> list[Verdict]:
    return [broken(place, bound.element, bound.id, bound.check.says, error) for bound in checks]
