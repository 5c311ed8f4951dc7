"""From the properties of an image in Glance to the shape of the machine that Nova's libvirt driver makes of them.

Names and values: nova/objects/image_meta.py and fields.py.  What becomes of them: nova/virt/libvirt/driver.py (clock,
features, consoles, USB, Secure Boot), blockinfo.py (buses) and vif.py (NICs), nova/virt/hardware.py (TPM, ports).  What
Nova knows and QEMU cannot do on x86 is refused here, as libvirt refuses it there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from goldsmith.boot.accelerator import QEMU
from goldsmith.boot.arguments import SCSI_DEVICES, USB_DEVICES, nic_device
from goldsmith.boot.firmware import find_secure_ovmf
from goldsmith.boot.hardware import Firmware, Shape
from goldsmith.errors import HostError, InputError, Problem
from goldsmith.host.run import run
from goldsmith.recipe.nova_vocabulary import NO, TRANSLATED, YES, known, name_fault

_DISK_BUSES = ("virtio", "scsi", "ide", "sata", "usb")
_NICS = ("virtio", "e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "vmxnet3")
_VIDEOS = {
    "vga": "VGA",
    "cirrus": "cirrus-vga",
    "qxl": "qxl-vga",
    "virtio": "virtio-vga",
    "bochs": "bochs-display",
    "vmvga": "vmware-svga",
    "none": None,
}
#: as nova's Architecture.canonicalize has them
_ARCHITECTURES = ("x86_64", "amd64", "i686", "i386", "i486", "i586")
#: ports that Nova allows (ALLOWED_QEMU_SERIAL_PORTS)
_MOST_SERIAL_PORTS = 3
_MACHINE = re.compile(r"(pc|q35)|pc-(i440fx|q35)-[A-Za-z0-9._-]+")
_DEVICE = re.compile(r'^name "([^"]+)"', re.MULTILINE)

#: property to the values that can be made here; values that Nova knows beside them
_VALUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "architecture": (_ARCHITECTURES, ("aarch64", "ppc64le", "s390x", "riscv64", "armv7l")),
    "hw_architecture": (_ARCHITECTURES, ("aarch64", "ppc64le", "s390x", "riscv64", "armv7l")),
    "hw_firmware_type": (("bios", "uefi"), ()),
    "hw_disk_bus": (_DISK_BUSES, ("fdc", "xen", "lxc", "uml")),
    "hw_cdrom_bus": (("ide", "sata", "scsi", "usb"), ("virtio", "fdc", "xen", "lxc", "uml")),
    "hw_scsi_model": (tuple(SCSI_DEVICES), ("buslogic", "ibmvscsi")),
    "hw_vif_model": (_NICS, ("netfront", "spapr-vlan", "lan9118", "sriov", "vmxnet")),
    "hw_video_model": (tuple(_VIDEOS), ("xen", "gop")),
    "hw_rng_model": (("virtio",), ()),
    "hw_input_bus": (("usb", "virtio"), ()),
    "hw_pointer_model": (("usbtablet",), ()),
    "hw_usb_model": (tuple(USB_DEVICES), ()),
    "hw_tpm_version": (("1.2", "2.0"), ()),
    "hw_tpm_model": (("tpm-tis", "tpm-crb"), ()),
    "hw_qemu_guest_agent": ((*YES, *NO), ()),
    "hw_boot_menu": ((*YES, *NO), ()),
    "hw_serial_port_count": (tuple(str(count) for count in range(1, _MOST_SERIAL_PORTS + 1)), ()),
    "os_secure_boot": (("required", "optional", "disabled"), ()),
    "os_type": (("linux", "windows"), ()),
}
#: Nova takes these in any case; os_type it compares with 'windows' as it stands
_ANY_CASE = frozenset({"hw_vif_model", "hw_scsi_model", "hw_qemu_guest_agent", "hw_boot_menu"})
SHAPING = frozenset({*_VALUES, "hw_machine_type"})


@dataclass(frozen=True)
class Host:
    """What this host's QEMU has: device names with their aliases left out, machine types, OVMF with Secure Boot."""

    devices: frozenset[str]
    machines: frozenset[str]
    secure_boot: bool


def this_host() -> Host:
    """Ask QEMU.  Raises HostError where it is not installed."""
    hint = "install the package qemu-system-x86"
    devices, machines = (
        run([QEMU, option, "help"], deadline=60, hint=hint).stdout for option in ("-device", "-machine")
    )
    names = frozenset(line.split()[0] for line in machines.splitlines()[1:] if line.strip())
    try:
        find_secure_ovmf()
    except HostError:
        return Host(frozenset(_DEVICE.findall(devices)), names, secure_boot=False)
    return Host(frozenset(_DEVICE.findall(devices)), names, secure_boot=True)


