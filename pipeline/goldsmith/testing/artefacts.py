"""What a test that failed leaves: the guest's screen and the end of its console, in a folder of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from goldsmith.errors import GoldsmithError
from goldsmith.verify.standing import Standing

#: characters of a folder's name that file systems take anywhere
_LONGEST = 120
CONSOLE_LINES = 200
SCREEN = "screen.png"
CONSOLE = "console.txt"


def folder_of(root: Path, test: str) -> Path:
    """The folder of a test, made from its id ("tests/test_a.py::test_b[bios]"); no two tests have the same one."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", test).strip("-.")
    if len(name) > _LONGEST or name != test:
        # Different ids can come to the same name.
        name = f"{name[:_LONGEST]}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"
    return root / name


def keep(guest: Standing, folder: Path) -> Iterator[str]:
    """Write what can be had of the guest, and say where, a line each; a guest that is gone leaves its console."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        guest.machine.screendump(folder / SCREEN)
        yield f"screen   {folder / SCREEN}"
    except GoldsmithError as error:
        yield f"screen   cannot be had: {error.message}"
    text = guest.machine.console.tail(CONSOLE_LINES)
    (folder / CONSOLE).write_text(text + "\n")
    yield f"console  {folder / CONSOLE} (all of it: {guest.machine.console_log})"
