"""Where QEMU runs: in the lab's jail, or beside it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from goldsmith.errors import HostError


class Launcher(Protocol):
    """Where QEMU runs: a ``goldsmith.host.jail.Jail`` or ``LocalLauncher``."""

    def spawn(self, name: str, argv: Sequence[str | os.PathLike[str]], *, log_file: Path, cwd: Path | None) -> int: ...

    def poll(self, name: str) -> int | None: ...

    def signal(self, name: str, number: signal.Signals) -> None: ...


class LocalLauncher:
    """Runs QEMU without a jail, so without the lab's networks; it dies with the thread that spawned it."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def spawn(self, name: str, argv: Sequence[str | os.PathLike[str]], *, log_file: Path, cwd: Path | None) -> int:
        words = ["setpriv", "--pdeathsig", "KILL", "--", *(os.fspath(word) for word in argv)]
        with log_file.open("ab") as sink:
            try:
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=cwd, start_new_session=True
                )
            except (FileNotFoundError, PermissionError) as error:
                raise HostError(f"{words[0]} is not installed", hint="run: goldsmith doctor") from error
        self._processes[name] = process
        return process.pid

    def poll(self, name: str) -> int | None:
        return self._processes[name].poll()

    def signal(self, name: str, number: signal.Signals) -> None:
        process = self._processes[name]
        if process.poll() is None:
            os.killpg(process.pid, number)
