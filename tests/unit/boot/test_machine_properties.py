"""Properties of images, good and bad, and what they make of a machine."""

from __future__ import annotations

import pytest

from goldsmith.boot import properties as module
from goldsmith.boot.hardware import Firmware, Shape
from goldsmith.boot.properties import Host, firmware_from, not_applied, shape_from, shape_here, this_host
from goldsmith.errors import InputError

DEVICES = frozenset(
    {
        "virtio-net-pci",
        "e1000",
        "e1000e",
        "rtl8139",
        "lsi53c895a",
        "virtio-scsi-pci",
        "mptsas1068",
        "megasas",
        "pvscsi",
        "VGA",
        "cirrus-vga",
        "qxl-vga",
        "virtio-vga",
        "bochs-display",
        "tpm-tis",
        "tpm-crb",
        "qemu-xhci",
        "nec-usb-xhci",
        "piix3-usb-uhci",
    }
)
HOST = Host(DEVICES, frozenset({"pc", "q35", "pc-q35-7.2"}), secure_boot=True)


def problems(properties: dict[str, str], firmware: Firmware = "bios", host: Host | None = None) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        shape_from(properties, firmware, host)
    return {problem.path: f"{problem.message}, {problem.suggestion}" for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("properties", "shape"),
    [
        ({}, Shape()),
        ({"os_distro": "debian", "owner": "us", "hw_cpu_cores": "2"}, Shape()),
        ({"architecture": "x86_64", "os_type": "linux", "hw_rng_model": "virtio"}, Shape()),
        ({"hw_disk_bus": "scsi"}, Shape(disk_bus="scsi", scsi_model="lsilogic")),
        ({"hw_disk_bus": "scsi", "hw_scsi_model": "paravirtual"}, Shape(disk_bus="scsi", scsi_model="vmpvscsi")),
        ({"hw_cdrom_bus": "scsi", "hw_scsi_model": "VIRTIO-SCSI"}, Shape(cdrom_bus="scsi", scsi_model="virtio-scsi")),
        ({"hw_vif_model": "VirtualE1000"}, Shape(nic="e1000")),
        ({"hw_machine_type": "pc-q35-7.2", "hw_disk_bus": "sata"}, Shape("pc-q35-7.2", disk_bus="sata")),
        ({"hw_tpm_version": "2.0", "hw_tpm_model": "tpm-crb"}, Shape(tpm_version="2.0", tpm_model="tpm-crb")),
        ({"os_type": "windows", "hw_qemu_guest_agent": "yes"}, Shape(windows=True, guest_agent=True)),
        ({"hw_qemu_guest_agent": "no", "hw_boot_menu": "false"}, Shape()),
        ({"hw_serial_port_count": "1"}, Shape()),
        ({"hw_serial_port_count": "3"}, Shape(serial_ports=3)),
        ({"hw_pointer_model": "usbtablet"}, Shape(input_bus="usb", pointer_only=True)),
        ({"hw_pointer_model": "usbtablet", "hw_input_bus": "virtio"}, Shape(input_bus="virtio")),
        # Nova takes the policy where it can, and goes without where it cannot.
        ({"os_secure_boot": "optional"}, Shape()),
        ({"os_secure_boot": "disabled", "hw_machine_type": "q35"}, Shape("q35")),
    ],
)
def test_good_properties(properties: dict[str, str], shape: Shape) -> None:
    assert shape_from(properties) == shape


def test_secure_boot_as_far_as_the_host_has_it() -> None:
    q35 = {"hw_machine_type": "q35", "hw_firmware_type": "uefi"}
    for policy, host, secure in (
        ("required", HOST, True),
        ("optional", HOST, True),
        ("optional", Host(DEVICES, HOST.machines, secure_boot=False), False),
        ("disabled", HOST, False),
    ):
        assert shape_from({**q35, "os_secure_boot": policy}, "uefi", host).secure_boot is secure


