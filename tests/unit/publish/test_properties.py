from __future__ import annotations

import pytest

from goldsmith.errors import InputError
from goldsmith.publish.properties import THE_DISK, THE_RECIPE, DiskFacts, Property, derive

BOTH = DiskFacts("debian", "13", ("bios", "uefi"))
#: what was found in a base image
SERVER = {"os_type": "windows", "os_distro": "windows", "hw_disk_bus": "ide", "hw_firmware_type": "bios"}
ELEMENT = "element some-name"


def derived(planned: dict[str, str], disk: DiskFacts, origin: str = THE_RECIPE) -> dict[str, str]:
    found = derive({name: Property(value, origin) for name, value in planned.items()}, "amd64", disk)
    return {name: each.value for name, each in found.items()}


def test_the_disk_is_told_in_glances_words() -> None:
    assert derived({"hw_rng_model": "virtio"}, BOTH) == {
        "architecture": "x86_64",
        "hw_rng_model": "virtio",
        "os_distro": "debian",
        "os_type": "linux",
        "os_version": "13",
    }


def test_what_was_found_in_a_base_image_is_said_unless_the_recipe_says_otherwise() -> None:
    found = derived({"hw_disk_bus": "virtio"}, DiskFacts("", "", ("bios", "uefi"), SERVER))
    assert found == {**SERVER, "architecture": "x86_64", "hw_disk_bus": "virtio"}


def test_each_knows_who_says_so_and_the_disk_goes_over_elements_and_the_recipe_over_both() -> None:
    planned = {
        "hw_disk_bus": Property("scsi", ELEMENT),
        "hw_vif_model": Property("e1000", ELEMENT),
        "hw_rng_model": Property("virtio", THE_RECIPE),
        "os_type": Property("windows", ELEMENT),
    }
    disk = DiskFacts("", "", ("bios", "uefi"), {**SERVER, "hw_rng_model": "none"})
    assert derive(planned, "amd64", disk) == {
        "architecture": Property("x86_64", THE_DISK),
        "hw_disk_bus": Property("ide", THE_DISK),
        "hw_firmware_type": Property("bios", THE_DISK),
        "hw_rng_model": Property("virtio", THE_RECIPE),
        "hw_vif_model": Property("e1000", ELEMENT),
        "os_distro": Property("windows", THE_DISK),
        "os_type": Property("windows", THE_DISK),
    }


def test_an_image_for_one_firmware_says_so() -> None:
    assert derived({}, DiskFacts("debian", "13", ("uefi",)))["hw_firmware_type"] == "uefi"


def test_a_choice_between_both_firmwares_is_kept() -> None:
    assert derived({"hw_firmware_type": "uefi"}, BOTH)["hw_firmware_type"] == "uefi"


@pytest.mark.parametrize("origin", [THE_RECIPE, ELEMENT])
@pytest.mark.parametrize(
    ("planned", "disk", "wrong"),
    [
        ({"os_type": "Windows"}, BOTH, ["os_type"]),
        ({"os_type": "windows"}, BOTH, ["os_type"]),
        ({"hw_firmware_type": "bios"}, DiskFacts("debian", "13", ("uefi",)), ["hw_firmware_type"]),
        ({"hw_firmware_type": "coreboot"}, BOTH, ["hw_firmware_type"]),
        ({"os_type": "linux"}, DiskFacts("", "", ("bios",), SERVER), ["os_type"]),
        ({"os_type": "Windows"}, DiskFacts("", "", ("bios",), SERVER), ["os_type"]),
        ({}, DiskFacts("", "", ("uefi",), SERVER), ["firmware"]),
        ({"architecture": "aarch64", "os_distro": "ubuntu"}, BOTH, ["architecture", "os_distro"]),
    ],
)
def test_contradictions_are_refused_all_at_once(
    planned: dict[str, str], disk: DiskFacts, wrong: list[str], origin: str
) -> None:
    with pytest.raises(InputError) as caught:
        derived(planned, disk, origin)
    assert [problem.path for problem in caught.value.problems] == wrong


NEEDED = [
    ({"hw_qemu_guest_agent": "yes"}, "qemu-guest-agent"),
    ({"hw_qemu_guest_agent": "True"}, "qemu-guest-agent"),
    ({"hw_disk_bus": "virtio"}, "viostor"),
    ({"hw_vif_model": "virtio"}, "netkvm"),
    ({"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"}, "vioscsi"),
]
WINDOWS = {"os_type": "windows"}


@pytest.mark.parametrize(("planned", "needed"), NEEDED)
def test_what_needs_a_driver_or_an_agent_is_refused_without_it(planned: dict[str, str], needed: str) -> None:
    every = frozenset({"qemu-guest-agent", "viostor", "vioscsi", "netkvm"})
    name = list(planned)[-1]
    with pytest.raises(InputError, match=f"properties: {name}: .* contradicts the disk"):
        derived(planned, DiskFacts("", "", ("bios",), WINDOWS, frozenset({needed})))
    # With it, all the others may be missing.
    assert derived(planned, DiskFacts("", "", ("bios",), WINDOWS, every - {needed}))[name] == planned[name]


def test_what_is_not_asked_for_may_be_missing() -> None:
    lacks = frozenset({"qemu-guest-agent", "viostor", "vioscsi", "netkvm"})
    asked = {"hw_qemu_guest_agent": "no", "hw_disk_bus": "sata", "hw_vif_model": "e1000"}
    assert derived(asked, DiskFacts("", "", ("bios",), WINDOWS, lacks)).items() >= asked.items()


def test_an_element_that_needs_what_is_missing_is_named_with_the_other_problems() -> None:
    disk = DiskFacts("", "", ("bios", "uefi"), SERVER, frozenset({"netkvm"}))
    with pytest.raises(InputError) as caught:
        derived({"hw_vif_model": "virtio", "os_distro": "debian"}, disk, ELEMENT)
    assert [problem.path for problem in caught.value.problems] == ["os_distro", "hw_vif_model"]
    assert all(ELEMENT in problem.message for problem in caught.value.problems)
