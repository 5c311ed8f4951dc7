"""The partitioned disk: one layout that boots with BIOS and with UEFI and can grow at its end.

The root file system is partition 1 and lies last on the disk, so that it can grow; the boot partitions are 14 and
15, as in the images of the distributions.  Types are those of the Discoverable Partitions Specification, by which
systemd-repart finds the root partition that it grows.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from goldsmith.errors import InputError

SECTOR = 512
MIB = 2**20

BIOS_BOOT_TYPE = "21686148-6449-6E6F-744E-656564454649"
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
ROOT_TYPE_X86_64 = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"

BIOS_BOOT_NUMBER = 14
ESP_NUMBER = 15
ROOT_NUMBER = 1


@dataclass(frozen=True)
class Partition:
    """One partition; ``start`` and ``size`` in bytes, multiples of 1 MiB."""

    number: int
    start: int
    size: int
    type_guid: str
    guid: str
    name: str


@dataclass(frozen=True)
class Layout:
    """A whole disk of ``size`` bytes."""

    size: int
    disk_guid: str
    bios_boot: Partition
    esp: Partition
    root: Partition
    #: UUID of the ext4 file system
    root_uuid: str
    #: serial number of the FAT file system, 32 bits
    esp_serial: int
    #: seed of ext4's directory hashes
    hash_seed: str

    @property
    def esp_uuid(self) -> str:
        """The FAT serial as /dev/disk/by-uuid spells it."""
        return f"{self.esp_serial >> 16:04X}-{self.esp_serial & 0xFFFF:04X}"

    def sfdisk_script(self) -> str:
        """The partition table in sfdisk's own language (sfdisk(8), named-fields format)."""
        lines = ["label: gpt", f"label-id: {self.disk_guid}", "unit: sectors", "first-lba: 2048", ""]
        for part in (self.bios_boot, self.esp, self.root):
            lines.append(
                f"{part.number} : start={part.start // SECTOR}, size={part.size // SECTOR}, "
                f'type={part.type_guid}, uuid={part.guid}, name="{part.name}"'
            )
        return "\n".join(lines) + "\n"


#: the smallest root file system that holds a bare distribution
MINIMUM_SIZE = 1024 * MIB


def make_layout(size: int, digest: str) -> Layout:
    """Lay out a disk of ``size`` bytes; every identifier is derived from ``digest`` (the recipe's), so that the
    same inputs give the same disk.

    Raises InputError if the size is not a multiple of 1 MiB or too small.
    """
    if size % MIB or size < MINIMUM_SIZE:
        raise InputError(
            f"a disk of {size} bytes cannot be made",
            where="disk.size",
            hint=f"give a multiple of 1 MiB, at least {MINIMUM_SIZE // MIB}MiB",
        )
    seed = uuid.uuid5(uuid.NAMESPACE_OID, digest)

    def identifier(what: str) -> uuid.UUID:
        return uuid.uuid5(seed, what)

    def partition(number: int, start_mib: int, size_mib: int, type_guid: str, name: str) -> Partition:
        return Partition(number, start_mib * MIB, size_mib * MIB, type_guid, str(identifier(name)).upper(), name)

    # GPT keeps its backup in the last 33 sectors: the last MiB stays free.
    return Layout(
        size=size,
        disk_guid=str(identifier("disk")).upper(),
        bios_boot=partition(BIOS_BOOT_NUMBER, 1, 3, BIOS_BOOT_TYPE, "bios"),
        esp=partition(ESP_NUMBER, 4, 124, ESP_TYPE, "esp"),
        root=partition(ROOT_NUMBER, 128, size // MIB - 129, ROOT_TYPE_X86_64, "root"),
        root_uuid=str(identifier("root file system")),
        esp_serial=identifier("esp file system").int & 0xFFFFFFFF,
        hash_seed=str(identifier("hash seed")),
    )
