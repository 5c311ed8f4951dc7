"""What system tests share beside fixtures."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldsmith.boot.accelerator import Accelerator
from goldsmith.settings import PROJECT_ROOT, Settings, from_environment

HERE = Path(__file__).parent
RECIPE = PROJECT_ROOT / "recipes" / "debian-13.yaml"
#: seconds for a command that builds or boots, under emulation on two cores
LONG = 1800


@dataclass(frozen=True)
class Result:
    """A finished goldsmith command; ``document`` is what --json printed."""

    returncode: int
    document: dict[str, Any]
    stderr: str
    seconds: float


@dataclass(frozen=True)
class Workshop:
    """The environment that all goldsmith commands of the suite run in."""

    environment: dict[str, str]
    settings: Settings

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "goldsmith.cli", *map(str, arguments)]

    def litter(self) -> list[Path]:
        """Scratch folders of builds that are there."""
        return [path for folder in self.settings.scratch_dirs for path in folder.glob("build-*")]

    def goldsmith(self, *arguments: str | Path, environment: dict[str, str] | None = None) -> Result:
        """Run goldsmith with --json."""
        started = time.monotonic()
        done = subprocess.run(
            self.command("--json", *arguments),
            capture_output=True,
            text=True,
            timeout=LONG,
            env={**self.environment, **(environment or {})},
            cwd=PROJECT_ROOT,
        )
        document = json.loads(done.stdout) if done.stdout else {}
        return Result(done.returncode, document, done.stderr, time.monotonic() - started)


def workshop_in(cache: str, images: Path) -> Workshop:
    """A workshop with a cache of its own, by its name below build/; ``images`` is its catalogue."""
    # The cache stays between runs: images are kept by the digest of their inputs, so nothing stale is ever used.
    environment = {
        **os.environ,
        "GOLDSMITH_CACHE": str(PROJECT_ROOT / "build" / cache),
        "GOLDSMITH_IMAGES": str(images),
        "CI": "true",
    }
    return Workshop(environment, from_environment(environment))


def claim_all(result: Result, proves: Callable[[str, str, str], None]) -> None:
    """Claim for each element what `goldsmith run` of one recipe asserted, with each firmware."""
    (recipe,) = result.document["recipes"]
    verdicts = recipe["report"]["verdicts"]
    for element in sorted({verdict["element"] for verdict in verdicts}):
        for firmware in recipe["report"]["firmware"]:
            proves(element, recipe["name"], firmware)


OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")


def boot_plainly(image: Path, firmware: str, accelerator: Accelerator, folder: Path, *, size: str) -> Path:
    """Boot ``image`` in QEMU by hand until ttyS0 asks for a login, power it off, and return its disk as a raw file."""
    disk = folder / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, disk], check=True)
    subprocess.run(["qemu-img", "resize", "-q", "-f", "raw", disk, size], check=True)
    console = folder / "console.log"
    # A short path: a Unix socket's may have 108 bytes.
    monitor = Path(f"/tmp/goldsmith-plain-{firmware}-{id(folder):x}.sock")
    argv = [
        "qemu-system-x86_64", "-accel", accelerator.name, "-m", "1024", "-display", "none",
        "-drive", f"file={disk},format=raw,if=virtio",
        "-serial", f"file:{console}", "-monitor", f"unix:{monitor},server,nowait",
    ]  # fmt: skip
    if firmware == "uefi":
        variables = folder / "vars.fd"
        shutil.copy(OVMF_VARS, variables)
        argv += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}"]
        argv += ["-drive", f"if=pflash,format=raw,file={variables}"]
    process = subprocess.Popen(argv)
    try:
        deadline = time.monotonic() + 600 * accelerator.scale
        while not (console.exists() and b" login: " in console.read_bytes()):
            assert process.poll() is None, "QEMU ended"
            assert time.monotonic() < deadline, console.read_text(errors="replace")[-3000:]
            time.sleep(1)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(monitor))
            # A guest that is still starting ignores the button, so it is pressed until it helps.
            deadline = time.monotonic() + 300 * accelerator.scale
            while process.poll() is None:
                assert time.monotonic() < deadline, console.read_text(errors="replace")[-3000:]
                client.sendall(b"system_powerdown\n")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=10)
    finally:
        process.kill()
        process.wait()
        monitor.unlink(missing_ok=True)
    return disk
