"""The Glance properties that follow from what is on a disk, each with its reason.

Names and values are Nova's (nova/objects/image_meta.py and fields.py); what follows from which driver is much as
virt-v2v has it (output/openstack_image_properties.ml).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from goldsmith.boot.systems import System
from goldsmith.inspection.boot import FirmwareFacts
from goldsmith.inspection.facts import Unknown, known
from goldsmith.inspection.linux import Agent, Linux
from goldsmith.inspection.windows.product import Product
from goldsmith.inspection.windows.services import WindowsAgent
from goldsmith.inspection.windows.windows import Windows

#: libguestfs' words for what Nova calls otherwise
_ARCHITECTURES = {"i386": "i686"}
#: from this version on Windows has a driver for Intel's 82540EM
_WITH_E1000 = 6
AGENT = "qemu-guest-agent"
#: Start of a service
_AUTOMATIC = 2


@dataclass(frozen=True)
class Property:
    name: str
    value: str
    reason: str


def properties(system: System, facts: Linux | Windows, firmware: FirmwareFacts) -> tuple[Property, ...]:
    """What an image with this operating system alone should say, by name."""
    found = [*_common(system, facts, firmware)]
    found += _of_windows(facts) if isinstance(facts, Windows) else _of_linux(facts)
    return tuple(sorted(found, key=lambda each: each.name))


def lacking(facts: Linux | Windows) -> tuple[str, ...]:
    """Of the agents and drivers that a property can ask for, those that are certainly not there.

    What is not known is not among them, so nothing that a dirty SYSTEM says of a Windows.
    """
    if isinstance(facts, Windows) and facts.hives[0].state == "dirty":
        return ()
    found = []
    if not isinstance(facts.agents, Unknown) and not any(agent.name == AGENT for agent in facts.agents):
        found.append(AGENT)
    drivers = known(facts.drivers) if isinstance(facts, Windows) else None
    if drivers is not None:
        at_boot = {driver.service for driver in drivers if driver.at_boot}
        found += [name for name in ("viostor", "vioscsi") if name not in at_boot]
        if not any(driver.service == "netkvm" and driver.usable for driver in drivers):
            found.append("netkvm")
    return tuple(found)


def _common(system: System, facts: Linux | Windows, firmware: FirmwareFacts) -> Iterator[Property]:
    architecture = system.architecture
    if architecture != "unknown":
        reason = "of the programs in it"
        yield Property("architecture", _ARCHITECTURES.get(architecture, architecture), reason)
    if firmware.can_boot == ("bios",):
        yield Property("hw_firmware_type", "bios", f"{firmware.bios}; {firmware.uefi}")
    if firmware.can_boot == ("uefi",):
        yield Property("hw_firmware_type", "uefi", f"{firmware.uefi}; {firmware.bios}")
    agents: tuple[Agent | WindowsAgent, ...] = known(facts.agents) or ()
    if any(agent.name == AGENT and _starts(agent) for agent in agents):
        yield Property("hw_qemu_guest_agent", "yes", "the guest agent is installed, and is started")


def _starts(agent: Agent | WindowsAgent) -> bool:
    return agent.starts is True if isinstance(agent, Agent) else agent.start == _AUTOMATIC


def _of_linux(facts: Linux) -> Iterator[Property]:
    yield Property("os_type", "linux", "what is in it")
    for name, value in (("os_distro", facts.id), ("os_version", facts.release)):
        if not isinstance(value, Unknown):
            yield Property(name, value, "os-release")
    kernels = known(facts.kernels)
    if not kernels:
        return
    kernel = kernels[0]

    def has(driver: str) -> bool:
        return kernel.drivers.get(driver, "missing") != "missing"

    def why(driver: str, *without: str) -> str:
        lacking = f", and no {' or '.join(without)}" if without else ""
        return f"kernel {kernel.version} has {driver} ({kernel.drivers[driver]}){lacking}"

    if has("virtio_blk"):
        yield Property("hw_disk_bus", "virtio", why("virtio_blk"))
    elif has("virtio_scsi"):
        yield Property("hw_disk_bus", "scsi", why("virtio_scsi", "virtio_blk"))
        yield Property("hw_scsi_model", "virtio-scsi", why("virtio_scsi", "virtio_blk"))
    elif has("ata_piix"):
        yield from _ide(why("ata_piix", "virtio_blk", "virtio_scsi"))
    elif has("ahci"):
        yield Property("hw_disk_bus", "sata", why("ahci", "virtio_blk", "virtio_scsi", "ata_piix"))
    for driver, model in (("virtio_net", "virtio"), ("e1000", "e1000"), ("8139cp", "rtl8139")):
        if has(driver):
            yield Property("hw_vif_model", model, why(driver, *([] if model == "virtio" else ["virtio_net"])))
            break
    if has("virtio_rng"):
        yield Property("hw_rng_model", "virtio", why("virtio_rng"))


def _ide(reason: str) -> Iterator[Property]:
    yield Property("hw_disk_bus", "ide", reason)
    yield Property("hw_machine_type", "pc", "q35 has no IDE bus")


def _of_windows(facts: Windows) -> Iterator[Property]:
    clock = known(facts.clock)
    reason = "Nova compares it as it stands, in lower case"
    yield Property("os_type", "windows", reason if clock is None else f"{reason}; Windows {clock.says}")
    yield Property("os_distro", "windows", "what is in it")
    product = known(facts.product)
    if product and product.version:
        yield Property("os_version", product.version, f"{product.name}, build {product.build}")
    drivers = known(facts.drivers)
    if drivers is None:
        return
    boots = {driver.service: driver for driver in drivers if driver.at_boot}
    caution = "; SYSTEM is dirty, so that may be outdated" if facts.hives[0].state == "dirty" else ""
    if "viostor" in boots:
        yield Property("hw_disk_bus", "virtio", f"viostor is started at boot{caution}")
    elif "vioscsi" in boots:
        yield Property("hw_disk_bus", "scsi", f"vioscsi is started at boot, viostor is not{caution}")
        yield Property("hw_scsi_model", "virtio-scsi", f"vioscsi is started at boot{caution}")
    elif "atapi" in boots or "intelide" in boots:
        yield from _ide(f"no driver of virtio disks is started at boot, that of IDE disks is{caution}")
    elif "storahci" in boots or "msahci" in boots:
        yield Property("hw_disk_bus", "sata", f"no driver of virtio or IDE disks is started at boot{caution}")
    if any(driver.service == "netkvm" and driver.usable for driver in drivers):
        yield Property("hw_vif_model", "virtio", f"netkvm is installed{caution}")
    else:
        yield _old_nic(product, caution)


def _old_nic(product: Product | None, caution: str) -> Property:
    major = int((product.version or "0").partition(".")[0]) if product and (product.version or "")[:1].isdigit() else 0
    if major >= _WITH_E1000:
        return Property(
            "hw_vif_model", "e1000", f"netkvm is not installed, and Windows has a driver for e1000{caution}"
        )
    return Property("hw_vif_model", "rtl8139", f"netkvm is not installed{caution}")
