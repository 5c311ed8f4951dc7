"""Jails: namespaces that leave no process and no mount behind, however their owner dies.

Two kinds: ``root_jail`` (real root, own mount and PID namespace) for builds, and ``user_jail`` (user,
network, mount and PID namespace of an unprivileged user) for the virtual networks around a guest.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from goldsmith.errors import HarnessError, HostError
from goldsmith.host import jail_agent
from goldsmith.host.run import Completed, failure, pasteable

log = logging.getLogger(__name__)

_AGENT = Path(jail_agent.__file__)
#: the agent needs no package, so the distribution's own interpreter will do, and sudo keeps its path
PYTHON = "/usr/bin/python3"
#: nice value of work that nobody waits for at once
BESIDE = 15
_COMMON = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


class Jail:
    """A running jail.  Make one with ``root_jail`` or ``user_jail``."""

    def __init__(self, process: subprocess.Popen[str], environment: Mapping[str, str]) -> None:
        self._process = process
        self._environment = dict(environment)
        self._ids = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._condition = threading.Condition()
        self._closed = False
        self._stdin_lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="jail-reader", daemon=True)
        self._reader.start()

    @property
    def environment(self) -> dict[str, str]:
        """What every process in the jail gets, unless a call adds to it."""
        return dict(self._environment)

    @property
    def pid(self) -> int:
        """Process id, outside, of the jail's ``unshare`` (or of the sudo around it)."""
        return self._process.pid

    def _read(self) -> None:
        stdout: IO[str] = self._process.stdout  # type: ignore[assignment]
        for line in stdout:
            document = json.loads(line)
            with self._condition:
                self._answers[document.get("id", 0)] = document
                self._condition.notify_all()
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _wait(self, request_id: int, seconds: float) -> dict[str, Any]:
        with self._condition:
            self._condition.wait_for(lambda: request_id in self._answers or self._closed, timeout=seconds)
            if request_id in self._answers:
                return self._answers.pop(request_id)
        raise HarnessError("the jail ended" if self._closed else f"the jail did not answer within {seconds:.0f} s")

    def _ask(self, seconds: float, **request: Any) -> dict[str, Any]:
        request_id = next(self._ids)
        stdin: IO[str] = self._process.stdin  # type: ignore[assignment]
        try:
            with self._stdin_lock:
                stdin.write(json.dumps({"id": request_id, **request}) + "\n")
                stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise HarnessError("the jail ended") from error
        return self._wait(request_id, seconds)

    def _request(self, argv: Sequence[str | os.PathLike[str]], env: Mapping[str, str] | None) -> dict[str, Any]:
        return {"argv": [os.fspath(word) for word in argv], "env": {**self._environment, **(env or {})}}

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        deadline: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: Path | None = None,
        log_file: Path | None = None,
        check: bool = True,
        hint: str | None = None,
        nice: int = 0,
    ) -> Completed:
        """As ``goldsmith.host.run.run``, inside the jail; ``stdin`` is a file to read from.

        ``nice`` is as nice(1) takes it, against all else on the host.
        """
        shown = pasteable(argv, env)
        log.debug("jail: %s", shown)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="goldsmith-run-") as folder:
            out = log_file or Path(folder, "out")
            err = log_file or Path(folder, "err")
            answer = self._ask(
                deadline + 30,
                op="run",
                cwd=str(cwd) if cwd else None,
                stdin=str(stdin) if stdin else None,
                stdout=str(out),
                stderr=str(err),
                deadline=deadline,
                nice=nice,
                **self._request(argv, env),
            )
            if "error" in answer:
                raise HostError(f"could not be started: {answer['error']}", where=shown, hint=hint)
            text = "" if log_file else out.read_text(errors="replace")
            errors = err.read_text(errors="replace") if err.exists() else ""
        seconds = time.monotonic() - started
        returncode = answer["returncode"]
        if returncode is None or (check and returncode != 0):
            raise failure(shown, returncode, seconds, errors or text, hint)
        return Completed(tuple(os.fspath(w) for w in argv), returncode, text, "" if log_file else errors, seconds)

    def spawn(
        self,
        name: str,
        argv: Sequence[str | os.PathLike[str]],
        *,
        log_file: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> int:
        """Start a process that runs until ``signal`` or the end of the jail; its output goes to ``log_file``.

        Returns its process id inside the jail.
        """
        log.debug("jail: spawn %s: %s", name, pasteable(argv, env))
        answer = self._ask(
            30,
            op="spawn",
            name=name,
            cwd=str(cwd) if cwd else None,
            stdout=str(log_file),
            stderr=str(log_file),
            **self._request(argv, env),
        )
        if "error" in answer:
            raise HostError(f"{name} could not be started: {answer['error']}", where=pasteable(argv, env))
        return int(answer["pid"])

    def poll(self, name: str) -> int | None:
        """Exit status of a spawned process, None while it runs."""
        answer = self._ask(30, op="poll", name=name)
        if "error" in answer:
            raise HarnessError(f"{name}: {answer['error']}")
        status: int | None = answer["returncode"]
        return status

    def signal(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to a spawned process and its group."""
        self._ask(30, op="signal", name=name, signal=int(number))

    def close(self) -> None:
        """End the jail and everything in it; safe to call twice."""
        with contextlib.suppress(BrokenPipeError, OSError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5)
        if self._process.stdout:
            self._process.stdout.close()


@contextlib.contextmanager
def _jail(prefix: Sequence[str], environment: Mapping[str, str], hint: str) -> Iterator[Jail]:
    argv = [*prefix, PYTHON, "-I", str(_AGENT)]
    log.debug("jail: %s", pasteable(argv))
    with tempfile.TemporaryFile("w+") as errors:
        try:
            # A group of its own, not a session: sudo remembers a password that was typed by the terminal.
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, process_group=0
            )
        except FileNotFoundError as error:
            raise HostError(f"{argv[0]} is not installed", hint=hint) from error
        jail = Jail(process, environment)
        try:
            try:
                jail._wait(0, 30)
            except HarnessError as error:
                process.kill()
                process.wait()
                errors.seek(0)
                raise HostError(
                    f"namespaces cannot be made: {errors.read().strip() or error}", where=pasteable(argv), hint=hint
                ) from error
            yield jail
        finally:
            jail.close()


def root_jail(environment: Mapping[str, str]) -> contextlib.AbstractContextManager[Jail]:
    """A jail with the host's root and its own mounts and processes; through sudo where we are not root.

    Raises HostError where namespaces or root cannot be had.
    """
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    return _jail(
        [*sudo, "unshare", *_COMMON, "--propagation", "private"],
        environment,
        "run as root, or as a user with sudo (run 'sudo -v' first)",
    )


def user_jail(environment: Mapping[str, str]) -> contextlib.AbstractContextManager[Jail]:
    """A jail with its own network in which the caller is root; needs no privilege.

    Raises HostError where the kernel forbids user namespaces.
    """
    return _jail(
        ["unshare", "--user", "--map-root-user", "--net", *_COMMON],
        environment,
        "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000",
    )
