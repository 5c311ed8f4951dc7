"""An element applied offline to Linux disks whose file systems are in places that are not plain."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from early_jobs import Bench
from linux_disks import LinuxDisks
from system_help import HERE, Result

from goldsmith.host.apt_sources import host_mirrors
from goldsmith.host.files import file_digest
from goldsmith.verify import appliance

#: where the element of these tests leaves its mark, by a static file and by a script
FOLDERS = ("/etc", "/boot", "/home", "/var")
#: an SELinux that enforces, and whose rules are not at hand
SELINUX = "SELINUX=enforcing\nSELINUXTYPE=targeted\n"


@dataclass(frozen=True)
class Inside:
    """What an image holds: folder of a file system to the marks on it, by their paths in it."""

    marks: Mapping[str, set[str]]
    unread: list[str]
    #: whether the guest will give its files their labels, and whether the build's own files are left
    relabelled: bool
    littered: bool


@dataclass(frozen=True)
class Odd:
    """A base's sha256 before and after `goldsmith build`, what that said, and the image where there is one."""

    before: str
    after: str
    result: Result
    inside: Inside | None


def bakes(bench: Bench) -> dict[str, Odd]:
    tree = bench.folder / "tree.tar"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    mirror = host_mirrors("debian").url
    hook = f'mkdir "$1/etc/selinux" && printf "{SELINUX}" > "$1/etc/selinux/config"'
    argv = ["mmdebstrap", "--quiet", "--variant=essential", f"--customize-hook={hook}", "trixie", str(tree)]
    environment = {**os.environ, "PATH": path, "TMPDIR": str(bench.folder)}
    subprocess.run([*argv, *([mirror] if mirror else [])], check=True, env=environment, timeout=900)
    disks = LinuxDisks(bench.folder, bench.accelerator, tree).make()
    return {name: _bake(bench, name, disk) for name, disk in disks.items()}


def _bake(bench: Bench, name: str, base: Path) -> Odd:
    before = file_digest(base)
    recipe = bench.folder / f"odd-{name}.yaml"
    document = {
        "name": f"odd-{name}",
        "base": {"image": str(base), "sha256": before},
        "elements": ["marked-places"],
        "disk": {"firmware": ["bios"]},
    }
    recipe.write_text(yaml.safe_dump(document))
    elements = f"{HERE / 'elements'}:{os.environ.get('ELEMENTS_PATH', '')}"
    result = bench.workshop.goldsmith("build", recipe, environment={"ELEMENTS_PATH": elements})
    inside = None
    if result.returncode == 0:
        inside = _inside(Path(result.document["recipes"][0]["image"]), bench)
    return Odd(before, file_digest(base), result, inside)


def _inside(image: Path, bench: Bench) -> Inside:
    with appliance.launched({"image": (image, "qcow2")}, bench.accelerator) as running:
        (system,) = running.systems()
        with running.disk("image") as (handle, _):
            marks = {folder: _marks(handle, device) for folder, device in system.mounts.items()}
        with running.system(system) as (tree, unread):
            return Inside(marks, list(unread), tree.exists("/.autorelabel"), tree.exists("/tmp/in_target.d"))


def _marks(handle: Any, device: str) -> set[str]:
    handle.mount_ro(device, "/")
    found = {path for path in ("/mark", *(f"{folder}/mark" for folder in FOLDERS)) if handle.exists(path)}
    handle.umount_all()
    return found
