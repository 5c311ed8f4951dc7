"""What the tests of goldsmith.boot share: settings in a scratch folder and a guest that is one boot sector."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldsmith.boot.accelerator import Accelerator
from goldsmith.settings import Settings, from_environment

#: Says hello on ttyS0, then echoes: keys on the VGA text screen, bytes from ttyS0 back to ttyS0.
#: Real mode at 0000:7C00; int 10h/0Eh writes a character, int 16h/1 looks for a key, 3F8h is the UART.
BOOT_SECTOR = (
    b"\xba\xf8\x03"  # mov dx, 0x3f8
    + b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in b"\x1b[1mhello\x1b[0m\r\n")  # mov al, c; out dx, al
    + b"\xb4\x01\xcd\x16"  # look: mov ah, 1; int 0x16
    + b"\x74\x0b"  # jz serial
    + b"\xb4\x00\xcd\x16"  # mov ah, 0; int 0x16
    + b"\xb4\x0e\xbb\x07\x00\xcd\x10"  # mov ah, 0x0e; mov bx, 7; int 0x10
    + b"\xba\xfd\x03\xec\xa8\x01"  # serial: mov dx, 0x3fd; in al, dx; test al, 1
    + b"\x74\xe7"  # jz look
    + b"\xba\xf8\x03\xec\xee"  # mov dx, 0x3f8; in al, dx; out dx, al
    + b"\xeb\xe0"  # jmp look
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose folders are all below the test's own."""
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return from_environment({"HOME": str(tmp_path), "GOLDSMITH_CACHE": str(tmp_path / "cache"), "PATH": path})


@pytest.fixture
def emulation() -> Accelerator:
    """TCG, without measuring."""
    return Accelerator("tcg", "a test", {"tcg": 0.1}, 1.0)


@pytest.fixture
def boot_disk(tmp_path: Path) -> Path:
    """A raw disk with BOOT_SECTOR."""
    disk = tmp_path / "tiny.raw"
    disk.write_bytes(BOOT_SECTOR.ljust(510, b"\x00") + b"\x55\xaa" + bytes(1 << 20))
    return disk
