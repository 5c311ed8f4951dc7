"""hybrid-boot: what grows the root partition, with systemd-repart in the image and without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from elements_help import ELEMENTS, Image

GROWER = "usr/local/lib/hybrid-boot/grow-root"
UNIT = "etc/systemd/system/hybrid-boot-grow.service"


class Disk(Image):
    """An image without what grows partitions; the host may have it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        hidden = {"systemd-repart", "growpart", "sfdisk"}
        (root / "usr/bin").unlink()
        self._links("usr/bin", hidden)
        for name in hidden:
            (root / "usr/sbin" / name).unlink(missing_ok=True)
        (root / "etc/grub.d").mkdir()
        (root / "usr/local").mkdir()

    def install(self, *, check: bool = True) -> str:
        done = self.phase("hybrid-boot", "post-install.d", check)
        assert check or done.returncode == 1
        return done.stdout


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "disk")


def test_systemd_repart_is_told_of_the_root_alone(disk: Disk) -> None:
    disk.program("systemd-repart")
    disk.unit("systemd-repart.service")
    disk.install()
    assert disk.read("etc/repart.d/50-root.conf") == "[Partition]\nType=root\n"
    assert not (disk.root / UNIT).exists()
    assert (disk.root / "etc/grub.d/enable_cloud").exists()


def test_without_it_a_unit_runs_growpart(disk: Disk) -> None:
    """Debian 11, whose systemd 247 was built without it."""
    disk.program("growpart")
    disk.program("sfdisk")
    disk.install()
    assert disk.enabled("hybrid-boot-grow.service")
    assert not (disk.root / "etc/repart.d").exists()
    unit = disk.read(UNIT)
    # the file system grows after its partition, and growpart writes to a root that is writable
    assert "\nBefore=systemd-growfs@-.service " in unit
    assert "\nAfter=systemd-remount-fs.service\n" in unit


def test_the_program_alone_is_not_enough(disk: Disk) -> None:
    """A systemd-repart without the unit that starts it at boot would grow nothing."""
    disk.program("systemd-repart")
    assert "has neither systemd-repart nor growpart with sfdisk" in disk.install(check=False)


def test_growpart_without_sfdisk_is_refused(disk: Disk) -> None:
    disk.program("growpart")
    assert "its root could not grow" in disk.install(check=False)


@pytest.mark.parametrize(("status", "ends"), [(0, 0), (1, 0), (2, 2)])
def test_growpart_is_asked_for_the_roots_partition(disk: Disk, status: int, ends: int) -> None:
    """1 says that there is nothing to grow."""
    disk.program("sfdisk")
    disk.write("usr/sbin/growpart", f'#!/bin/sh\necho "$TMPDIR $@"\nexit {status}\n', 0o755)
    disk.install()
    disk.write("usr/sbin/findmnt", "#!/bin/sh\necho /dev/null\n", 0o755)
    disk.write("usr/sbin/lsblk", "#!/bin/sh\necho vda\n", 0o755)
    number = disk.write("partition", "1\n")
    script = disk.read(GROWER).replace('"/sys/class/block/$name/partition"', f"/{number.name}")
    disk.write(GROWER, script, 0o755)
    done = disk.chroot(f"/{GROWER}", check=False)
    assert done.returncode == (0 if ends == 0 else 1)
    assert done.stdout == "/run /dev/vda 1\n"


@pytest.mark.fixture_tested("hybrid-boot", "rocky-9")
def test_red_hats_grub_reads_the_boot_entries(disk: Disk) -> None:
    """A tree from a container image has no /etc/default/grub."""
    for name in ("growpart", "sfdisk", "grub2-mkconfig"):
        disk.program(name)
    disk.write("boot/loader/entries/1.conf")
    for _ in range(2):
        disk.install()
        assert disk.read("etc/default/grub").splitlines() == [
            "GRUB_ENABLE_BLSCFG=true",
            "GRUB_DEFAULT=saved",
            "GRUB_DISABLE_SUBMENU=true",
        ]


def test_grubs_settings_that_are_there_stay(disk: Disk) -> None:
    for name in ("growpart", "sfdisk", "grub2-mkconfig"):
        disk.program(name)
    disk.write("etc/default/grub", "GRUB_ENABLE_BLSCFG=false\n")
    disk.install()
    assert disk.read("etc/default/grub") == "GRUB_ENABLE_BLSCFG=false\n"


def test_every_release_maps_to_a_package_that_it_has() -> None:
    mapped = json.loads((ELEMENTS / "hybrid-boot/pkg-map").read_text())
    asked = yaml.safe_load((ELEMENTS / "hybrid-boot/package-installs.yaml").read_text())
    assert "cloud-guest-utils" in mapped["release"]["debian"]["bullseye"]["systemd-repart"]
    assert "grub-cloud-amd64" not in mapped["distro"]["ubuntu"]["grub-cloud-amd64"]
    for level in ("distro", "family", "default"):
        tables = [mapped[level]] if level == "default" else mapped[level].values()
        assert all(set(table) <= set(asked) for table in tables)
