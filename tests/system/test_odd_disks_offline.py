"""Elements applied offline to Linux disks whose file systems are in places that are not plain."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from linux_disks import LinuxDisks
from system_help import HERE, Result

from goldsmith.host.apt_sources import host_mirrors
from goldsmith.host.files import file_digest
from goldsmith.verify import appliance

pytestmark = pytest.mark.system

#: where the element of these tests leaves its mark, by a static file and by a script
FOLDERS = ("/etc", "/boot", "/home", "/var")
#: an SELinux that enforces, and whose rules are not at hand
SELINUX = "SELINUX=enforcing\nSELINUXTYPE=targeted\n"


@dataclass(frozen=True)
class Baked:
    """A base, its digest before, and what `goldsmith build` said and made."""

    base: Path
    before: str
    result: Result

    @property
    def image(self) -> Path:
        assert self.result.returncode == 0, self.result.stderr
        return Path(self.result.document["recipes"][0]["image"])


@pytest.fixture(scope="module")
def baked(workshop, accelerator, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Baked]:
    folder = tmp_path_factory.mktemp("odd-disks")
    tree = folder / "tree.tar"
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "TMPDIR": str(folder)}
    mirror = host_mirrors("debian").url
    hook = f'mkdir "$1/etc/selinux" && printf "{SELINUX}" > "$1/etc/selinux/config"'
    argv = ["mmdebstrap", "--quiet", "--variant=essential", f"--customize-hook={hook}", "trixie", str(tree)]
    subprocess.run([*argv, *([mirror] if mirror else [])], check=True, env=environment, timeout=900)
    elements = f"{HERE / 'elements'}:{os.environ.get('ELEMENTS_PATH', '')}"

    def bake(name: str, base: Path) -> Baked:
        before = file_digest(base)
        recipe = folder / f"odd-{name}.yaml"
        document = {
            "name": f"odd-{name}",
            "base": {"image": str(base), "sha256": before},
            "elements": ["marked-places"],
            "disk": {"firmware": ["bios"]},
        }
        recipe.write_text(yaml.safe_dump(document))
        return Baked(base, before, workshop.goldsmith("build", recipe, environment={"ELEMENTS_PATH": elements}))

    disks = LinuxDisks(folder, accelerator, tree).make()
    return {name: bake(name, disk) for name, disk in disks.items()}


@pytest.mark.parametrize("name", ["lvm", "btrfs", "boot"])
def test_what_an_element_writes_lies_on_the_file_system_of_its_folder(baked, accelerator, name: str) -> None:
    done = baked[name]
    with appliance.launched({"image": (done.image, "qcow2")}, accelerator) as running:
        (system,) = running.systems()
        with running.disk("image") as (handle, _):
            found = {folder: _marks(handle, device) for folder, device in system.mounts.items()}
        with running.system(system) as (tree, unread):
            assert unread == []
            # The guest gives all files their labels when it starts: here nobody knows them.
            assert tree.exists("/.autorelabel")
            assert not tree.exists("/tmp/in_target.d")
    own = {folder: {"/mark"} for folder in system.mounts if folder != "/"}
    assert len(own) == {"lvm": 1, "btrfs": 1, "boot": 2}[name]
    assert found == {**own, "/": {f"{folder}/mark" for folder in FOLDERS if folder not in own}}
    assert file_digest(done.base) == done.before


def _marks(handle: Any, device: str) -> set[str]:
    """Marks on a file system, by their paths in it."""
    handle.mount_ro(device, "/")
    found = {path for path in ("/mark", *(f"{folder}/mark" for folder in FOLDERS)) if handle.exists(path)}
    handle.umount_all()
    return found


def test_programs_of_another_processor_are_not_run(baked) -> None:
    done = baked["foreign"]
    assert done.result.returncode == 2, done.result.stderr
    assert "is for aarch64; its programs do not run in the appliance" in done.result.stderr
    assert file_digest(done.base) == done.before
