"""goldsmith inspect on disks of Windows and on Linux in places that are not plain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from early_jobs import Bench
from linux_disks import LinuxDisks
from system_help import Result
from windows_disks import WindowsDisks

from goldsmith.host.files import file_digest


@dataclass(frozen=True)
class Inspected:
    result: Result
    unchanged: bool


def inspections(bench: Bench) -> dict[str, Inspected]:
    windows, linux = (bench.folder / name for name in ("windows", "linux"))
    for folder in (windows, linux):
        folder.mkdir()
    disks = WindowsDisks(windows)
    made = {"mbr": disks.mbr("mbr"), "gpt": disks.gpt("gpt"), "dirty": disks.mbr("dirty", dirty=True)}
    made |= LinuxDisks(linux, bench.accelerator).make()
    return {name: _inspect(bench, disk) for name, disk in made.items() if name != "foreign"}


def _inspect(bench: Bench, disk: Path) -> Inspected:
    before = file_digest(disk)
    return Inspected(bench.workshop.goldsmith("inspect", disk), file_digest(disk) == before)
