"""The files of a report, beside the consoles and pictures of its boots."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from goldsmith.errors import InputError, Problem
from goldsmith.host.files import replacing
from goldsmith.verify.report import Report, as_text
from goldsmith.verify.reporting.junit import as_junit
from goldsmith.verify.reporting.page import as_html

JSON, TEXT, HTML, JUNIT = "report.json", "report.txt", "report.html", "junit.xml"
#: what a boot leaves for the report
_OF_A_BOOT = ("console.log", "qemu.log", "metadata.json", "screen*.png")
#: seconds by which file systems, and reports, round down the time of a change
_ROUNDED = 2


def keep(report: Report, folder: Path) -> None:
    """Write the report into ``folder`` as JSON, table, page and JUnit XML, each file in one step.

    The page shows the pictures and consoles that lie there, unless a later verification left them.
    """
    document = json.dumps(report.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
    _write(folder / JSON, document.encode())
    _write(folder / TEXT, as_text(report).encode(errors="replace"))
    _write(folder / HTML, as_html(report, folder if _is_of(report, folder) else None).encode())
    _write(folder / JUNIT, as_junit(report))


def copy(source: Path, target: Path) -> None:
    """Put a file of the report where the user wants it, in one step."""
    _write(target, source.read_bytes())


def _write(target: Path, data: bytes) -> None:
    with replacing(target) as part:
        part.write_bytes(data)


def require_writable(targets: Iterable[tuple[str, Path]]) -> None:
    """Raise InputError with every (option, file) that could not be written, before minutes of work are spent on it."""
    problems: list[Problem] = []
    seen: set[Path] = set()
    for option, path in targets:
        folder = path.absolute().parent
        if path.is_dir():
            problems.append(Problem(str(path), option, "is a folder, expected a file's name"))
        elif not folder.is_dir():
            problems.append(Problem(str(path), option, f"there is no folder {folder}", "make it, or name another"))
        elif not os.access(folder, os.W_OK | os.X_OK):
            problems.append(Problem(str(path), option, f"no file can be made in {folder}"))
        elif folder.resolve() / path.name in seen:
            problems.append(Problem(str(path), option, "is wanted for two files"))
        seen.add(folder.resolve() / path.name)
    if problems:
        raise InputError(problems=problems)


def _left(folder: Path, firmwares: Iterable[str]) -> Iterator[Path]:
    for firmware in firmwares:
        for pattern in _OF_A_BOOT:
            yield from (folder / firmware).glob(pattern)


def _is_of(report: Report, folder: Path) -> bool:
    """Whether what boots left in ``folder`` was there when the report was finished."""
    try:
        finished = datetime.datetime.fromisoformat(report.finished).timestamp()
    except ValueError:
        # It does not say when.
        return True
    # The report says whole seconds.
    return all(path.stat().st_mtime < finished + _ROUNDED for path in _left(folder, report.firmware))


def forget_older(folder: Path, firmwares: Iterable[str], began: float) -> None:
    """Remove what an earlier verification left of its boots: it is nothing that ``began`` (seconds of the epoch) saw.

    A boot that dies before its first picture would else be shown with the picture of another one.
    """
    for path in list(_left(folder, firmwares)):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < began - _ROUNDED:
                path.unlink()
