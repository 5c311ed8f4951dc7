"""goldsmith on disks that look like Windows: what it said, and what was in the disks before and after."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from early_jobs import Bench
from system_help import Result
from windows_disks import CLOUDBASE, CONFIG, WindowsDisks

from goldsmith.boot import guestfs
from goldsmith.host.files import file_digest
from windows_samples import dword, real

#: of the real hive it is 1 already
POLICY = ("ControlSet001", "services", "partmgr", "Parameters")
CONF = b"[DEFAULT]\r\nusername=Admin\r\nreal_time_clock_utc=false\r\n"
ALL: tuple[Any, ...] = (
    {"windows-clock": {"hosts": "utc"}},
    "windows-disks-online",
    {"windows-drive-letters": {"free": ["D", "E"]}},
)
LOGS = ("LOG1", "LOG2")


@dataclass(frozen=True)
class Bake:
    """A command on a base image, and the base's sha256 before and after it; ``left`` are folders of dead builds."""

    base: Path
    before: str
    result: Result
    after: str
    left: tuple[str, ...]

    @property
    def image(self) -> Path:
        assert self.result.returncode == 0, self.result.stderr
        return Path(self.result.document["recipes"][0]["image"])


@dataclass(frozen=True)
class Server:
    """``goldsmith run`` with all elements; ``hives`` are SYSTEM before and after, ``conf`` cloudbase-init's after.

    ``control`` is the verification of the base, which nobody touched, by the same checks.
    """

    bake: Bake
    hives: tuple[bytes, bytes]
    conf: bytes
    control: Result


@dataclass(frozen=True)
class Dirty:
    """A hive that its computer did not close: without and with --recover-registry; ``files`` of the latter's image."""

    refused: Bake
    recovered: Bake
    files: dict[str, bytes]


def recipe_for(folder: Path, name: str, base: Path, elements: tuple[Any, ...] = ALL, **more: Any) -> Path:
    document = {
        "name": name,
        "base": {"image": str(base), "sha256": file_digest(base)},
        "elements": list(elements),
        "disk": {"firmware": ["bios"]},
        **more,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def server(bench: Bench) -> Server:
    base = WindowsDisks(bench.folder).mbr("server", {CLOUDBASE: CONF}, edits={POLICY: {"SanPolicy": dword(2)}})
    recipe = recipe_for(bench.folder, "windows-server", base)
    bake = _bake(bench, base, "run", recipe)
    (before,) = _read(bench, base, "raw", f"{CONFIG}/SYSTEM")
    after, conf = _read(bench, bake.image, "qcow2", f"{CONFIG}/SYSTEM", CLOUDBASE)
    untouched = bench.folder / "untouched.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", base, untouched], check=True)
    control = bench.workshop.goldsmith("verify", untouched, "--recipe", recipe, "--again")
    return Server(bake, (before, after), conf, control)


def dirty(bench: Bench) -> Dirty:
    """What is in force lies in the hive's logs."""
    logs = {f"{CONFIG}/SYSTEM.{log}": real(f"SYSTEM_B.{log}") for log in LOGS}
    base = WindowsDisks(bench.folder).mbr("dirty", logs, hive=real("SYSTEM_B"))
    refused = _bake(bench, base, "build", recipe_for(bench.folder, "windows-dirty", base, ("windows-clock",)))
    recipe = recipe_for(bench.folder, "windows-recovered", base, ("windows-clock",))
    recovered = _bake(bench, base, "build", "--recover-registry", recipe)
    names = ("SYSTEM", *(f"SYSTEM.{log}" for log in LOGS))
    files = _read(bench, recovered.image, "qcow2", *(f"{CONFIG}/{name}" for name in names))
    return Dirty(refused, recovered, dict(zip(names, files, strict=True)))


def hibernated(bench: Bench) -> Bake:
    base = WindowsDisks(bench.folder).gpt("hibernated")
    return _bake(bench, base, "build", recipe_for(bench.folder, "windows-hibernated", base, ("windows-clock",)))


def _bake(bench: Bench, base: Path, *words: str | Path) -> Bake:
    before = file_digest(base)
    result = bench.workshop.goldsmith(*words)
    left = tuple(str(path) for path in bench.workshop.litter())
    return Bake(base, before, result, file_digest(base), left)


def _read(bench: Bench, image: Path, image_format: str, *paths: str) -> list[bytes]:
    """Files of C:, in one launch."""
    target = bench.folder / "download"
    found = []
    with guestfs.launched([(image, image_format)], bench.accelerator, readonly=True) as (handle, (device,)):
        handle.mount_ro(f"{device}1", "/")
        for path in paths:
            handle.download(handle.case_sensitive_path(f"/{path}"), str(target))
            found.append(target.read_bytes())
    return found
