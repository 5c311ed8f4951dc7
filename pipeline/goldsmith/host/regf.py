"""The first block of a Windows registry hive: is it one, is it whole, is it clean.

Layout: github.com/msuhanov/regf, "Windows registry file format specification", base block.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

#: bytes that Head.read needs; the checksum is the last word of them
HEAD_SIZE = 512
_CHECKSUM = 508


class HiveProblemError(ValueError):
    """A hive that cannot be worked with; the text is for the operator, ``hint`` is what to do."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True)
class Head:
    """Fields of the base block.  ``size`` is that of the hive bins, which begin at byte 4096; ``root`` is in them.

    ``kind`` is 0 for a hive, 1 and 2 for its older logs, 6 for the log of Windows 8.1 and later.
    """

    first: int
    second: int
    version: tuple[int, int]
    kind: int
    root: int
    size: int
    checksum_holds: bool

    @property
    def dirty(self) -> bool:
        """Whether what was written last is in the transaction logs and not in the file."""
        return self.first != self.second


def checksum(block: bytes | bytearray) -> int:
    """What belongs at offset 508: the XOR of the words before it; 1 and -2 stand for 0 and -1."""
    found = 0
    for word in struct.unpack_from(f"<{_CHECKSUM // 4}I", block):
        found ^= word
    return {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(found, found)


def seal(block: bytearray, *, sequence: int) -> None:
    """Write both sequence numbers and the checksum that follows into a base block, in place."""
    struct.pack_into("<II", block, 4, sequence, sequence)
    struct.pack_into("<I", block, _CHECKSUM, checksum(block))


def read_head(block: bytes) -> Head:
    """Raises HiveProblemError where ``block``, the file's first 512 bytes or more, does not begin a hive or its log."""
    if len(block) < HEAD_SIZE or block[:4] != b"regf":
        raise HiveProblemError("is no registry hive")
    first, second = struct.unpack_from("<II", block, 4)
    major, minor, kind, _ = struct.unpack_from("<4I", block, 20)
    root, size = struct.unpack_from("<II", block, 36)
    (stored,) = struct.unpack_from("<I", block, _CHECKSUM)
    return Head(first, second, (major, minor), kind, root, size, stored == checksum(block))


def clean_head(block: bytes, *, also: str = "") -> Head:
    """The head of a hive that may be read and written; ``also`` is added to the hint for a dirty one.

    Raises HiveProblemError: no hive, dirty, or damaged.
    """
    head = read_head(block)
    if head.dirty:
        raise HiveProblemError(
            f"is dirty: its sequence numbers are {head.first} and {head.second}, so what was written last is in its "
            "transaction logs and not in the file",
            f"start this Windows and shut it down (shutdown /s /t 0), so that it writes its logs into the hive{also}",
        )
    if not head.checksum_holds:
        raise HiveProblemError("is damaged: the checksum of its first block is wrong")
    return head
