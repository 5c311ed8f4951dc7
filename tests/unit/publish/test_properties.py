from __future__ import annotations

import pytest

from goldsmith.errors import InputError
from goldsmith.publish.properties import DiskFacts, derive

BOTH = DiskFacts("debian", "13", ("bios", "uefi"))
#: what was found in a base image
SERVER = {"os_type": "windows", "os_distro": "windows", "hw_disk_bus": "ide", "hw_firmware_type": "bios"}


def test_the_disk_is_told_in_glances_words() -> None:
    assert derive({"hw_rng_model": "virtio"}, "amd64", BOTH) == {
        "architecture": "x86_64",
        "hw_rng_model": "virtio",
        "os_distro": "debian",
        "os_type": "linux",
        "os_version": "13",
    }


def test_what_was_found_in_a_base_image_is_said_unless_the_recipe_says_otherwise() -> None:
    found = derive({"hw_disk_bus": "virtio"}, "amd64", DiskFacts("", "", ("bios", "uefi"), SERVER))
    assert found == {**SERVER, "architecture": "x86_64", "hw_disk_bus": "virtio"}


def test_an_image_for_one_firmware_says_so() -> None:
    assert derive({}, "amd64", DiskFacts("debian", "13", ("uefi",)))["hw_firmware_type"] == "uefi"


def test_a_choice_between_both_firmwares_is_kept() -> None:
    assert derive({"hw_firmware_type": "uefi"}, "amd64", BOTH)["hw_firmware_type"] == "uefi"


@pytest.mark.parametrize(
    ("planned", "disk", "wrong"),
    [
        ({"os_type": "Windows"}, BOTH, ["os_type"]),
        ({"hw_firmware_type": "bios"}, DiskFacts("debian", "13", ("uefi",)), ["hw_firmware_type"]),
        ({"hw_firmware_type": "coreboot"}, BOTH, ["hw_firmware_type"]),
        ({"os_type": "linux"}, DiskFacts("", "", ("bios",), SERVER), ["os_type"]),
        ({"os_type": "Windows"}, DiskFacts("", "", ("bios",), SERVER), ["os_type"]),
        ({}, DiskFacts("", "", ("uefi",), SERVER), ["firmware"]),
        ({"architecture": "aarch64", "os_distro": "ubuntu"}, BOTH, ["architecture", "os_distro"]),
    ],
)
def test_contradictions_are_refused_all_at_once(planned: dict[str, str], disk: DiskFacts, wrong: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        derive(planned, "amd64", disk)
    assert [problem.path for problem in caught.value.problems] == wrong
