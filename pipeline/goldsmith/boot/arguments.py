"""QEMU's command line for a machine.  It runs in the machine's folder: sockets and files of its own are relative."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path

from goldsmith.boot import topology
from goldsmith.boot.accelerator import QEMU, Accelerator
from goldsmith.boot.firmware import find_ovmf, find_secure_ovmf
from goldsmith.boot.hardware import Bus, Hardware, Shape
from goldsmith.boot.snapshot import DISK, VARIABLES

#: the last place on the IDE bus, where Nova puts a config drive
SEED_PLACE = "bus=ide.1,unit=1"
#: Nova's NICs as QEMU names them; the others have one name
NIC_DEVICES = {"virtio": "virtio-net-pci"}
#: libvirt's SCSI controllers as QEMU names them
SCSI_DEVICES = {
    "virtio-scsi": "virtio-scsi-pci",
    "lsilogic": "lsi53c895a",
    "lsisas1068": "mptsas1068",
    "lsisas1078": "megasas",
    "vmpvscsi": "pvscsi",
}
#: libvirt's video adapters as -vga names them
_VGA = {"vga": "std", "vmvga": "vmware", "bochs": "none"}
USB_DEVICES = {"none": "piix3-usb-uhci", "nec-xhci": "nec-usb-xhci", "qemu-xhci": "qemu-xhci"}
#: what Nova gives Windows (_set_features and _set_kvm_timers of nova/virt/libvirt/driver.py), in QEMU's words
_HYPERV = (
    "relaxed",
    "vapic",
    "spinlocks=0x1fff",
    "vpindex",
    "runtime",
    "synic",
    "reset",
    "frequencies",
    "tlbflush",
    "ipi",
    "time",
)
VNC_SOCKET = "vnc.sock"
TPM_SOCKET = "swtpm.sock"
AGENT_SOCKET = "qga.sock"


def smbios_credentials(credentials: Mapping[str, bytes]) -> list[str]:
    """QEMU's arguments that hand systemd system credentials over (smbios-type-11(7))."""
    strings = [
        f"io.systemd.credential.binary:{name}={base64.b64encode(content).decode()}"
        for name, content in credentials.items()
    ]
    return [word for string in strings for word in ("-smbios", "type=11,value=" + string.replace(",", ",,"))]


def nic_device(shape: Shape) -> str:
    """The machine's NICs as QEMU names them."""
    return NIC_DEVICES.get(shape.nic, shape.nic)


def command(hardware: Hardware, accelerator: Accelerator) -> list[str]:
    """QEMU's command line.  Raises HostError where the firmware is not installed."""
    shape = hardware.shape
    argv = [QEMU, "-name", "goldsmith", "-nodefaults", "-no-user-config", "-display", "none", "-S"]
    machine = f"{shape.machine},smm=on" if shape.secure_boot else shape.machine
    argv += ["-machine", f"{machine},accel={accelerator.name}", "-cpu", _cpu(hardware, accelerator)]
    argv += ["-smp", str(hardware.cpus or accelerator.processors), "-m", str(hardware.memory), *_video(hardware)]
    argv += ["-smbios", f"type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova,uuid={hardware.uuid}"]
    argv += smbios_credentials(hardware.credentials)
    argv += ["-chardev", "socket,id=qmp,path=qmp.sock,server=on,wait=off", "-mon", "chardev=qmp,mode=control"]
    argv += ["-chardev", "socket,id=console,path=ttyS0.sock,server=on,wait=off"]
    argv += ["-device", "isa-serial,chardev=console,index=0"]
    argv += ["-chardev", "socket,id=guest,path=ttyS1.sock,server=on,wait=off"]
    argv += ["-device", "isa-serial,chardev=guest,index=1"]
    for index in range(2, shape.serial_ports):
        argv += ["-chardev", f"null,id=serial{index}", "-device", f"isa-serial,chardev=serial{index},index={index}"]
    argv += _firmware(hardware)
    argv += topology.nic_leads(shape, len(hardware.ports))
    for index, port in enumerate(hardware.ports):
        back = f"tap,ifname={port.tap},script=no,downscript=no" if port.tap else "user"
        argv += ["-netdev", f"{back},id=net{index}"]
        where = topology.nic_place(shape, index).option
        argv += ["-device", f"{nic_device(shape)},netdev=net{index},mac={port.mac},romfile=,{where}"]
    argv += _controllers(hardware)
    if hardware.disk:
        # The guest's writes are thrown away, so they need not reach the host's disk; not so a discard's zeroes.
        argv += ["-drive", f"if=none,id=disk,file={DISK},format=qcow2,cache=unsafe,discard=unmap"]
        argv += _disk(shape)
    if hardware.seed:
        file = escaped(hardware.seed.absolute())
        argv += ["-drive", f"if=none,id=seed,media=cdrom,format=raw,readonly=on,file={file}"]
        argv += ["-device", _cd(shape)]
    argv += ["-object", "rng-random,id=rng,filename=/dev/urandom"]
    argv += _at("virtio-rng-pci,rng=rng", topology.place(shape, topology.RNG_SLOT))
    argv += _extras(shape)
    if hardware.saved:
        argv += ["-loadvm", hardware.saved.name]
    return argv


