"""The first process of a jail: runs what it is told, and takes everything with it when it ends.

It is process 1 of a PID namespace, so the kernel kills every process of the namespace when it exits, and
the mounts vanish with the last of them.  It exits when its standard input ends: whatever becomes of the
caller, even kill -9, nothing is left.  Standard library only: it runs as a plain script, as root or as
a mapped user, outside the caller's virtual environment.

One JSON document a line, both ways:
    {"id", "op": "run", "argv", "env", "cwd", "stdin", "stdout", "stderr", "deadline"} -> {"id", "returncode"}
    {"id", "op": "spawn", "name", ...as run} -> {"id", "pid"}
    {"id", "op": "poll", "name"} -> {"id", "returncode"}           null while it runs
    {"id", "op": "signal", "name", "signal"} -> {"id"}
"returncode" is null from "run" when the deadline passed; {"id", "error"} answers what could not be done.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

_TRIES = 10

_spawned: dict[str, subprocess.Popen[bytes]] = {}
_write_lock = threading.Lock()


def _answer(document: dict[str, Any]) -> None:
    with _write_lock:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


def _open(request: dict[str, Any]) -> subprocess.Popen[bytes]:
    streams: dict[str, Any] = {}
    for name, mode in (("stdin", "rb"), ("stdout", "ab"), ("stderr", "ab")):
        path = request.get(name)
        streams[name] = Path(path).open(mode) if path else subprocess.DEVNULL  # noqa: SIM115
    try:
        return subprocess.Popen(
            request["argv"],
            env=request.get("env"),
            cwd=request.get("cwd"),
            start_new_session=True,
            # What a build leaves in an image must not be its caller's choice.
            umask=0o022,
            **streams,
        )
    finally:
        for stream in streams.values():
            if stream is not subprocess.DEVNULL:
                stream.close()


def _yield(process: subprocess.Popen[bytes], nice: int) -> None:
    """Let the process, a session of its own, have the processors when others leave them.

    Where the kernel groups processes by sessions, which Debian's does, a nice value orders those of one session alone,
    and the session has one of its own (sched(7)).
    """
    group = Path(f"/proc/{process.pid}/autogroup")
    for _ in range(_TRIES):
        try:
            group.write_text(str(nice))
        except BlockingIOError:
            # The kernel takes ten of these a second, but of the root of the host.
            time.sleep(0.2)
            continue
        except OSError:
            pass
        break
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PGRP, process.pid, nice)


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    # Popen.wait with a timeout looks every 50 ms, which adds up over the many commands of a build.
    descriptor = os.pidfd_open(process.pid)
    try:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        return bool(waiting.poll(1000 * seconds))
    finally:
        os.close(descriptor)


def _run(request: dict[str, Any]) -> dict[str, Any]:
    process = _open(request)
    if nice := request.get("nice"):
        _yield(process, nice)
    if _ends_within(process, request["deadline"]):
        return {"returncode": process.wait()}
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return {"returncode": None}


def _handle(request: dict[str, Any]) -> dict[str, Any]:
    op = request["op"]
    if op == "run":
        return _run(request)
    if op == "spawn":
        process = _spawned[request["name"]] = _open(request)
        return {"pid": process.pid}
    process = _spawned[request["name"]]
    if op == "poll":
        return {"returncode": process.poll()}
    if op == "signal":
        if process.poll() is None:
            os.killpg(process.pid, request["signal"])
        return {}
    raise ValueError(f"unknown op {op!r}")


def _serve(request: dict[str, Any]) -> None:
    try:
        answer = _handle(request)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    _answer({"id": request["id"], **answer})


def main() -> None:
    _answer({"ready": os.getpid()})
    # readline, not iteration: iterating reads ahead and would hold a request back.
    while line := sys.stdin.readline():
        threading.Thread(target=_serve, args=(json.loads(line),), daemon=True).start()
    os._exit(0)


if __name__ == "__main__":
    main()
