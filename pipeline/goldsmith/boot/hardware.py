"""What a machine is made of, as data: parts that the caller chooses, and the shape that an image's properties give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from goldsmith.boot import guest as guest_channel
from goldsmith.boot.snapshot import Saved
from goldsmith.host.disk_format import DiskFormat

Firmware = Literal["bios", "uefi"]
Bus = Literal["virtio", "scsi", "ide", "sata", "usb"]
ScsiModel = Literal["virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "vmpvscsi"]
TpmModel = Literal["tpm-tis", "tpm-crb"]
TpmVersion = Literal["1.2", "2.0"]
InputBus = Literal["usb", "virtio"]
UsbModel = Literal["none", "nec-xhci", "qemu-xhci"]


@dataclass(frozen=True)
class Port:
    """A NIC's other end: the tap it is plugged into (in the lab's jail), None for QEMU's own user network."""

    mac: str
    tap: str | None


@dataclass(frozen=True)
class Shape:
    """The machine as an image's properties make it (``goldsmith.boot.properties``); by default as with none set."""

    #: pc, q35, or one of their versions
    machine: str = "pc"
    disk_bus: Bus = "virtio"
    #: the controller of disks and CDs on the scsi bus; libvirt's default on x86
    scsi_model: ScsiModel = "lsilogic"
    #: the bus of a seed; where it is not given, ide, and sata with q35
    cdrom_bus: Bus | None = None
    #: a NIC, in Nova's words
    nic: str = "virtio"
    #: a video adapter, in Nova's words
    video: str = "vga"
    #: OVMF that checks signatures, with Microsoft's keys
    secure_boot: bool = False
    tpm_version: TpmVersion | None = None
    tpm_model: TpmModel = "tpm-tis"
    #: the tablet's, and the keyboard's too, where it is not ``pointer_only``
    input_bus: InputBus | None = None
    pointer_only: bool = False
    usb_model: UsbModel = "none"
    #: a clock in local time, and Hyper-V's enlightenments
    windows: bool = False
    #: a port for QEMU's guest agent; its other end is the socket qga.sock
    guest_agent: bool = False
    boot_menu: bool = False
    #: ttyS0 and ttyS1 are always there; a third is connected to nothing
    serial_ports: int = 2

    @property
    def q35(self) -> bool:
        """Whether it is a PCI Express machine; as Nova tells them."""
        return "q35" in self.machine

    @property
    def seed_bus(self) -> Bus:
        return self.cdrom_bus or ("sata" if self.q35 else "ide")


@dataclass(frozen=True)
class Hardware:
    """What the machine is made of.  ``disk`` is the image's file, None for none; ``memory`` is in MiB."""

    disk: Path | None
    disk_format: DiskFormat = "qcow2"
    #: an ISO 9660 image with the instance's metadata (``goldsmith.boot.seed``), put in as a CD
    seed: Path | None = None
    firmware: Firmware = "bios"
    ports: Sequence[Port] = ()
    uuid: str = "00000000-0000-4000-8000-000000000001"
    memory: int = 1024
    #: by default as many as the accelerator runs well
    cpus: int | None = None
    #: whether an emulated processor has cmpxchg16b (``Accelerator.cpu``)
    cx16: bool = True
    #: systemd system credentials handed over by SMBIOS; by default those of the guest channel
    credentials: Mapping[str, bytes] = field(default_factory=guest_channel.credentials)
    #: what starts the guest channel where it is not the credentials, for the error about a silent guest
    channel_needs: str = guest_channel.NEEDS
    #: a BIOS image instead of QEMU's own
    rom: Path | None = None
    shape: Shape = Shape()
    #: bytes that the overlay is larger than the image
    growth: int = 0
    #: whether the screen is served to VNC's viewers, on the socket vnc.sock
    vnc: bool = False
    #: whether commands go through QEMU's guest agent, which the shape must have a port for
    by_agent: bool = False
    #: the state of another machine of the same make, to go on from instead of booting
    saved: Saved | None = None