def _at(device: str, place: topology.Place) -> list[str]:
    return [*place.leads, "-device", f"{device},{place.option}"]


def _cpu(hardware: Hardware, accelerator: Accelerator) -> str:
    cpu = accelerator.cpu(cx16=hardware.cx16)
    if hardware.shape.windows and accelerator.name == "kvm":
        return ",".join([cpu, *(f"hv-{name}" for name in _HYPERV)])
    # Under emulation QEMU ends at the first of them that it would have to do.
    return cpu


def _video(hardware: Hardware) -> Iterator[str]:
    video = hardware.shape.video
    yield from ("-vga", _VGA.get(video, video))
    if video == "bochs":
        # The place that -vga gives an adapter.
        yield from ("-device", f"bochs-display,addr={1 if hardware.shape.q35 else 2:#x}")
    if hardware.vnc:
        yield from ("-vnc", f"unix:{VNC_SOCKET}")


def _firmware(hardware: Hardware) -> Iterator[str]:
    if hardware.rom:
        yield from ("-bios", str(hardware.rom.absolute()))
    elif hardware.firmware == "uefi":
        code, _ = find_secure_ovmf() if hardware.shape.secure_boot else find_ovmf()
        if hardware.shape.secure_boot:
            # Only code in system management mode writes the variables, as libvirt sets it for a secure loader.
            yield from ("-global", "driver=cfi.pflash01,property=secure,value=on")
        yield from ("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={escaped(code)}")
        yield from ("-drive", f"if=pflash,unit=1,format=qcow2,file={VARIABLES}")


def _buses(hardware: Hardware) -> set[Bus]:
    shape = hardware.shape
    return ({shape.disk_bus} if hardware.disk else set()) | ({shape.seed_bus} if hardware.seed else set())


def _controllers(hardware: Hardware) -> Iterator[str]:
    """Controllers of the buses that pc or q35 do not have of themselves."""
    shape, buses = hardware.shape, _buses(hardware)
    if "scsi" in buses:
        yield from _at(f"{SCSI_DEVICES[shape.scsi_model]},id=scsi", topology.scsi_place(shape))
    if "sata" in buses and not shape.q35:
        yield from _at("ich9-ahci,id=sata", topology.place(shape, topology.AHCI_SLOT))
    needed = "usb" in buses or shape.input_bus == "usb"
    if needed or shape.usb_model != "none":
        # Nova leaves the model to libvirt where something needs USB, and takes the property where nothing does.
        device = USB_DEVICES["none" if needed else shape.usb_model]
        yield from _at(f"{device},id=usb", topology.place(shape, topology.USB_SLOT, express=not needed))


def _disk(shape: Shape) -> list[str]:
    if shape.disk_bus == "virtio":
        return _at("virtio-blk-pci,drive=disk,bootindex=1", topology.place(shape, topology.DISK_SLOT))
    sata = "ide.0" if shape.q35 else "sata.0"
    device = {
        "scsi": "scsi-hd,drive=disk,bus=scsi.0,scsi-id=0",
        "ide": "ide-hd,drive=disk,bus=ide.0,unit=0",
        "sata": f"ide-hd,drive=disk,bus={sata}",
        "usb": "usb-storage,drive=disk,bus=usb.0",
    }[shape.disk_bus]
    return ["-device", f"{device},bootindex=1"]


def _cd(shape: Shape) -> str:
    sata = "ide.1" if shape.q35 else "sata.1"
    return {
        "ide": f"ide-cd,drive=seed,{SEED_PLACE}",
        "sata": f"ide-cd,drive=seed,bus={sata}",
        "scsi": "scsi-cd,drive=seed,bus=scsi.0,scsi-id=1",
        "usb": "usb-storage,drive=seed,bus=usb.0",
    }[shape.seed_bus]


def _extras(shape: Shape) -> Iterator[str]:
    """What only properties put in."""
    if shape.windows:
        yield from ("-rtc", "base=localtime")
    if shape.boot_menu:
        yield from ("-boot", "menu=on")
    if shape.input_bus == "usb":
        yield from ("-device", "usb-tablet,bus=usb.0")
        yield from () if shape.pointer_only else ("-device", "usb-kbd,bus=usb.0")
    elif shape.input_bus == "virtio":
        yield from _at("virtio-tablet-pci", topology.place(shape, topology.TABLET_SLOT))
        yield from _at("virtio-keyboard-pci", topology.place(shape, topology.KEYBOARD_SLOT))
    if shape.tpm_version:
        yield from ("-chardev", f"socket,id=tpm,path={TPM_SOCKET}", "-tpmdev", "emulator,id=tpm0,chardev=tpm")
        yield from ("-device", f"{shape.tpm_model},tpmdev=tpm0")
    if shape.guest_agent:
        yield from ("-chardev", f"socket,id=agent,path={AGENT_SOCKET},server=on,wait=off")
        yield from _at("virtio-serial-pci,id=serial", topology.place(shape, topology.AGENT_SLOT))
        yield from ("-device", "virtserialport,bus=serial.0,chardev=agent,name=org.qemu.guest_agent.0")


def escaped(path: Path) -> str:
    """A path inside one of QEMU's comma-separated options."""
    return str(path).replace(",", ",,")
