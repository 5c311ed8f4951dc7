"""Commands inside a booted guest, over its second serial port.

Nothing is installed: the image stays as it is, and systemd (256 or later) takes a unit from SMBIOS strings, as
systemd.system-credentials(7) and smbios-type-11(7) describe.  systemd-debug-generator(8) makes a unit of the credential
``systemd.extra-unit.NAME`` and a drop-in of ``systemd.unit-dropin.NAME``; an extra unit is only loaded, so a drop-in of
sysinit.target wants it.  The unit runs probe.sh, a loop that reads commands from ttyS1.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import math
import shlex
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from typing import Protocol

from goldsmith.boot.sockets import Reader
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline

UNIT = "goldsmith-probe.service"
_SCRIPT = "goldsmith.probe"
_CREDENTIALS = "/run/credentials/@system"
#: what a guest needs for the credentials, for the error about one that stays silent
NEEDS = "systemd 256 or later is needed"
#: No default dependencies: nothing is ordered before or after it, so the boot goes as it would without.  Being wanted
#: by a target orders nothing either when DefaultDependencies=no (systemd.target(5)).  It outlives an emergency.
UNIT_SETTINGS = (
    "DefaultDependencies=no",
    "IgnoreOnIsolate=yes",
    "Conflicts=shutdown.target",
    "StandardOutput=null",
    "StandardError=null",
    "TimeoutStopSec=5",
)
DROPIN_TEXT = f"[Unit]\nWants={UNIT}\n"

#: base64 characters in one line to the guest, below the 4096 that a terminal's input queue holds
PART = 1024
#: seconds until an unanswered line is sent again
RESEND = 8.0
#: seconds past the command's own limit until silence is an error
GRACE = 20.0
_MARK = b"@goldsmith "


def probe() -> bytes:
    """The script at the guest's end, without what costs the guest's firmware tables room."""
    script = resources.files("goldsmith.boot").joinpath("probe.sh").read_bytes()
    lines = [line.strip() for line in script.decode().splitlines()]
    return ("\n".join(line for line in lines if line and not line.startswith("#")) + "\n").encode()


def unit_text(script: str) -> str:
    """A unit that runs the probe from the file ``script``; it stays out of an initrd, which may see it too."""
    unit, service = UNIT_SETTINGS[:3], UNIT_SETTINGS[3:]
    lines = ["[Unit]", "Description=goldsmith guest channel", *unit]
    lines += ["ConditionPathExists=!/etc/initrd-release", f"ConditionPathExists={script}", ""]
    return "\n".join([*lines, "[Service]", f"ExecStart=/bin/sh {script}", *service]) + "\n"


def credentials() -> dict[str, bytes]:
    """The systemd system credentials that start the probe, name to content."""
    return {
        _SCRIPT: probe(),
        f"systemd.extra-unit.{UNIT}": unit_text(f"{_CREDENTIALS}/{_SCRIPT}").encode(),
        "systemd.unit-dropin.sysinit.target": DROPIN_TEXT.encode(),
    }


@dataclass(frozen=True)
class GuestResult:
    """What a command in the guest did; each output is cut at 1 MiB, ``cut`` saying so."""

    command: str
    returncode: int
    stdout_bytes: bytes
    stderr_bytes: bytes
    cut: bool = False

    @property
    def stdout(self) -> str:
        return self.stdout_bytes.decode(errors="replace")

    @property
    def stderr(self) -> str:
        return self.stderr_bytes.decode(errors="replace")


class GuestShell(Protocol):
    """A way to run commands in the guest as root: ``Guest``, and ``goldsmith.boot.agent``'s."""

    @property
    def closed(self) -> bool: ...
    def wait_ready(self, deadline: Deadline, *, after: str | None = None) -> str: ...
    def run(self, command: str, deadline: Deadline) -> GuestResult: ...
    def close(self) -> None: ...


@dataclass
class _Answer:
    """What has come back for one command."""

    acknowledged: set[int] = field(default_factory=set)
    output: list[bytes] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)
    #: exit status, stdout cut, stderr cut
    status: tuple[int, bool, bool] | None = None
    lost: bool = False


