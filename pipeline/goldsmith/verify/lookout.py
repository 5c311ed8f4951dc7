"""Watches a machine that boots for what its console does not tell: that it stands still, or goes round, or is gone."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol

from goldsmith.boot.screen import Screen
from goldsmith.errors import HarnessError, MachineLostError
from goldsmith.verify.console_rules.watch import STANDSTILL, Watch

#: seconds between two looks
POLL_SECONDS = 2.0
#: resets before the first command that are none too many
MOST_RESETS = 3
#: screens that are remembered; with so many different ones it is not standing still
_MOST_SCREENS = 5000


class Console(Protocol):
    @property
    def received(self) -> int: ...
    def seconds(self) -> float: ...


class Watched(Protocol):
    """What of a ``goldsmith.boot.machine.Machine`` is looked at."""

    @property
    def folder(self) -> Path: ...
    @property
    def scale(self) -> float: ...
    @property
    def console(self) -> Console: ...
    def loss(self, patience: float = 0.0) -> MachineLostError | None: ...
    def resets(self) -> int: ...
    def disk_operations(self) -> int: ...
    def starved(self) -> float: ...
    def screen(self) -> Screen: ...


class Lookout:
    """A context manager in which a thread looks; ``give_up`` is called in it, once, where nothing more will come.

    What it gave up for stands in the watch; where it is not the guest's doing, in ``lost``.  The screen is read only
    while console and disk rest, so that a boot that goes on costs nothing.
    """

    def __init__(
        self,
        machine: Watched,
        watch: Watch,
        give_up: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        poll: float = POLL_SECONDS,
    ) -> None:
        self._machine = machine
        self._watch = watch
        self._give_up = give_up
        self._clock = clock
        self._poll = poll
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)
        self._signs: tuple[int, int] | None = None
        self._screens: set[bytes] = set()
        self._since = clock()
        self._starved = 0.0
        self.lost: MachineLostError | None = None

    def __enter__(self) -> Lookout:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        while not self._over.wait(self._poll):
            try:
                if self.look():
                    self._give_up()
                    return
            except HarnessError:
                # A monitor that does not answer is no sign of anything; a QEMU that ended is told by its sockets.
                continue

    def look(self) -> bool:
        """Whether nothing more will come.  Raises HarnessError where QEMU does not answer."""
        if lost := self._machine.loss():
            self.lost = lost
            return True
        resets = self._machine.resets()
        if resets > MOST_RESETS + self._watch.restarts:
            self._watch.give_up("boot-loop", f"the machine was reset {resets} times")
            return True
        self._discount(self._machine.starved())
        signs = (self._machine.console.received, self._machine.disk_operations())
        if signs != self._signs:
            self._signs, self._since = signs, self._clock()
            return False
        screen = self._machine.screen()
        if self._watch.see(screen.text or (), self._machine.console.seconds()):
            return True
        # A cursor that blinks, or a wheel that turns, shows a few pictures again and again: only a new one counts.
        picture = hashlib.sha256((self._machine.folder / "screen.png").read_bytes()).digest()
        if picture not in self._screens and len(self._screens) < _MOST_SCREENS:
            self._screens.add(picture)
            self._since = self._clock()
            return False
        quiet = self._watch.rules.patience.quiet_in(self._watch.known_phase(), self._machine.scale)
        if self._clock() - self._since < quiet:
            return False
        words = f"for {quiet:.0f} s nothing came over the console, the screen showed nothing new, no disk was used"
        if self._watch.handed_over:
            words += "; the firmware started the disk's boot code: is there a bootloader for this firmware?"
        self._watch.give_up(STANDSTILL, words)
        return True

    def _discount(self, starved: float) -> None:
        """Time in which the host was too busy to let the guest go on does not count against it."""
        self._since = min(self._since + max(0.0, starved - self._starved), self._clock())
        self._starved = starved