def properties_of(words: Iterable[str], option: str = "--property") -> dict[str, str]:
    """Properties that a command line gives as K=V.  Raises InputError with all that is wrong."""
    found: dict[str, str] = {}
    problems = []
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            problems.append(Problem(option, word, "is not of the form K=V"))
        elif name in found:
            problems.append(Problem(option, name, "is given twice"))
        else:
            found[name] = value
    if problems:
        raise InputError(problems=problems)
    return found


def firmware_from(properties: Mapping[str, str]) -> Firmware | None:
    """The firmware that the properties name; None where it is the cloud's choice, which is BIOS on x86."""
    value = properties.get("hw_firmware_type")
    return cast(Firmware, value) if value in ("bios", "uefi") else None


def not_applied(properties: Mapping[str, str]) -> list[str]:
    """Properties that Nova would shape a machine by and goldsmith does not."""
    return sorted(
        name
        for name in properties
        if name.startswith("hw_") and name not in SHAPING and name.partition(".")[0] in known()
    )


def shape_here(properties: Mapping[str, str], firmware: Firmware, look: Callable[[], Host] = this_host) -> Shape:
    """``shape_from`` on this host, which is only looked at where a property asks for more than there always is."""
    if not SHAPING & set(properties) - {"architecture", "hw_architecture", "hw_firmware_type", "os_type"}:
        return shape_from(properties, firmware)
    return shape_from(properties, firmware, look())


def shape_from(properties: Mapping[str, str], firmware: Firmware = "bios", host: Host | None = None) -> Shape:
    """The machine that ``properties``, all of an image's, make when it boots with ``firmware``.

    ``host`` is what can be had; without it, everything.  Raises InputError with all that is wrong: unknown names and
    values, values that QEMU or this host cannot do, and properties that contradict each other.
    """
    values = _shaping(properties)
    problems = [*_unknown_names(properties), *_wrong_values(values)]
    wrong = {problem.path for problem in problems}
    good = {name: value for name, value in values.items() if name not in wrong}
    shape = _shape(good, firmware, host)
    # What is wrong itself is not held against the others.
    problems += [problem for other, problem in _contradictions(good, shape, firmware) if other not in wrong]
    if host:
        problems += _missing(good, shape, host)
    if problems:
        raise InputError(problems=problems)
    return shape


def contradictions(properties: Mapping[str, str]) -> list[Problem]:
    """Properties that are right by themselves and not with each other, whatever hypervisor the image is for."""
    values = _shaping(properties)
    wrong = {problem.path for problem in _wrong_values(values)}
    good = {name: value for name, value in values.items() if name not in wrong}
    firmware = firmware_from(good) or "bios"
    found = _contradictions(good, _shape(good, firmware, None), firmware)
    return [problem for other, problem in found if other not in wrong]


def _shaping(properties: Mapping[str, str]) -> dict[str, str]:
    """Those that shape a machine, in Nova's own spelling."""
    return {
        name: TRANSLATED.get(name, {}).get(value.lower(), value.lower()) if name in _ANY_CASE else value
        for name, value in properties.items()
        if name in SHAPING
    }


def _problem(name: str, message: str, suggestion: str | None = None) -> Problem:
    return Problem("properties", name, message, suggestion)


