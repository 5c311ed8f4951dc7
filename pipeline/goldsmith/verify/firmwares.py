"""What firmware a disk is made for, by its first sectors."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

from goldsmith.host.disk_format import DiskFormat
from goldsmith.host.run import run
from goldsmith.store.manifest import Firmware

#: bytes that hold the boot code, and in a GPT the header and its usual 128 entries
HEAD = 64 * 1024
_SECTOR = 512
#: boot code in front of a partition table
_CODE = 440
_ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b").bytes_le
_ESP_MBR = 0xEF


def bootable_with(image: Path, image_format: DiskFormat) -> tuple[Firmware, ...]:
    """BIOS where there is boot code in the first sector, UEFI where there is an EFI system partition.

    A disk with neither is one for BIOS: it is booted, and what then does not happen is the finding.
    """
    with tempfile.TemporaryDirectory(prefix="goldsmith-") as folder:
        file = Path(folder) / "head"
        # Read by QEMU, which knows both formats; the caller has looked whether the image is safe to open.
        argv = ["qemu-img", "dd", "-f", image_format, "-O", "raw", f"bs={HEAD}", "count=1", f"if={image}", f"of={file}"]
        run(argv, deadline=60, hint="run: goldsmith doctor")
        return firmwares(file.read_bytes())


def firmwares(head: bytes) -> tuple[Firmware, ...]:
    """The same for the first bytes of a disk."""
    found: list[Firmware] = []
    if any(head[:_CODE]):
        found.append("bios")
    if _has_esp(head):
        found.append("uefi")
    return tuple(found) or ("bios",)


def _has_esp(head: bytes) -> bool:
    header = head[_SECTOR : 2 * _SECTOR]
    if header.startswith(b"EFI PART"):
        # UEFI specification, 5.3.2: the entries' first sector, number and size.
        first, number, size = (
            int.from_bytes(header[at : at + length], "little") for at, length in ((72, 8), (80, 4), (84, 4))
        )
        starts = range(first * _SECTOR, min(len(head), first * _SECTOR + number * size), max(size, 128))
        return any(head[at : at + 16] == _ESP for at in starts)
    return any(head[446 + 16 * entry + 4 : 446 + 16 * entry + 5] == bytes([_ESP_MBR]) for entry in range(4))