class Guest:
    """The guest's end of ttyS1.  Commands run one after another, as root, by /bin/sh, with / as working directory.

    ``last_words`` gives text for errors, such as the console's last lines.  ``scale`` stretches the patience of the
    protocol itself on slow machines.  ``needs`` is what starts the guest's end, for the error where it stays silent.
    ``boot`` is the id of the boot that a machine which goes on from a saved state is in.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        last_words: Callable[[], str],
        scale: float = 1.0,
        needs: str = NEEDS,
        boot: str | None = None,
    ) -> None:
        self._reader = Reader(connection, self._take)
        self._last_words = last_words
        self._scale = scale
        self._needs = needs
        self._rest = b""
        # The guest's end may be one that another process talked to before its state was saved.
        self._series = uuid.uuid4().hex[:8]
        self._ids = itertools.count(1)
        self._answers: dict[str, _Answer] = {}
        self._boots: list[str] = [boot] if boot else []
        self._hellos: set[str] = set()
        self._reader.start()

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            mark = line.find(_MARK)
            if mark >= 0:
                self._take_line(line[mark + len(_MARK) :].split())

    def _take_line(self, words: list[bytes]) -> None:
        kind, identifier, *rest = [word.decode("ascii", errors="replace") for word in (*words, b"", b"")][:6]
        if kind == "READY":
            self._boots.append(identifier)
        elif kind == "H":
            self._hellos.add(identifier)
        elif answer := self._answers.get(identifier):
            value = rest[0] if rest else ""
            if kind == "A" and value.isdigit():
                answer.acknowledged.add(int(value))
            elif kind == "O":
                answer.output.append(value.encode())
            elif kind == "E":
                answer.errors.append(value.encode())
            elif kind == "X" and value.isdigit():
                answer.status = (int(value), rest[1:2] == ["1"], rest[2:3] == ["1"])
            elif kind == "L":
                answer.lost = True

    def _silence(self, what: str, seconds: float) -> HarnessError:
        return DeadlineError(f"the guest channel: {what}", seconds, hint=self._last_words())

    def _exchange(self, line: str, done: Callable[[], bool], deadline: Deadline, what: str, *, resend: bool) -> None:
        """Send a line until ``done``.  Raises HarnessError on silence and when the machine is gone."""
        while True:
            try:
                self._reader.send(f"{line}\n".encode(), deadline)
                patience = Deadline.after(min(RESEND * self._scale, deadline.remaining())) if resend else deadline
                self._reader.wait_for(done, patience, what)
            except DeadlineError:
                if deadline.passed:
                    raise self._silence(what, deadline.total) from None
                continue
            except OSError:
                pass
            if not done():
                raise HarnessError(f"the guest channel: the machine ended; {what}", hint=self._last_words())
            return

    def wait_ready(self, deadline: Deadline, *, after: str | None = None) -> str:
        """Wait until the guest takes commands; its boot id.  Raises HarnessError with the console's last lines.

        ``after`` is the id of a boot that does not count: one that is about to end.
        """
        what = f"the guest did not start it ({self._needs})" if after is None else "the guest did not come back"

        def there() -> bool:
            return bool(self._boots) and self._boots[-1] != after

        try:
            self._reader.wait_for(there, deadline, what)
        except DeadlineError:
            raise self._silence(what, deadline.total) from None
        if not there():
            raise HarnessError(f"the guest channel: the machine ended; {what}", hint=self._last_words())
        nonce = uuid.uuid4().hex
        self._exchange(
            f"H {nonce}", lambda: nonce in self._hellos, deadline, "it opened but does not answer", resend=True
        )
        return self._boots[-1]

    def run(self, command: str, deadline: Deadline) -> GuestResult:
        """Run a shell command to its end; any exit status is a result.

        Raises DeadlineError when the command (killed then) or the guest takes longer, HarnessError when the machine
        is gone.
        """
        seconds = math.ceil(max(1.0, deadline.remaining()))
        answer = self._ask(command, seconds, Deadline.after(seconds + GRACE * self._scale))
        assert answer.status is not None
        returncode, *cut = answer.status
        if returncode in (124, 137) and deadline.passed:
            raise DeadlineError(f"the guest's command {shlex.quote(command)}", seconds, hint=self._last_words())
        return GuestResult(command, returncode, _content(answer.output), _content(answer.errors), any(cut))

    def _ask(self, command: str, seconds: int, limit: Deadline) -> _Answer:
        encoded = base64.b64encode(command.encode()).decode()
        parts = [encoded[at : at + PART] for at in range(0, len(encoded), PART)]
        while (answer := self._attempt(command, parts, seconds, limit)).status is None:
            # The guest missed a part (it was restarted in between): all of it again, under a new id.
            if limit.passed:
                raise self._silence("the guest keeps losing commands", limit.total)
        return answer

    def _attempt(self, command: str, parts: list[str], seconds: int, limit: Deadline) -> _Answer:
        identifier = f"{self._series}-{next(self._ids)}"
        answer = self._answers[identifier] = _Answer()

        def taken(number: int) -> Callable[[], bool]:
            return lambda: number in answer.acknowledged

        def ended() -> bool:
            return answer.status is not None or answer.lost

        try:
            for number, part in enumerate(parts, 1):
                line = f"C {identifier} {number} {part}"
                self._exchange(line, taken(number), limit, "it did not take a command", resend=True)
            line = f"R {identifier} {len(parts)} {seconds}"
            self._exchange(line, ended, limit, f"no answer to {shlex.quote(command)}", resend=False)
        finally:
            del self._answers[identifier]
        return answer

    @property
    def closed(self) -> bool:
        """Whether nothing can come any more: the machine ended, or this was closed."""
        return self._reader.closed

    def close(self) -> None:
        self._reader.close()


def _content(lines: list[bytes]) -> bytes:
    # Each line is encoded by itself only up to base64's wrap, so the whole is decoded at once.
    try:
        return base64.b64decode(b"".join(lines), validate=True)
    except binascii.Error as error:
        raise HarnessError(f"the guest channel: an answer came back damaged: {error}") from error
