"""Progress on stderr: one line a step with its time; live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Progress:
    """Reports steps.  ``live`` redraws the running step's line each second."""

    live: bool = False
    quiet: bool = False
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    #: (name, seconds) of the steps that ended, for the manifest
    finished: list[tuple[str, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def for_stderr(cls, *, plain: bool = False, quiet: bool = False) -> Progress:
        return cls(live=not plain and sys.stderr.isatty(), quiet=quiet)

    def note(self, text: str) -> None:
        """A line that is not a step."""
        if not self.quiet:
            with self._lock:
                print(f"{self._clear()}  {text}", file=self.stream, flush=True)

    def _clear(self) -> str:
        return "\r\x1b[K" if self.live else ""

    @contextlib.contextmanager
    def step(self, name: str, detail: Callable[[], str] | None = None) -> Iterator[None]:
        """Time the body; say how it ended.  ``detail`` gives what a live line shows beside the seconds."""
        started = time.monotonic()
        stop = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(name, started, stop, detail), daemon=True)
        if self.live and not self.quiet:
            ticker.start()
        elif not self.quiet:
            print(f"  ... {name}", file=self.stream, flush=True)
        mark = "FAIL"
        try:
            yield
            mark = "ok"
        finally:
            stop.set()
            if ticker.is_alive():
                ticker.join()
            seconds = time.monotonic() - started
            self.finished.append((name, seconds))
            if not self.quiet:
                with self._lock:
                    print(f"{self._clear()}{mark:>5} {name} [{seconds:.1f} s]", file=self.stream, flush=True)

    def _tick(self, name: str, started: float, stop: threading.Event, detail: Callable[[], str] | None) -> None:
        while not stop.wait(1.0):
            beside = f", {detail()}" if detail else ""
            with self._lock:
                line = f"\r\x1b[K  ... {name} [{time.monotonic() - started:.0f} s{beside}]"
                print(line, end="", file=self.stream, flush=True)
