"""How long a process waited for a processor: what a busy host takes from a guest, whatever its clock says."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


def find(program: str, folder: Path, proc: Path = _PROC) -> int | None:
    """The process id of a program of ours that works in ``folder``, wherever it was started; None without one."""
    for process in proc.iterdir():
        try:
            if process.name.isdigit() and (process / "cwd").readlink() == folder:
                words = (process / "cmdline").read_bytes().split(b"\0")
                if Path(words[0].decode(errors="replace")).name == program:
                    return int(process.name)
        except OSError:
            # It ended, or is somebody else's.
            continue
    return None


def seconds(pid: int, proc: Path = _PROC) -> float:
    """Seconds for which the thread that waited most was ready to run and was not let.

    By the second number of schedstat (Documentation/scheduler/sched-stats.rst); 0.0 where the kernel does not count it,
    and of a process that is gone.
    """
    waited = [0]
    for thread in (proc / str(pid) / "task").glob("*/schedstat"):
        try:
            waited.append(int(thread.read_text().split()[1]))
        except (OSError, ValueError, IndexError):
            continue
    return max(waited) / 1e9
