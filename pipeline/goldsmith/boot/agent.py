"""Commands in a guest through QEMU's guest agent, where it is installed and lets us: no systemd, no cloud-init needed.

The protocol is the agent's own (qemu-ga(8), qga/qapi-schema.json of QEMU): JSON documents, one a line, over a
virtio-serial port.  What the agent said to others before us is cut off by guest-sync-delimited.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
import shlex
import socket
import threading
from collections.abc import Callable
from typing import Any

from goldsmith.boot.guest import GRACE, GuestResult
from goldsmith.boot.sockets import Reader
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline

NEEDS = "qemu-ga must run in the guest"
#: the byte that the agent's answer to guest-sync-delimited begins with
_SENTINEL = b"\xff"
#: seconds between two looks whether a command has ended, and until the agent is asked again whether it is there
_POLL = 0.2
_AGAIN = 10.0
#: bytes of an answer that are waited for: the agent keeps 16 MiB of an output, in base64
_MOST = 48 * 2**20
#: bytes of an output, as goldsmith.boot.guest has it
LIMIT = 2**20


class AgentGuest:
    """The guest's agent.  Commands run one after another, as root, by /bin/sh.

    ``last_words`` gives text for errors, such as the console's last lines; ``scale`` stretches the patience of the
    protocol itself on slow machines.
    """

    def __init__(self, connection: socket.socket, *, last_words: Callable[[], str], scale: float = 1.0) -> None:
        self._last_words = last_words
        self._scale = scale
        self._ids = itertools.count(1)
        self._answers: list[dict[str, Any]] = []
        self._rest = b""
        self._lock = threading.Lock()
        self._reader = Reader(connection, self._take)
        self._reader.start()

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MOST:
            self._rest = b""
        for line in lines:
            try:
                document = json.loads(line.rpartition(_SENTINEL)[2])
            except ValueError:
                continue
            if isinstance(document, dict):
                self._answers.append(document)

    def _lost(self, what: str, seconds: float) -> HarnessError:
        return DeadlineError(f"the guest agent: {what}", seconds, hint=self._last_words())

    def _send(self, document: dict[str, Any], deadline: Deadline, mark: bytes = b"") -> None:
        try:
            self._reader.send(mark + json.dumps(document).encode() + b"\n", deadline)
        except OSError as error:
            raise HarnessError(f"the guest agent: the machine ended ({error})", hint=self._last_words()) from error

    def _ask(self, command: str, deadline: Deadline, **arguments: Any) -> Any:
        """The agent's answer.  Raises HarnessError with its words where it refuses."""
        del self._answers[:]
        self._send({"execute": command, "arguments": arguments}, deadline)
        answer = self._next(deadline, f"no answer to {command}")
        if "error" in answer:
            raise HarnessError(f"the guest agent refuses {command}: {answer['error'].get('desc', answer['error'])}")
        return answer.get("return")

    def _next(self, deadline: Deadline, what: str) -> dict[str, Any]:
        try:
            self._reader.wait_for(lambda: bool(self._answers), deadline, what)
        except DeadlineError:
            raise self._lost(what, deadline.total) from None
        if not self._answers:
            raise HarnessError(f"the guest agent: the machine ended; {what}", hint=self._last_words())
        return self._answers.pop(0)

    def wait_ready(self, deadline: Deadline, *, after: str | None = None) -> str:
        """Wait until the agent answers; the boot's id.  Raises HarnessError with the console's last lines.

        ``after`` is the id of a boot that does not count: one that is about to end.
        """
        what = f"it does not answer ({NEEDS})" if after is None else "the guest did not come back"
        with self._lock:
            while True:
                self._synchronise(deadline, what)
                try:
                    boot = self._run("cat /proc/sys/kernel/random/boot_id", deadline).stdout.strip()
                except DeadlineError:
                    # The machine was restarted in between: the answer went with the old agent.
                    boot = ""
                if boot and boot != after:
                    return boot
                if deadline.passed:
                    raise self._lost(what, deadline.total)
                threading.Event().wait(_POLL)

    def _synchronise(self, deadline: Deadline, what: str) -> None:
        """Wait until the agent answers a number that nobody else can have asked for."""
        while True:
            number = next(self._ids) * 1_000_003
            self._send({"execute": "guest-sync-delimited", "arguments": {"id": number}}, deadline, _SENTINEL)
            patience = Deadline.after(min(_AGAIN * self._scale, deadline.remaining()))
            try:
                self._reader.wait_for(lambda n=number: {"return": n} in self._answers, patience, what)  # type: ignore[misc]
            except DeadlineError:
                if deadline.passed:
                    raise self._lost(what, deadline.total) from None
                continue
            if {"return": number} not in self._answers:
                raise HarnessError(f"the guest agent: the machine ended; {what}", hint=self._last_words())
            return

    def run(self, command: str, deadline: Deadline) -> GuestResult:
        """Run a shell command to its end; any exit status is a result.

        Raises DeadlineError when the command (killed then) or the guest takes longer, HarnessError when the machine
        is gone or the agent does not run commands.
        """
        with self._lock:
            return self._run(command, deadline)

    def _run(self, command: str, deadline: Deadline) -> GuestResult:
        seconds = math.ceil(max(1.0, deadline.remaining()))
        limit = Deadline.after(seconds + GRACE * self._scale)
        # The agent itself bounds nothing.
        bounded = f"timeout -k 5 {seconds} /bin/sh -c {shlex.quote(command)}"
        started = self._ask("guest-exec", limit, path="/bin/sh", arg=["-c", bounded], **{"capture-output": True})
        pid = started.get("pid") if isinstance(started, dict) else None
        while True:
            status = self._ask("guest-exec-status", limit, pid=pid)
            if not isinstance(status, dict):
                raise HarnessError(f"the guest agent: an answer that is none: {status!r}")
            if status.get("exited"):
                break
            if limit.passed:
                raise self._lost(f"no end of {shlex.quote(command)}", limit.total)
            threading.Event().wait(_POLL)
        returncode = int(status.get("exitcode", 128 + int(status.get("signal", 0))))
        if returncode in (124, 137) and deadline.passed:
            raise DeadlineError(f"the guest's command {shlex.quote(command)}", seconds, hint=self._last_words())
        out, err = _content(status.get("out-data", "")), _content(status.get("err-data", ""))
        cut = max(len(out), len(err)) > LIMIT or bool(status.get("out-truncated") or status.get("err-truncated"))
        return GuestResult(command, returncode, out[:LIMIT], err[:LIMIT], cut)

    @property
    def closed(self) -> bool:
        """Whether the other end is gone."""
        return self._reader.closed

    def close(self) -> None:
        self._reader.close()


def _content(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError) as error:
        raise HarnessError(f"the guest agent: an answer came back damaged: {error}") from error
