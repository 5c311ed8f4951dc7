"""Which firmware a disk can boot with, and what the kernel and its consoles are told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from goldsmith.errors import HarnessError
from goldsmith.inspection.disk import BIOS_BOOT, PartitionTable
from goldsmith.inspection.facts import Unknown, found, known, shown, text_of
from goldsmith.inspection.units import is_masked, unit_file
from goldsmith.store.manifest import Firmware
from goldsmith.verify.kinds.boot_menu import menu_entries
from goldsmith.verify.tree import Tree

#: what UEFI starts from a disk that it has no boot entry for, by the machine's word for itself
_FALLBACKS = {"x86_64": "bootx64.efi", "i386": "bootia32.efi", "aarch64": "bootaa64.efi", "riscv64": "bootriscv64.efi"}
#: a folder below EFI that has more files than this is shown in part
_MOST_LOADERS = 32
_GRUB_CONFIGS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_TERMINAL = re.compile(r"^[ \t]*terminal_(output|input)[ \t]+(\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Loaders:
    """What lies on an EFI system partition."""

    #: paths from the partition's root, as they are written there
    files: tuple[str, ...]
    #: architectures whose \\EFI\\BOOT\\BOOT*.EFI is there
    fallback: tuple[str, ...]


@dataclass(frozen=True)
class FirmwareFacts:
    """What the disk can boot with, and why it is held to be so."""

    can_boot: tuple[Firmware, ...]
    bios: str
    uefi: str
    #: UEFI starts it only through a boot entry in NVRAM, which a new instance does not have
    needs_boot_entry: bool
    esp: str | None
    loaders: Loaders | Unknown | None


@dataclass(frozen=True)
class Console:
    #: of the menu's first entry; recovery and rescue entries aside
    kernel_arguments: tuple[str, ...] | Unknown
    #: devices of console=, the last of which is /dev/console
    consoles: tuple[str, ...]
    #: terminals on which somebody waits for a login, by enabled units and by console=
    gettys: tuple[str, ...] | Unknown
    #: words of terminal_output and terminal_input in the grub.cfg in force
    grub_terminal: tuple[str, ...] | Unknown


def loaders(tree: Tree) -> Loaders:
    """What can be started from an EFI system partition, whose names are found in any case."""
    files: list[str] = []
    fallback = []
    for top in tree.names("/"):
        if top.lower() != "efi":
            continue
        for vendor in tree.names(f"/{top}")[:_MOST_LOADERS]:
            paths = [f"/{top}/{vendor}/{name}" for name in tree.names(f"/{top}/{vendor}")]
            if vendor.lower() == "microsoft":
                # Windows has its loader one folder further down.
                folders = [path for path in paths if path.lower().endswith("/boot")]
                paths = [f"{folder}/{name}" for folder in folders for name in tree.names(folder)]
            here = [path for path in paths if path.lower().endswith(".efi")][:_MOST_LOADERS]
            files += here
            if vendor.lower() == "boot":
                names = {path.rpartition("/")[2].lower() for path in here}
                fallback = [machine for machine, name in _FALLBACKS.items() if name in names]
    return Loaders(tuple(files), tuple(fallback))


def firmware(
    table: PartitionTable, esp: str | None, on_esp: Loaders | Unknown | None, architecture: str
) -> FirmwareFacts:
    """From the partition table, the device of the EFI system partition (None without one) and what lies on it."""
    bios, why_bios = _bios(table)
    uefi, why_uefi, needs_entry = _uefi(esp, on_esp, architecture)
    can: list[Firmware] = [*(["bios"] if bios else []), *(["uefi"] if uefi else [])]  # type: ignore[list-item]
    return FirmwareFacts(tuple(can), why_bios, why_uefi, needs_entry, esp, on_esp)


def _bios(table: PartitionTable) -> tuple[bool, str]:
    if not table.boot_code:
        return False, "no boot code in the first sector"
    code = "boot code" if table.boot_code == "unknown" else f"boot code of {table.boot_code}"
    if table.boot_code == "GRUB":
        if table.kind != "gpt":
            return True, f"{code} in the first sector"
        core = next((each.number for each in table.partitions if each.type == BIOS_BOOT), None)
        return True, f"{code} in the first sector, " + (
            f"BIOS boot partition {core}" if core else "and no BIOS boot partition: it loads from a list of blocks"
        )
    active = next((each.number for each in table.partitions if each.active), None)
    if active is not None:
        return True, f"{code} in the first sector, and partition {active} is active"
    if table.kind == "none":
        return True, f"{code} in the first sector of a disk without partitions"
    if table.boot_code == "unknown":
        # Whose code it is is not known, so neither is what it looks for.
        return True, f"{code} in the first sector; no partition is active"
    return False, f"{code} in the first sector, which starts the active partition, and there is none"


def _uefi(esp: str | None, on_esp: Loaders | Unknown | None, architecture: str) -> tuple[bool, str, bool]:
    if esp is None:
        return False, "no EFI system partition", False
    if isinstance(on_esp, Unknown) or on_esp is None:
        return False, f"EFI system partition {esp} could not be read", False
    if architecture in on_esp.fallback:
        return True, f"\\EFI\\BOOT\\{_FALLBACKS[architecture].upper()} on {esp}", False
    if architecture not in _FALLBACKS and on_esp.fallback:
        return True, f"\\EFI\\BOOT for {', '.join(on_esp.fallback)} on {esp}", False
    vendors = [path for path in on_esp.files if path.split("/")[2].lower() != "boot"]
    if vendors:
        return True, f"{shown(vendors[0])} on {esp}, but no \\EFI\\BOOT\\BOOT*.EFI for {architecture}", True
    return False, f"EFI system partition {esp} holds no loader for {architecture}", False


def console(tree: Tree) -> Console:
    """The console of a Linux: what its bootloader, its kernel and its systemd use."""
    arguments = found(lambda: kernel_arguments(tree))
    words = known(arguments) or ()
    consoles = tuple(word.removeprefix("console=") for word in words if word.startswith("console="))
    return Console(arguments, consoles, found(lambda: _gettys(tree, consoles)), found(lambda: _grub_terminal(tree)))


def kernel_arguments(tree: Tree) -> tuple[str, ...]:
    """Of the first entry of the boot menu.  Raises HarnessError where there is no menu, or no entry in it."""
    entries = menu_entries(tree)
    if not entries:
        raise HarnessError("no entry of GRUB's menu is found", where="/boot")
    return tuple(map(shown, entries[0].line.split()))


def _gettys(tree: Tree, consoles: Sequence[str]) -> tuple[str, ...]:
    terminals = []
    for template in ("getty", "serial-getty", "console-getty"):
        folders = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
        for link in (path for folder in folders for path in tree.glob(f"{folder}/*.wants/{template}@*.service")):
            terminal = link.rpartition("@")[2].removesuffix(".service")
            unit = unit_file(tree, f"{template}@{terminal}.service")
            if terminal and unit and not is_masked(tree, unit):
                terminals.append(terminal)
    # systemd-getty-generator(8) starts one on the kernel's console, which is the last that the arguments name.
    if consoles and (device := consoles[-1].split(",")[0]) not in ("tty0", "null", ""):
        terminals.append(device)
    return tuple(dict.fromkeys(map(shown, terminals)))


def _grub_terminal(tree: Tree) -> tuple[str, ...]:
    for path in _GRUB_CONFIGS:
        text = text_of(tree, path)
        if text is not None:
            words = [word for _, line in _TERMINAL.findall(text) for word in line.split() if word != "--append"]
            # Without a word of its own GRUB uses the firmware's console.
            return tuple(dict.fromkeys(map(shown, words))) or ("console",)
    raise HarnessError("there is no grub.cfg", where=_GRUB_CONFIGS[0])
