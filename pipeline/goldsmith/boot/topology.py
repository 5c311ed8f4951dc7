"""Where devices stand on the PCI bus, so that guests give them the names they have under libvirt.

On pc everything stands in a slot of the one bus.  On q35 each PCI Express device hangs on a root port, as QEMU's
docs/pcie.txt and libvirt's guide to PCI topology have it, and conventional PCI devices on a bridge behind one: firmware
numbers the buses in the order of their ports' slots, so the first NIC, whose port has the lowest slot, is on bus 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from goldsmith.boot.hardware import Shape

FIRST_NIC_SLOT = 3
MOST_NICS = 16
#: root ports without a NIC, so that some can be plugged in
SPARE_NICS = 2
AHCI_SLOT = 0x17
TABLET_SLOT = 0x18
KEYBOARD_SLOT = 0x19
AGENT_SLOT = 0x1A
USB_SLOT = 0x1B
SCSI_SLOT = 0x1C
DISK_SLOT = 0x1D
RNG_SLOT = 0x1E

#: NICs and SCSI controllers that libvirt puts onto PCI Express (qemuDomainDeviceCalculatePCIConnectFlags)
_EXPRESS = {"virtio", "virtio-scsi", "e1000e", "vmxnet3", "igb"}


@dataclass(frozen=True)
class Place:
    """A place of a device: the arguments of the ports and bridges that lead there, and its own bus and address."""

    leads: tuple[str, ...]
    bus: str
    slot: int

    @property
    def option(self) -> str:
        """Where it is, as a part of -device."""
        return f"addr={self.slot:#x}" if self.bus == "pci.0" else f"bus={self.bus},addr={self.slot:#x}"


def _port(slot: int) -> tuple[str, ...]:
    return ("-device", f"pcie-root-port,id=port{slot},bus=pcie.0,chassis={slot},slot={slot},addr={slot:#x}")


def _bridge(slot: int) -> tuple[str, ...]:
    return (*_port(slot), "-device", f"pcie-pci-bridge,id=bridge{slot},bus=port{slot},addr=0x0")


def place(shape: Shape, slot: int, *, express: bool = True) -> Place:
    """The place of the one device that belongs to ``slot`` of the first bus."""
    if not shape.q35:
        return Place((), "pci.0", slot)
    if express:
        return Place(_port(slot), f"port{slot}", 0)
    # A bridge's slot 0 is its hot-plug controller's.
    return Place(_bridge(slot), f"bridge{slot}", 1)


def scsi_place(shape: Shape) -> Place:
    return place(shape, SCSI_SLOT, express=shape.scsi_model in _EXPRESS)


def nic_place(shape: Shape, index: int) -> Place:
    """The place of a NIC, by its number; ``nic_leads`` are what leads to all of them."""
    if not shape.q35:
        return Place((), "pci.0", FIRST_NIC_SLOT + index)
    if shape.nic in _EXPRESS:
        return Place((), f"port{FIRST_NIC_SLOT + index}", 0)
    return Place((), f"bridge{FIRST_NIC_SLOT}", 1 + index)


def nic_leads(shape: Shape, count: int) -> tuple[str, ...]:
    """The ports of ``count`` NICs and of SPARE_NICS more, or the bridge they share."""
    if not shape.q35:
        return ()
    if shape.nic in _EXPRESS:
        slots = range(FIRST_NIC_SLOT, FIRST_NIC_SLOT + count + SPARE_NICS)
        return tuple(word for slot in slots for word in _port(slot))
    return _bridge(FIRST_NIC_SLOT)
