"""Verification of an image: booted once per firmware, then read in one appliance together with what the boots left."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import Channel
from goldsmith.boot.seed import Datasource
from goldsmith.errors import GoldsmithError, InputError
from goldsmith.host.files import file_digest, write_json, write_text
from goldsmith.host.memory import available_memory
from goldsmith.host.progress import Progress
from goldsmith.images.untrusted import image_format
from goldsmith.settings import Settings
from goldsmith.store.manifest import BUILT_IN, Firmware, Verdict
from goldsmith.verify import appliance, boots, channels, machines, report
from goldsmith.verify.booting import Booted, boot_one, needed
from goldsmith.verify.boots import Boot
from goldsmith.verify.compare import Finding
from goldsmith.verify.console_rules.rules import ConsoleRules, built_in
from goldsmith.verify.disks import reading
from goldsmith.verify.evaluate import Place, judge
from goldsmith.verify.model import BoundCheck, Planned, parse_all
from goldsmith.verify.report import Report
from goldsmith.verify.work import BUILT_INS, BootMaker, DiskOpener, OnFailure, Work

_MEMINFO = Path("/proc/meminfo")
_UNCHANGED = "image-unchanged"


def verify_image(
    image: Path,
    plan_checks: Iterable[Planned],
    firmwares: Sequence[Firmware],
    settings: Settings,
    progress: Progress,
    *,
    accelerator: Accelerator,
    artefacts: Path,
    target: str,
    only: Collection[str] = (),
    channel: Channel | None = None,
    properties: Mapping[str, str] | None = None,
    datasource: Datasource = "metadata",
    console_rules: ConsoleRules | None = None,
    on_failure: OnFailure | None = None,
    boot: BootMaker = boots.lab_boot,
    open_disks: DiskOpener = appliance.launched,
) -> Report:
    """Run the checks of a plan, and goldsmith's own, on an image.

    ``only`` selects checks by "element/id"; ``target`` is what the user named, for the command that repeats a check.
    ``channel`` is how commands get into the guest; where it is not given, what lies in the image decides.
    ``properties`` are those of the image in Glance, which shape the machine as Nova does; ``datasource`` is what tells
    the guest about itself.  ``console_rules`` are what each boot's console is held against; goldsmith's own where they
    are not given.  ``on_failure`` is called with a boot of which something failed, while it still runs.
    ``artefacts`` keeps report.json, report.txt and a folder per firmware.  A check that fails, or that the harness
    breaks on, is a verdict; raises InputError where the checks, the selection or the image are wrong.
    """
    started = time.monotonic()
    checks = parse_all(plan_checks)
    _require_known(only, checks)
    work = Work(
        image=image.absolute(),
        image_format=image_format(image),
        checks=checks,
        settings=settings,
        progress=progress,
        accelerator=accelerator,
        artefacts=artefacts,
        target=target,
        only=frozenset(only),
        boot=boot,
        open_disks=open_disks,
        console_rules=console_rules or built_in(),
        properties=properties or {},
        datasource=datasource,
        on_failure=on_failure,
    )
    for firmware in firmwares:
        work.boot_plan(firmware)
    artefacts.mkdir(parents=True, exist_ok=True)
    digest = file_digest(image)
    to_boot = [firmware for firmware in firmwares if needed(work, firmware)]
    if to_boot and channel is None:
        with progress.step("verify: how commands get into the guest"):
            channel = channels.chosen(work.image, work.image_format, digest, settings, accelerator, open_disks)
    work = dataclasses.replace(work, channel=channel or work.channel)
    try:
        with reading(work, to_boot, beside=_room_beside(len(to_boot), accelerator)) as read_left:
            booted = _boot_all(work, to_boot)
            read, differences = read_left(booted)
        verdicts = [*(verdict for one in booted for verdict in one.verdicts), *read]
    finally:
        for firmware in firmwares:
            machines.discard(artefacts / firmware)
    verdicts += _unchanged(work, digest)
    order: tuple[Firmware | None, ...] = (None, *firmwares)
    result = Report(
        image=str(image),
        sha256=digest,
        accelerator=f"{accelerator.name}: {accelerator.reason}",
        channel=str(work.channel) if to_boot else "",
        firmware=tuple(firmwares),
        complete=not only,
        verdicts=tuple(sorted(verdicts, key=lambda verdict: order.index(verdict.firmware))),
        left=tuple(differences),
        timelines=tuple(one.timeline for one in booted if one.timeline),
        seconds=round(time.monotonic() - started, 1),
    )
    write_json(artefacts / "report.json", result.model_dump(mode="json"))
    write_text(artefacts / "report.txt", report.as_text(result))
    return result


def _require_known(only: Collection[str], checks: Iterable[BoundCheck]) -> None:
    known = sorted({bound.name for bound in checks} | {f"{BUILT_IN}/{name}" for name in BUILT_INS})
    for name in sorted(set(only) - set(known)):
        close = difflib.get_close_matches(name, known, n=1)
        raise InputError(f"no check {name!r}", hint=f"did you mean {close[0]}" if close else f"known: {known}")


def _boot_all(work: Work, firmwares: Sequence[Firmware]) -> list[Booted]:
    """Boot with each firmware, two at once where the host has room."""
    running: list[Boot] = []
    ended = threading.Event()

    def register(boot: Boot) -> None:
        running.append(boot)
        if ended.is_set():
            boot.kill()

    with ThreadPoolExecutor(max_workers=2 if _room_for_two() else 1) as pool:
        futures = [pool.submit(boot_one, work, firmware, register) for firmware in firmwares]
        try:
            return [future.result() for future in futures]
        except BaseException:
            # An interrupted session must not wait for guests that nobody looks at any more.
            ended.set()
            for future in futures:
                future.cancel()
            for boot in running:
                with contextlib.suppress(GoldsmithError):
                    boot.kill()
            raise


def _room_beside(boots: int, accelerator: Accelerator) -> bool:
    """Whether the appliance may run while guests boot.

    Where it takes a processor from them nothing is won, and a guest that is not let run gives units up and shows soft
    lockups, which would be held against the image.
    """
    at_once = min(boots, 2 if _room_for_two() else 1)
    return len(os.sched_getaffinity(0)) > accelerator.processors * at_once


def _room_for_two() -> bool:
    available = available_memory(_MEMINFO) // 2**20
    needed_memory = 2 * (machines.MEMORY + machines.MEMORY_BESIDE) + appliance.MEMORY
    return len(os.sched_getaffinity(0)) >= 2 and available >= needed_memory


def _unchanged(work: Work, before: str) -> list[Verdict]:
    if not work.wanted(f"{BUILT_IN}/{_UNCHANGED}"):
        return []

    def look() -> list[Finding]:
        after = file_digest(work.image)
        return [] if after == before else [Finding(f"sha256 {before}", f"sha256 {after}")]

    place = Place("offline", None, repeat=work.repeat(None))
    return [judge(place, BUILT_IN, _UNCHANGED, BUILT_INS[_UNCHANGED], look)]