@pytest.mark.parametrize(
    ("properties", "name", "said"),
    [
        ({"hw_disk_bus": "virtoi"}, "hw_disk_bus", "did you mean `virtio`"),
        ({"hw_disk_bus": "lxc"}, "hw_disk_bus", "cannot be had from QEMU on x86: it is one of `virtio`, `scsi`"),
        ({"hw_disk_bus": ""}, "hw_disk_bus", "'' is not one of"),
        ({"hw_vif_model": "e100"}, "hw_vif_model", "did you mean `e1000`"),
        ({"hw_vif_model": "lan9118"}, "hw_vif_model", "cannot be had"),
        ({"hw_video_model": "gop"}, "hw_video_model", "cannot be had"),
        ({"hw_machine_type": "Q35"}, "hw_machine_type", "did you mean `q35`"),
        ({"hw_machine_type": "microvm"}, "hw_machine_type", "none of the machines"),
        ({"hw_machine_type": "pc,smm=on"}, "hw_machine_type", "none of the machines"),
        ({"hw_machine_type": "pc-q35-9,x"}, "hw_machine_type", "none of the machines"),
        ({"hw_firmware_type": "efi"}, "hw_firmware_type", "did you mean `uefi`"),
        ({"os_type": "Windows"}, "os_type", "did you mean `windows`"),
        ({"hw_rng_model": "egd"}, "hw_rng_model", "not one of `virtio`"),
        ({"hw_tpm_version": "2"}, "hw_tpm_version", "not one of `1.2`, `2.0`"),
        ({"hw_boot_menu": "maybe"}, "hw_boot_menu", "not one of `yes`"),
        ({"hw_serial_port_count": "4"}, "hw_serial_port_count", "not one of `1`, `2`, `3`"),
        ({"architecture": "aarch64"}, "architecture", "cannot be had"),
        ({"hw_disk_bsu": "scsi"}, "hw_disk_bsu", "did you mean `hw_disk_bus`"),
        ({"os_secureboot": "required"}, "os_secureboot", "did you mean `os_secure_boot`"),
        # What contradicts itself.
        ({"hw_scsi_model": "virtio-scsi"}, "hw_scsi_model", "set hw_disk_bus to `scsi`"),
        ({"hw_machine_type": "q35", "hw_disk_bus": "ide"}, "hw_disk_bus", "use `sata`"),
        ({"hw_machine_type": "q35", "hw_cdrom_bus": "ide"}, "hw_cdrom_bus", "use `sata`"),
        ({"hw_tpm_model": "tpm-tis"}, "hw_tpm_model", "without hw_tpm_version"),
        ({"hw_tpm_model": "tpm-crb", "hw_tpm_version": "1.2"}, "hw_tpm_model", "2.0 only"),
        ({"hw_firmware_type": "uefi"}, "hw_firmware_type", "to boot with 'bios'"),
    ],
)
def test_bad_properties(properties: dict[str, str], name: str, said: str) -> None:
    found = problems(properties)
    assert list(found) == [name]
    assert said in found[name]


def test_all_is_said_at_once() -> None:
    wrong = {
        "os_secure_boot": "required",
        "hw_scsi_model": "lsilogic",
        "hw_vif_model": "e1000x",
        "hw_disk_buss": "ide",
        "hw_tpm_model": "tpm-crb",
    }
    with pytest.raises(InputError, match="6 problems") as caught:
        shape_from(wrong)
    said = str(caught.value)
    assert "needs UEFI, set hw_firmware_type to `uefi`" in said
    assert "needs q35, and the machine is 'pc', set hw_machine_type to `q35`" in said
    # A value that is wrong itself is not held against the others.
    assert list(problems({"hw_disk_bus": "scis", "hw_scsi_model": "lsilogic", "hw_vif_model": "e1000"})) == [
        "hw_disk_bus"
    ]


def test_what_the_hosts_qemu_does_not_have() -> None:
    asked = {"hw_vif_model": "igb", "hw_machine_type": "pc-q35-7.3", "hw_video_model": "vmvga"}
    assert shape_from(asked).nic == "igb"
    found = problems(asked, host=HOST)
    assert "has no device igb" in found["hw_vif_model"]
    assert "did you mean `pc-q35-7.2`" in found["hw_machine_type"]
    assert "vmware-svga" in found["hw_video_model"]
    without_lsi = Host(DEVICES - {"lsi53c895a"}, HOST.machines, secure_boot=True)
    assert "set hw_scsi_model to `virtio-scsi`" in problems({"hw_disk_bus": "scsi"}, host=without_lsi)["hw_disk_bus"]
    assert shape_from({"hw_disk_bus": "scsi"}, host=HOST).disk_bus == "scsi"


def test_the_host_is_asked_only_where_it_matters() -> None:
    def unasked() -> Host:
        raise AssertionError("asked")

    properties = {"architecture": "x86_64", "os_type": "linux", "os_distro": "debian", "hw_firmware_type": "uefi"}
    assert shape_here(properties, "uefi", unasked) == Shape()
    with pytest.raises(AssertionError, match="asked"):
        shape_here({**properties, "hw_vif_model": "e1000"}, "uefi", unasked)


def test_this_hosts_qemu_is_read() -> None:
    host = this_host()
    assert {"virtio-net-pci", "VGA", "lsi53c895a"} <= host.devices
    assert {"pc", "q35"} <= host.machines
    assert "Supported" not in host.machines


def test_firmware_and_what_is_left_out() -> None:
    assert firmware_from({}) is None
    assert firmware_from({"hw_firmware_type": "uefi"}) == "uefi"
    assert firmware_from({"hw_firmware_type": "coreboot"}) is None
    given = {"hw_watchdog_action": "reset", "hw_numa_mem.0": "512", "hw_vif_model": "virtio", "os_distro": "debian"}
    assert not_applied(given) == ["hw_numa_mem.0", "hw_watchdog_action"]
    assert shape_from(given) == Shape()


def test_every_nic_and_adapter_has_its_device() -> None:
    for name, (values, _) in module._VALUES.items():
        for value in values:
            extra = {"hw_disk_bus": "scsi"} if name == "hw_scsi_model" else {}
            extra = {"hw_tpm_version": "2.0"} if name == "hw_tpm_model" else extra
            if (name, value) not in (("hw_firmware_type", "uefi"), ("os_secure_boot", "required")):
                assert isinstance(shape_from({**extra, name: value}), Shape)
