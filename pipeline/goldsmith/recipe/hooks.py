"""The phases of an element, and the scripts in them, by diskimage-builder's conventions (lib/dib-run-parts)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Phase = Literal["pre-install.d", "install.d", "post-install.d", "finalise.d"]
#: those that run inside the image, in their order
PHASES: tuple[Phase, ...] = ("pre-install.d", "install.d", "post-install.d", "finalise.d")
#: those that work outside the tree, on a build that has just begun; cleanup.d is none of them: it removes what a build
#: has left
HOST_PHASES = ("root.d", "extra-data.d", "post-root.d", "block-device.d", "pre-finalise.d")
#: programs that exist in a chroot of diskimage-builder and nowhere else
BUILD_TOOLS = ("install-packages", "pkg-map", "svc-map", "package-installs-v2", "dib-init-system", "dib-python")


def scripts(folder: Path) -> Iterator[Path]:
    """The scripts of a phase that diskimage-builder would run: executable, with a name of run-parts' kind."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.is_file() and os.access(path, os.X_OK) and re.fullmatch(r"[A-Za-z0-9_-]+", path.stem):
                yield path


def build_tools_of(script: Path) -> list[str]:
    """The programs of a build that a script calls."""
    text = script.read_text(errors="replace")
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [tool for tool in BUILD_TOOLS if re.search(rf"(^|[\s;&|(`]){re.escape(tool)}(\s|$)", code, re.MULTILINE)]
