"""Builds that are killed with SIGKILL, and what is left of them."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from system_help import RECIPE, Workshop

from goldsmith.settings import PROJECT_ROOT


@dataclass(frozen=True)
class Remains:
    """What was left a moment after a build was killed with SIGKILL; ``during`` says when that was."""

    during: str
    processes: list[str]
    mounts: list[str]
    loop_devices: list[str]
    images: list[str]


def _processes(cache: str) -> list[str]:
    """Processes of a build: all of them have its cache's path in their arguments or their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (folder / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if cache in words or cache in environment:
            found.append(words)
    return found


def images(workshop: Workshop) -> set[str]:
    """What could be taken for an image, in the catalogue and in the store."""
    folders = [workshop.settings.images_dir, workshop.settings.cache_dir / "artefacts" / "image"]
    return {str(p) for folder in folders for p in folder.glob("*") if not p.name.startswith((".part-", ".lock-"))}


def remains(workshop: Workshop, during: str, images_before: set[str]) -> Remains:
    """What is left a moment after a build ended; ``images_before`` are those that were there when it began."""
    cache = str(workshop.settings.cache_dir)
    deadline = time.monotonic() + 10
    while _processes(cache) and time.monotonic() < deadline:
        time.sleep(0.2)
    loops = subprocess.run(["losetup", "--list", "--output", "BACK-FILE"], capture_output=True, text=True).stdout
    return Remains(
        during,
        processes=_processes(cache),
        mounts=[line for line in Path("/proc/self/mountinfo").read_text().splitlines() if cache in line],
        loop_devices=[line for line in loops.splitlines() if cache in line],
        images=sorted(images(workshop) - images_before),
    )


def kill_while(workshop: Workshop, line: str, after: float) -> Remains:
    """Start a build, wait for a line of its progress and ``after`` seconds more, and kill it."""
    before = images(workshop)
    process = subprocess.Popen(
        workshop.command("build", "--again", RECIPE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=workshop.environment,
        cwd=PROJECT_ROOT,
    )
    try:
        assert process.stderr is not None
        seen = []
        for text in process.stderr:
            seen.append(text)
            if "..." in text and line in text:
                break
        else:
            pytest.fail(f"the build never came to {line!r}:\n{''.join(seen)}")
        time.sleep(after)
        assert process.poll() is None, "the build had ended before it was killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return remains(workshop, line, before)


def kill_after(workshop: Workshop, recipe: Path, seconds: float) -> Remains | None:
    """Start a build and kill it ``seconds`` later; None where it had ended before."""
    before = images(workshop)
    process = subprocess.Popen(
        workshop.command("build", "--again", recipe),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=workshop.environment,
        cwd=PROJECT_ROOT,
    )
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
            return None
    finally:
        process.kill()
        process.wait()
    return remains(workshop, f"{seconds:.1f} s", before)
