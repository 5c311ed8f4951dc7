"""What Nova reads of an image, and what it would take amiss."""

from __future__ import annotations

import pytest

from goldsmith.recipe.nova_vocabulary import fault, known


def test_all_that_nova_reads_is_known() -> None:
    names = [name for name in known() if name.startswith(("hw_", "os_", "img_", "traits_"))]
    # ImageMetaProps 1.43 has 86 fields; os_shutdown_timeout is read past it.
    assert len(names) == 87
    assert known()["hw_disk_bus"].values == ("fdc", "ide", "lxc", "sata", "scsi", "uml", "usb", "virtio", "xen")
    assert (known()["hw_tpm_version"].since, known()["hw_sound_model"].since) == (22, 32)
    assert known()["architecture"] == known()["hw_architecture"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("hw_disk_bus", "virtoi", "did you mean `virtio`"),
        ("hw_disk_bus", "Virtio", "as it stands"),
        ("os_type", "Windows", "the clock of a Linux"),
        ("hw_disk_bsu", "scsi", "did you mean `hw_disk_bus`"),
        ("hw_flux_capacitor", "1", "no property that Nova knows"),
        ("os_secureboot", "required", "did you mean `os_secure_boot`"),
        ("img_config_driv", "mandatory", "did you mean `img_config_drive`"),
        ("hw_disk_bus.0", "virtio", "has no parts"),
        ("hw_qemu_guest_agent", "ja", "Nova takes it for no"),
        ("hw_cpu_cores", "two", "whole number"),
        ("os_shutdown_timeout", "1m", "whole number"),
        ("img_signature_certificate_uuid", "mine", "UUID"),
        ("hw_numa_cpus", "0-3", "write `hw_numa_cpus.0`"),
        ("hw_numa_cpus.0", "0-", "list of CPUs"),
        ("hw_numa_mem.1", "1G", "MiB"),
        ("trait:HW_CPU_X86_AVX2", "forbidden", "from flavors alone"),
        ("trait:HW_CPU_X86_AVX2", "yes", "ignores it"),
        ("traits:HW_CPU_X86_AVX2", "required", "write `trait:HW_CPU_X86_AVX2`"),
        ("block_device_mapping", "[]", "snapshot or a volume"),
        ("os_glance_import_task", "x", "Glance's own"),
        ("architecture", "amd46", "not one of"),
    ],
)
def test_what_nova_would_take_amiss_is_refused(name: str, value: str, words: str) -> None:
    wrong = fault(name, value)
    assert wrong
    assert words in " ".join(filter(None, wrong))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hw_disk_bus", "virtio"),
        ("hw_vif_model", "VirtualE1000"),
        ("os_type", "windows"),
        ("architecture", "amd64"),
        ("hw_numa_cpus.0", "0-3,^2"),
        ("hw_numa_mem.1", "1024"),
        ("trait:HW_CPU_X86_AVX2", "required"),
        ("hw_qemu_guest_agent", "True"),
        ("os_shutdown_timeout", "120"),
        ("os_name", "free"),
        ("department", "physics"),
        ("goldsmith_recipe", "ab"),
        ("vmware_ostype", "otherGuest"),
    ],
)
def test_what_is_right_or_the_owners_own_passes(name: str, value: str) -> None:
    assert fault(name, value) is None
