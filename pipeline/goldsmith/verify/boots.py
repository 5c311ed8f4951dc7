"""One boot for verification: a machine with two NICs in its own lab, and what a session asks of it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from goldsmith.boot.console_tap import tapped
from goldsmith.boot.guest import GuestShell
from goldsmith.boot.instance import Instance, make_nics
from goldsmith.boot.lab import Lab
from goldsmith.boot.machine import Machine
from goldsmith.errors import DeadlineError, HarnessError, NoChannelError
from goldsmith.host.deadline import Deadline
from goldsmith.host.files import write_json
from goldsmith.verify.console_rules.patience import Patience
from goldsmith.verify.console_rules.watch import STANDSTILL, Watch
from goldsmith.verify.lookout import Lookout
from goldsmith.verify.machines import NETWORKS, BootPlan, lab_machine
from goldsmith.verify.settle import LOGIN_PROMPT
from goldsmith.verify.subjects import LiveGuest, MetadataTally, Result, Screen
from goldsmith.verify.timeline import Mark

#: seconds on the reference host, for whoever boots without rules
BOOT_SECONDS = Patience().boot
#: seconds in which a guest that is lost may say why
LAST_WORDS_SECONDS = 3.0
#: last lines of the console in a verdict
CONSOLE_LINES = 15


class Boot(Protocol):
    """A machine that was powered on."""

    @property
    def guest(self) -> LiveGuest: ...
    @property
    def screen(self) -> Screen: ...
    @property
    def overlay(self) -> Path: ...
    @property
    def ready(self) -> bool:
        """Whether the guest took commands."""

    @property
    def passive(self) -> str:
        """Why no command can be asked of the guest; empty where that can be."""

    @property
    def restarts(self) -> int:
        """How often the guest is expected to start over by itself."""

    def observe(self, watch: Watch) -> None:
        """Show the console to ``watch``, from power-on on.  A mark that ends the boot ends every wait for the guest."""

    def seconds(self) -> float:
        """Seconds since power-on."""

    def wait_ready(self) -> None:
        """Wait until the guest takes commands.

        Raises HarnessError, at once where a console rule ends the boot and soon where nothing happens any more:
        MachineLostError where that is not the guest's doing, NoChannelError where the guest is up and ``passive``.
        """

    def login_prompt(self) -> bool:
        """Whether a login prompt stands, or soon does, on ttyS0."""

    def prompt_seen(self) -> bool:
        """The same, without waiting."""

    def tally(self) -> MetadataTally: ...
    def console(self) -> tuple[str, ...]:
        """The last lines of ttyS0."""

    def screenshot(self, name: str) -> Path | None:
        """Take a picture of the screen; None where that cannot be had any more."""

    @property
    def where(self) -> str:
        """Where its machine can be reached, in words."""

    def console_socket(self) -> AbstractContextManager[socket.socket]:
        """A second end of ttyS0, for a person to sit at."""

    def power_off(self) -> bool:
        """Press the power button; False where the guest did not go and was killed."""

    def kill(self) -> None: ...


class LabBoot:
    """A Boot by goldsmith.boot.  ``folder`` keeps console.log, qemu.log, screen.png and metadata.json."""

    restarts = 0

    def __init__(self, machine: Machine, lab: Lab, folder: Path, passive: str = "") -> None:
        self.passive = passive
        self._machine = machine
        self._lab = lab
        self._folder = folder
        self._watch: Watch | None = None
        #: whether a guest that is lost had its time to say why
        self._said = threading.Event()
        self.ready = False

    @property
    def guest(self) -> LiveGuest:
        guest = self._machine.guest
        return LiveGuest(_Watched(guest, self._heard_out) if self._watch else guest, self._machine.scale)

    @property
    def screen(self) -> Screen:
        return Screen(self._machine, self._folder, self._machine.scale)

    @property
    def overlay(self) -> Path:
        return self._machine.overlay

    def observe(self, watch: Watch) -> None:
        def last_words() -> None:
            self._said.set()
            self._machine.guest.close()

        def on_end(mark: Mark) -> None:
            # Whoever waits for an answer of the guest is told that none will come.
            timer = threading.Timer(LAST_WORDS_SECONDS * self._machine.scale, last_words)
            timer.daemon = True
            timer.start()

        self._watch = watch
        watch.on_end = on_end
        self._machine.console.listen(watch.take)

    def seconds(self) -> float:
        return self._machine.console.seconds()

    def wait_ready(self) -> None:
        deadline = Deadline.after(self._patience.boot * self._machine.scale)
        with contextlib.ExitStack() as stack:
            lookout = None
            if self._watch:
                lookout = stack.enter_context(Lookout(self._machine, self._watch, self._machine.guest.close))
            try:
                self._wait_passively(deadline) if self.passive else self._machine.guest.wait_ready(deadline)
            except NoChannelError:
                raise
            except HarnessError as error:
                raise self._explained(error, lookout.lost if lookout else None) from error
        self.ready = True

    @property
    def _patience(self) -> Patience:
        return self._watch.rules.patience if self._watch else Patience()

    def _wait_passively(self, deadline: Deadline) -> None:
        def over() -> bool:
            lost = _over(self._watch) is not None or not self._machine.running
            return lost or self._machine.guest.closed or self.prompt_seen()

        deadline.wait_for(over, "no login prompt on ttyS0", interval=0.5)
        if not self.prompt_seen():
            raise HarnessError("the boot ended before a login prompt")
        raise NoChannelError(f"no command can be asked of this guest: {self.passive}")

    def _explained(self, error: HarnessError, lost: HarnessError | None) -> HarnessError:
        """Why a guest does not take commands, as far as anything beside its silence tells."""
        if over := self._heard_out():
            return over
        # Without a deadline that passed the channel was closed, which QEMU's end does before it is there.
        patience = 0.0 if isinstance(error, DeadlineError) else LAST_WORDS_SECONDS
        if lost := lost or self._machine.loss(patience):
            return lost
        if self._machine.powered_off:
            if self._watch:
                self._watch.give_up("powered-off", "the guest powered itself off")
            return _over(self._watch) or error
        return error

    def _heard_out(self) -> HarnessError | None:
        """Why the boot is over, once the console could show the rest of what the guest said of it."""
        over = _over(self._watch)
        if self._watch and self._watch.ended:
            self._said.wait(2 * LAST_WORDS_SECONDS * self._machine.scale)
        return over

    def prompt_seen(self) -> bool:
        return re.search(LOGIN_PROMPT, self._machine.console.text(), re.MULTILINE) is not None

    def login_prompt(self) -> bool:
        deadline = Deadline.after(self._patience.prompt * self._machine.scale)
        with contextlib.suppress(DeadlineError):
            deadline.wait_for(self.prompt_seen, "a login prompt on ttyS0", interval=1.0)
        return self.prompt_seen()

    def tally(self) -> MetadataTally:
        log = self._lab.folder / "metadata.jsonl"
        if not log.exists():
            # The lab counts a log that is gone as no requests, which would be held against the image.
            raise HarnessError("the log of the metadata service is gone", where=str(log))
        count = self._lab.metadata_log()
        write_json(self._folder / "metadata.json", asdict(count))
        return MetadataTally(count.requests, count.connections)

    def console(self) -> tuple[str, ...]:
        return tuple(self._machine.console.tail(CONSOLE_LINES).splitlines())

    def screenshot(self, name: str) -> Path | None:
        path = self._folder / f"screen-{re.sub('[^A-Za-z0-9.-]+', '-', name)}.png"
        try:
            self._machine.screendump(path)
        except HarnessError:
            return None
        return path

    @property
    def where(self) -> str:
        return f"QEMU's monitor (QMP) is {self._folder / 'qmp.sock'}, the overlay {self.overlay}"

    def console_socket(self) -> AbstractContextManager[socket.socket]:
        return tapped(self._machine.console)

    def power_off(self) -> bool:
        self.screenshot("last")
        try:
            self._machine.powerdown(Deadline.after(self._patience.power_off * self._machine.scale))
        except DeadlineError:
            self._machine.quit()
            return False
        return True

    def kill(self) -> None:
        self._machine.quit()


@dataclasses.dataclass(frozen=True)
class _Watched:
    """The guest's shell, as long as its console does not show that it is lost."""

    shell: GuestShell
    over: Callable[[], HarnessError | None]

    def run(self, command: str, deadline: Deadline) -> Result:
        if over := self.over():
            raise over
        try:
            return self.shell.run(command, deadline)
        except HarnessError as error:
            if over := self.over():
                raise over from error
            raise


def _over(watch: Watch | None) -> HarnessError | None:
    """The error of a guest that its console shows to be lost."""
    if watch is None:
        return None
    if mark := watch.ended:
        said = f"line {mark.line} of the console: {mark.text}"
        return HarnessError(f"the boot ended in {watch.phase().name}: {mark.rule}, {mark.reason}", hint=said)
    if given := watch.gave_up:
        verb = "stands still" if given.rule == STANDSTILL else "ended"
        return HarnessError(f"the boot {verb} in {watch.phase().name}: {given.rule}, {given.reason}")
    return None


@contextlib.contextmanager
def lab_boot(plan: BootPlan) -> Iterator[Boot]:
    """Power a machine on.  The overlay stays in the plan's folder after the end."""
    instance = Instance(str(uuid.uuid4()), f"goldsmith-{plan.firmware}", make_nics(NETWORKS))
    with lab_machine(plan, NETWORKS, instance) as (machine, lab):
        passive = plan.channel.reason if plan.channel.kind == "passive" else ""
        yield LabBoot(machine, lab, plan.folder, passive)
