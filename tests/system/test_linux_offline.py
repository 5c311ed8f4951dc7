"""An image that was built elsewhere, given the Linux elements offline, passes the boot checks of the one DIB built."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from foreign_images import ForeignImages
from system_help import Result
from tree_differences import differences

from goldsmith.host.files import file_digest
from goldsmith.settings import PROJECT_ROOT
from goldsmith.verify import appliance

pytestmark = [pytest.mark.system, pytest.mark.matrix]

#: of a Debian for clouds, as somebody else would choose them
PACKAGES = (
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "zstd",
    "systemd-sysv",
    "systemd-resolved",
    "libpam-systemd",
    "dbus",
    "udev",
    "iproute2",
    "iputils-ping",
    "netbase",
    "openssh-server",
    "sudo",
    "cloud-init",
    "cloud-guest-utils",
    "grub2-common",
    "grub-pc-bin",
)
#: the elements of the golden recipe that make no image bootable
ELEMENTS: tuple[Any, ...] = (
    {"networkd": {"addresses": [{"interface": "ens4", "address": "10.30.0.200/24"}]}},
    "single-default-route",
    "text-console",
    "metadata-frugal",
    "generalize",
)
NAMES = ("networkd", "single-default-route", "text-console", "metadata-frugal")


@dataclass(frozen=True)
class Offline:
    """``base`` and its digest before, and what `goldsmith run` made of it."""

    base: Path
    before: str
    recipe: Path
    result: Result

    @property
    def image(self) -> Path:
        return Path(self.result.document["recipes"][0]["image"])


@pytest.fixture(scope="module")
def offline(workshop, whole_host: threading.Lock, tmp_path_factory: pytest.TempPathFactory) -> Offline:
    folder = tmp_path_factory.mktemp("linux-offline")
    base = ForeignImages(folder, release="trixie", packages=()).make("elsewhere", PACKAGES)
    before = file_digest(base)
    recipe = folder / "offline-debian-13.yaml"
    document = {
        "name": "offline-debian-13",
        "base": {"image": str(base), "sha256": before},
        "elements": list(ELEMENTS),
        "disk": {"firmware": ["bios"]},
    }
    recipe.write_text(yaml.safe_dump(document))
    with whole_host:
        result = workshop.goldsmith("run", recipe)
    assert result.returncode == 0, result.stderr
    return Offline(base, before, recipe, result)


def test_it_passes_the_boot_checks_of_the_image_that_dib_built(offline: Offline, golden: Result) -> None:
    def passed(result: Result) -> set[tuple[str, str, str]]:
        (recipe,) = result.document["recipes"]
        return {
            (verdict["layer"], verdict["element"], verdict["check"])
            for verdict in recipe["report"]["verdicts"]
            if verdict["status"] == "pass" and verdict["element"] in NAMES
        }

    assert passed(golden) <= passed(offline.result)
    layers = {layer for layer, _, _ in passed(offline.result)}
    assert layers >= {"live", "screen", "network", "offline", "shutdown"}


def test_the_base_is_as_it_was(offline: Offline) -> None:
    assert file_digest(offline.base) == offline.before


def test_the_checks_fail_on_the_base(workshop, whole_host: threading.Lock, offline: Offline) -> None:
    """The control: the same image without the elements."""
    with whole_host:
        result = workshop.goldsmith("verify", offline.base, "--recipe", offline.recipe, "--again")
    assert result.returncode == 1, result.stderr
    failed = {verdict["element"] for verdict in result.document["verdicts"] if verdict["status"] == "fail"}
    assert failed >= {"networkd", "single-default-route", "text-console", "metadata-frugal"}


def test_what_the_elements_own_is_the_same_in_both(offline: Offline, golden_image: Path, accelerator) -> None:
    """A diff of the two: what lies below the folders of the elements differs by nothing."""
    disks = {"dib": (golden_image, "qcow2"), "offline": (offline.image, "qcow2")}
    with appliance.launched(disks, accelerator) as running:
        found = differences(running, "dib", "offline", PROJECT_ROOT / "elements")
    assert found.unexplained == []
    assert found.compared >= 10
