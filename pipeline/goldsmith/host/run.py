"""The one runner of subprocesses: logged so that it can be pasted, bounded, and loud when it fails."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldsmith.errors import CommandFailedError, HostError

log = logging.getLogger(__name__)

#: how many of the last lines of stderr an error shows
TAIL_LINES = 15


@dataclass(frozen=True)
class Completed:
    """A finished subprocess; ``stdout`` and ``stderr`` are text, empty where they went to a log."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float


def pasteable(argv: Sequence[str | os.PathLike[str]], env: Mapping[str, str] | None = None) -> str:
    """The command as a shell takes it, with the variables that were added for it."""
    assignments = [f"{name}={shlex.quote(value)}" for name, value in sorted((env or {}).items())]
    return " ".join([*assignments, shlex.join([os.fspath(word) for word in argv])])


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """The last ``lines`` lines that hold something."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def failure(command: str, returncode: int | None, seconds: float, errors: str, hint: str | None) -> CommandFailedError:
    """The error for a command that ended badly; ``returncode`` None means that its deadline passed."""
    if returncode is None:
        status = f"was still running after {seconds:.0f} s and was killed"
    elif returncode < 0:
        status = f"was killed by {signal.Signals(-returncode).name}"
    else:
        status = f"exited {returncode}"
    return CommandFailedError(command, status=status, tail=tail(errors), hint=hint)


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    deadline: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    log_file: Path | None = None,
    check: bool = True,
    hint: str | None = None,
) -> Completed:
    """Run a command to its end.

    ``deadline`` is in seconds; past it the command's whole process group is killed.  ``env`` is added to
    the inherited environment.  With ``log_file`` stdout and stderr go there instead of into the result.
    Raises HostError if the program does not exist and, with ``check``, CommandFailedError on any other
    status than 0.
    """
    words = [os.fspath(word) for word in argv]
    shown = pasteable(words, env)
    log.debug("run: %s", shown)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(log_file.open("ab")) if log_file else None
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=sink or subprocess.PIPE,
                stderr=subprocess.STDOUT if sink else subprocess.PIPE,
                env={**os.environ, **env} if env else None,
                cwd=cwd,
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as error:
            # A folder of PATH that may not be read makes a missing program a PermissionError.
            raise HostError(
                f"{words[0]} is not installed", where=shown, hint=hint or "run: goldsmith doctor"
            ) from error
        try:
            out, err = process.communicate(stdin.encode() if stdin is not None else None, timeout=deadline)
            returncode: int | None = process.returncode
        except subprocess.TimeoutExpired:
            _kill_group(process)
            out, err = process.communicate()
            returncode = None
        except BaseException:
            _kill_group(process)
            process.wait()
            raise
    seconds = time.monotonic() - started
    stdout = (out or b"").decode(errors="replace")
    stderr = (err or b"").decode(errors="replace")
    log.debug("run: %s after %.2f s", "timed out" if returncode is None else f"exited {returncode}", seconds)
    if returncode is None or (check and returncode != 0):
        errors = _file_tail(log_file) if log_file else stderr or stdout
        raise failure(shown, returncode, seconds, errors, hint)
    return Completed(tuple(words), returncode, stdout, stderr, seconds)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _file_tail(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 16384))
        return stream.read().decode(errors="replace")