def _quoted(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _guess(word: str, known: tuple[str, ...] | list[str]) -> str | None:
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f"did you mean `{close[0]}`" if close else None


def _unknown_names(properties: Mapping[str, str]) -> list[Problem]:
    """Names that only look like Nova's; others are the owner's to invent."""
    return [_problem(name, *wrong) for name in sorted(properties) if (wrong := name_fault(name))]


def _wrong_values(values: Mapping[str, str]) -> list[Problem]:
    found = []
    for name, value in sorted(values.items()):
        if name == "hw_machine_type":
            if not _MACHINE.fullmatch(value):
                message = f"{value!r} is none of the machines for clouds: `pc`, `q35`, and their versions"
                found.append(_problem(name, message, _guess(value, ("pc", "q35"))))
            continue
        here, elsewhere = _VALUES[name]
        if value in elsewhere:
            found.append(_problem(name, f"{value!r} cannot be had from QEMU on x86: it is one of {_quoted(here)}"))
        elif value not in here:
            found.append(_problem(name, f"{value!r} is not one of {_quoted(here)}", _guess(value, here)))
    return found


def _shape(values: Mapping[str, str], firmware: Firmware, host: Host | None) -> Shape:
    machine = values.get("hw_machine_type", "pc")
    policy = values.get("os_secure_boot", "disabled")
    possible = firmware == "uefi" and "q35" in machine and (host is None or host.secure_boot)
    chosen: dict[str, Any] = {
        "machine": machine,
        "disk_bus": values.get("hw_disk_bus"),
        "scsi_model": values.get("hw_scsi_model"),
        "cdrom_bus": values.get("hw_cdrom_bus"),
        "nic": values.get("hw_vif_model"),
        "video": values.get("hw_video_model"),
        "secure_boot": policy == "required" or (policy == "optional" and possible),
        "tpm_version": values.get("hw_tpm_version"),
        "tpm_model": values.get("hw_tpm_model"),
        "input_bus": values.get("hw_input_bus") or ("usb" if "hw_pointer_model" in values else None),
        "pointer_only": "hw_input_bus" not in values and "hw_pointer_model" in values,
        "usb_model": values.get("hw_usb_model"),
        "windows": values.get("os_type") == "windows",
        "guest_agent": values.get("hw_qemu_guest_agent") in YES,
        "boot_menu": values.get("hw_boot_menu") in YES,
        # The second carries goldsmith's own commands.
        "serial_ports": max(2, int(values.get("hw_serial_port_count", "1"))),
    }
    return Shape(**{name: value for name, value in chosen.items() if value is not None})


def _contradictions(values: Mapping[str, str], shape: Shape, firmware: Firmware) -> Iterator[tuple[str, Problem]]:
    """What is wrong with a property in view of another, whose name comes first."""
    if (named := firmware_from(values)) and named != firmware:
        message = f"{named!r}, and the machine is to boot with {firmware!r}"
        yield "", _problem("hw_firmware_type", message)
    if values.get("os_secure_boot") == "required":
        if firmware != "uefi":
            suggestion = "set hw_firmware_type to `uefi`"
            yield "hw_firmware_type", _problem("os_secure_boot", "'required' needs UEFI", suggestion)
        if not shape.q35:
            message = f"'required' needs q35, and the machine is {shape.machine!r}"
            yield "hw_machine_type", _problem("os_secure_boot", message, "set hw_machine_type to `q35`")
    if "hw_scsi_model" in values and "scsi" not in (shape.disk_bus, shape.cdrom_bus):
        message = "is of no use: nothing is on the scsi bus"
        yield "hw_disk_bus", _problem("hw_scsi_model", message, "set hw_disk_bus to `scsi`")
    for name in ("hw_disk_bus", "hw_cdrom_bus"):
        if shape.q35 and values.get(name) == "ide":
            yield "", _problem(name, f"{shape.machine!r} has no IDE bus", "use `sata`")
    if "hw_tpm_model" in values and "hw_tpm_version" not in values:
        message = "gives no TPM without hw_tpm_version"
        yield "hw_tpm_version", _problem("hw_tpm_model", message, "set hw_tpm_version to `2.0`")
    if shape.tpm_model == "tpm-crb" and shape.tpm_version == "1.2":
        yield "", _problem("hw_tpm_model", "'tpm-crb' goes with hw_tpm_version 2.0 only")


def _missing(values: Mapping[str, str], shape: Shape, host: Host) -> list[Problem]:
    """What was asked for and this host's QEMU does not have."""
    wanted = {
        "hw_scsi_model": SCSI_DEVICES[shape.scsi_model],
        "hw_vif_model": nic_device(shape),
        "hw_video_model": _VIDEOS[shape.video],
        "hw_usb_model": USB_DEVICES[shape.usb_model],
        "hw_tpm_version": shape.tpm_model,
    }
    found = [
        _problem(name, f"{values[name]!r} is not in this host's QEMU, which has no device {device}")
        for name, device in wanted.items()
        if name in values and device and device not in host.devices
    ]
    if (
        shape.disk_bus == "scsi"
        and "hw_scsi_model" not in values
        and SCSI_DEVICES[shape.scsi_model] not in host.devices
    ):
        message = (
            f"'scsi' is {shape.scsi_model} where hw_scsi_model does not say, and this host's QEMU does not have it"
        )
        found.append(_problem("hw_disk_bus", message, "set hw_scsi_model to `virtio-scsi`"))
    if "hw_machine_type" in values and shape.machine not in host.machines:
        message = f"{shape.machine!r} is not in this host's QEMU"
        found.append(_problem("hw_machine_type", message, _guess(shape.machine, sorted(host.machines))))
    return found
