"""The dirty flag of an NTFS, as mkntfs makes one and with bytes changed."""

from __future__ import annotations

import random
import struct
import subprocess
from pathlib import Path

import pytest
from inspection_help import MIB, reader

from goldsmith.inspection.facts import Unknown, found
from goldsmith.inspection.ntfs import NtfsState, ntfs_state


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "ntfs"
    with path.open("wb") as stream:
        stream.truncate(8 * MIB)
    subprocess.run(["/usr/sbin/mkntfs", "-q", "-F", "-f", path], check=True, capture_output=True)
    return path


def record(content: bytearray) -> int:
    """Where the record of $Volume is."""
    cluster = struct.unpack_from("<H", content, 11)[0] * content[13]
    return int(struct.unpack_from("<Q", content, 48)[0] * cluster + 3 * 1024)


def flags(content: bytearray) -> int:
    """Where the flags of $VOLUME_INFORMATION are."""
    at = record(content)
    here = at + struct.unpack_from("<H", content, at + 20)[0]
    while struct.unpack_from("<I", content, here)[0] != 0x70:
        here += struct.unpack_from("<I", content, here + 4)[0]
    return int(here + struct.unpack_from("<H", content, here + 20)[0] + 10)


def test_a_clean_volume_and_a_dirty_one(volume: Path) -> None:
    assert ntfs_state(reader(volume)) == NtfsState("3.1", dirty=False)
    content = bytearray(volume.read_bytes())
    content[flags(content)] |= 1
    volume.write_bytes(bytes(content))
    assert ntfs_state(reader(volume)) == NtfsState("3.1", dirty=True)
    # Another flag is not that one.
    content[flags(content)] = 2
    volume.write_bytes(bytes(content))
    assert ntfs_state(reader(volume)).dirty is False


def test_what_is_none(volume: Path) -> None:
    content = bytearray(volume.read_bytes())
    for place, why in ((3, "no boot sector"), (record(content), "no record of"), (record(content) + 510, "torn")):
        spoiled = bytearray(content)
        spoiled[place] ^= 0x55
        volume.write_bytes(bytes(spoiled))
        with pytest.raises(ValueError, match=why):
            ntfs_state(reader(volume))
    volume.write_bytes(b"")
    assert isinstance(found(lambda: ntfs_state(reader(volume))), Unknown)


def test_a_thousand_spoiled_volumes(volume: Path) -> None:
    good = bytearray(volume.read_bytes())
    at, chance = record(good), random.Random(7)
    for _ in range(1000):
        content = bytearray(good)
        for _ in range(chance.randrange(1, 12)):
            content[chance.choice((chance.randrange(11, 80), at + chance.randrange(1024)))] = chance.randrange(256)

        def read(offset: int, size: int, content: bytearray = content) -> bytes:
            assert size <= 4096
            return bytes(content[offset : offset + size])

        assert isinstance(found(lambda read=read: ntfs_state(read)), (NtfsState, Unknown))
