"""QEMU's command line: as it always was where no property asks for more, and one that QEMU takes where one does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from goldsmith.boot import arguments
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.arguments import command, smbios_credentials
from goldsmith.boot.hardware import Hardware, Port, Shape
from goldsmith.boot.launcher import LocalLauncher
from goldsmith.boot.machine import Machine
from goldsmith.boot.properties import shape_from
from goldsmith.errors import HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.settings import Settings

#: written by the code before there were shapes
BEFORE = json.loads((Path(__file__).parent / "qemu_arguments.json").read_text())
DISK = Path("/d/image.qcow2")
FIRST, SECOND = Port("fa:16:3e:00:00:01", "tap0"), Port("fa:16:3e:00:01:01", None)
CASES = {
    "bare": (Hardware(None, credentials={}, cpus=2), "tcg"),
    "bios": (Hardware(DISK, credentials={}, ports=[FIRST, SECOND], cpus=2), "tcg"),
    "uefi": (
        Hardware(
            DISK,
            firmware="uefi",
            credentials={"a": b"1,2"},
            seed=Path("/d/se,ed.iso"),
            memory=2048,
            cpus=1,
            ports=[FIRST],
        ),
        "kvm",
    ),
    "rom": (
        Hardware(
            DISK,
            disk_format="raw",
            firmware="uefi",
            rom=Path("/d/x.rom"),
            credentials={},
            uuid="6a1d0bb2-95f8-4b6c-8c1e-7d1f37f1b7c0",
        ),
        "kvm",
    ),
}


def accelerated(name: str) -> Accelerator:
    return Accelerator("kvm" if name == "kvm" else "tcg", "a test", {}, 1.0)


def words(hardware: Hardware, accelerator: str = "tcg") -> str:
    return " ".join(command(hardware, accelerated(accelerator)))


@pytest.mark.parametrize("case", CASES)
def test_nothing_set_is_the_machine_there_always_was(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "find_ovmf", lambda: (Path("/f/CODE,4M.fd"), Path("/f/VARS.fd")))
    hardware, accelerator = CASES[case]
    assert hardware.shape == shape_from({})
    assert command(hardware, accelerated(accelerator)) == BEFORE[case]


def test_every_property_changes_the_machine_and_only_its_part() -> None:
    plain = command(Hardware(DISK, seed=Path("/d/seed.iso"), ports=[FIRST]), accelerated("tcg"))
    for properties, part in (
        ({"hw_disk_bus": "scsi"}, "scsi-hd,drive=disk,bus=scsi.0,scsi-id=0,bootindex=1"),
        ({"hw_disk_bus": "ide"}, "ide-hd,drive=disk,bus=ide.0,unit=0,bootindex=1"),
        ({"hw_disk_bus": "sata"}, "ide-hd,drive=disk,bus=sata.0,bootindex=1"),
        ({"hw_disk_bus": "usb"}, "usb-storage,drive=disk,bus=usb.0,bootindex=1"),
        ({"hw_cdrom_bus": "sata"}, "ide-cd,drive=seed,bus=sata.1"),
        ({"hw_vif_model": "e1000"}, "e1000,netdev=net0,mac=fa:16:3e:00:00:01,romfile=,addr=0x3"),
        ({"hw_machine_type": "pc-i440fx-7.2"}, "pc-i440fx-7.2,accel=tcg"),
        ({"hw_video_model": "cirrus"}, "cirrus"),
        ({"hw_video_model": "none"}, "none"),
        ({"hw_tpm_version": "2.0"}, "tpm-tis,tpmdev=tpm0"),
        ({"hw_tpm_version": "2.0", "hw_tpm_model": "tpm-crb"}, "tpm-crb,tpmdev=tpm0"),
        ({"hw_input_bus": "virtio"}, "virtio-keyboard-pci,addr=0x19"),
        ({"hw_usb_model": "qemu-xhci"}, "qemu-xhci,id=usb,addr=0x1b"),
        ({"hw_boot_menu": "True"}, "menu=on"),
        ({"hw_serial_port_count": "3"}, "isa-serial,chardev=serial2,index=2"),
        ({"hw_qemu_guest_agent": "yes"}, "virtserialport,bus=serial.0,chardev=agent,name=org.qemu.guest_agent.0"),
        ({"os_type": "windows"}, "base=localtime"),
    ):
        changed = command(
            Hardware(DISK, seed=Path("/d/seed.iso"), ports=[FIRST], shape=shape_from(properties)), accelerated("tcg")
        )
        assert part in changed, properties
        assert part not in plain or part == "none"
        assert len([word for word in plain if word not in changed]) <= 2, properties


def test_a_clock_is_utc_where_the_guest_is_not_windows() -> None:
    assert "-rtc" not in words(Hardware(DISK, shape=shape_from({"os_type": "linux"})))
    assert "hv-" not in words(Hardware(DISK, shape=shape_from({"os_type": "linux"})))
    windows = Hardware(DISK, shape=shape_from({"os_type": "windows"}))
    assert "-rtc base=localtime" in words(windows)
    assert "-cpu max,hv-relaxed,hv-vapic,hv-spinlocks=0x1fff,hv-vpindex" in words(windows, "kvm")
    # Emulation has none: QEMU would end.
    assert "-cpu max,-erms,-la57 -smp" in words(windows, "tcg")
    assert "-cpu max,-erms,-la57,-cx16 -smp" in words(Hardware(DISK, cx16=False), "tcg")
    assert "-cpu max -smp" in words(Hardware(DISK, cx16=False), "kvm")


def test_an_emulated_guest_has_one_processor_unless_it_is_said() -> None:
    assert [words(Hardware(DISK), name).partition("-smp ")[2].split()[0] for name in ("tcg", "kvm")] == ["1", "2"]
    assert "-smp 4 " in words(Hardware(DISK, cpus=4), "tcg")


def test_a_pointer_alone_brings_no_keyboard() -> None:
    pointer = words(Hardware(None, shape=shape_from({"hw_pointer_model": "usbtablet"})))
    assert "piix3-usb-uhci" in pointer
    assert "usb-tablet" in pointer
    assert "usb-kbd" not in pointer
    assert "usb-kbd" in words(Hardware(None, shape=shape_from({"hw_input_bus": "usb"})))


def test_secure_boot_is_q35_with_smm_and_guarded_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "find_secure_ovmf", lambda: (Path("/f/CODE.ms.fd"), Path("/f/VARS.ms.fd")))
    shape = shape_from({"os_secure_boot": "required", "hw_machine_type": "q35"}, "uefi")
    found = words(Hardware(DISK, firmware="uefi", shape=shape))
    assert "-machine q35,smm=on" in found
    assert "-global driver=cfi.pflash01,property=secure,value=on" in found
    assert "readonly=on,file=/f/CODE.ms.fd" in found
    plain = words(Hardware(DISK, firmware="uefi", shape=shape_from({"hw_machine_type": "q35"}, "uefi")))
    assert "smm" not in plain
    assert "secure" not in plain


def test_smbios_strings_survive_qemus_option_parser() -> None:
    assert smbios_credentials({"a,b": b"\x00\n"}) == [
        "-smbios",
        "type=11,value=io.systemd.credential.binary:a,,b=AAo=",
    ]


@pytest.mark.parametrize(
    "shape",
    [
        Shape("q35"),
        Shape("q35", nic="e1000", disk_bus="sata", video="qxl", windows=True, boot_menu=True),
        Shape("q35", nic="e1000e", disk_bus="scsi", scsi_model="virtio-scsi", cdrom_bus="scsi", video="virtio"),
        Shape("q35", disk_bus="scsi", scsi_model="lsisas1078", video="bochs", input_bus="usb", guest_agent=True),
        Shape("q35", disk_bus="usb", cdrom_bus="usb", video="none", usb_model="nec-xhci"),
        Shape("pc", nic="rtl8139", disk_bus="scsi", scsi_model="lsilogic", video="cirrus", serial_ports=3),
        Shape("pc", nic="pcnet", disk_bus="scsi", scsi_model="lsisas1068", cdrom_bus="sata", input_bus="virtio"),
        Shape("pc", nic="ne2k_pci", disk_bus="scsi", scsi_model="vmpvscsi", video="vmvga", usb_model="qemu-xhci"),
        Shape("pc", nic="vmxnet3", disk_bus="ide", video="bochs", guest_agent=True, windows=True),
        Shape("pc", disk_bus="usb", cdrom_bus="ide", video="none"),
        Shape("pc", disk_bus="sata", cdrom_bus="sata"),
    ],
)
def test_qemu_takes_it_and_a_nic_more(shape: Shape, settings: Settings, boot_disk: Path, tmp_path: Path) -> None:
    seed = tmp_path / "seed.iso"
    seed.write_bytes(bytes(2048))
    ports = [Port("fa:16:3e:00:00:01", None), Port("fa:16:3e:00:01:01", None)]
    hardware = Hardware(boot_disk, "raw", seed=seed, memory=64, cpus=1, ports=ports, shape=shape, vnc=True)
    with Machine(settings, hardware, tmp_path / "run", accelerated("tcg"), LocalLauncher()) as machine:
        blocks = {block["device"]: block for block in machine.monitor.execute("query-block")}
        assert blocks["disk"]["inserted"]["file"] == "overlay.qcow2"
        assert blocks["seed"]["inserted"]["ro"]
        assert machine.monitor.execute("query-vnc")["enabled"]
        machine.plug(Port("fa:16:3e:00:02:01", None))
        assert machine.monitor.human("info network").count("fa:16:3e") == 3
        assert machine.monitor.human("info qtree").count("mac = ") == 3


def test_qemu_refuses_what_it_does_not_have(settings: Settings, boot_disk: Path, tmp_path: Path) -> None:
    hardware = Hardware(boot_disk, "raw", memory=64, cpus=1, ports=[SECOND], shape=Shape(nic="no-such-nic"))
    with pytest.raises(HarnessError, match="QEMU ended with 1") as caught:
        Machine(settings, hardware, tmp_path / "run", accelerated("tcg"), LocalLauncher()).start()
    assert "no-such-nic" in str(caught.value.hint)


def test_on_q35_the_first_nic_is_on_the_first_bus(settings: Settings, boot_disk: Path, tmp_path: Path) -> None:
    ports = [Port("fa:16:3e:00:00:01", None), Port("fa:16:3e:00:01:01", None)]
    hardware = Hardware(
        boot_disk, "raw", memory=64, cpus=1, ports=ports, shape=Shape("q35", disk_bus="scsi", scsi_model="virtio-scsi")
    )
    with Machine(settings, hardware, tmp_path / "run", accelerated("tcg"), LocalLauncher()) as machine:
        machine.console.wait_for("hello", Deadline.after(60))
        devices = machine.monitor.execute("query-pci")[0]["devices"]
    ports_of = {device["slot"]: device["pci_bridge"] for device in devices if "pci_bridge" in device}
    behind = {slot: [inner["class_info"].get("desc") for inner in port["devices"]] for slot, port in ports_of.items()}
    assert sorted(behind)[:4] == [3, 4, 5, 6]
    assert behind[3] == behind[4] == ["Ethernet controller"]
    assert behind[5] == behind[6] == []
    assert ports_of[3]["bus"]["secondary"] == 1
    assert ports_of[4]["bus"]["secondary"] == 2
