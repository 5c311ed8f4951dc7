"""Drive letters: partitions to the bytes of MountedDevices and back, and one letter a volume."""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

import pytest
from tests.unit.bake.hive_help import MOUNTED, SmallHive, absent

from goldsmith.bake.registry import merge, read_key
from goldsmith.bake.registry_volumes import Partition, PartitionTable, letters, require_one_letter, resolved
from goldsmith.errors import InputError
from goldsmith.recipe.registry import Entry
from windows_samples import real

GUID = uuid.UUID("09931f21-7faf-44a9-81d8-1e73c14b9eaf")
#: of the real hives: SYSTEM's C: is this disk's first partition, SYSTEM_B's is a GPT partition
MBR = PartitionTable((Partition(1, 2**20), Partition(2, 2**30)), signature=0x5CBEA03E)
GPT = PartitionTable((Partition(1, 2**20, uuid.UUID(int=1)), Partition(4, 2**30, GUID)))
C_OF_SYSTEM = bytes.fromhex("3ea0be5c0000100000000000")
C_OF_SYSTEM_B = b"DMIO:ID:" + bytes.fromhex("211f9309af7fa94481d81e73c14b9eaf")


def pin(letter: str, **volume: object) -> Entry:
    data = {"volume": volume}
    return Entry.model_validate(
        {"key": MOUNTED, "value": f"\\DosDevices\\{letter}:", "type": "REG_BINARY", "data": data}
    )


@pytest.mark.parametrize(
    ("volume", "table", "wanted"),
    [
        ({"partition": 1}, MBR, C_OF_SYSTEM),
        ({"partition": 4}, GPT, C_OF_SYSTEM_B),
        ({"signature": "5CBEA03E", "offset": 2**20}, GPT, C_OF_SYSTEM),
        ({"guid": str(GUID)}, MBR, C_OF_SYSTEM_B),
        ({"partition": 2}, MBR, struct.pack("<IQ", 0x5CBEA03E, 2**30)),
    ],
)
def test_bytes(volume: dict[str, object], table: PartitionTable, wanted: bytes) -> None:
    ((found,)) = resolved([pin("R", **volume)], table)
    assert found.encoded() == (3, wanted)


def test_partitions_that_have_no_name() -> None:
    with pytest.raises(InputError, match="no partition 3") as caught:
        resolved([pin("R", partition=3)], GPT)
    assert caught.value.hint == "its partitions: 1, 4"
    for signature in (None, 0):
        with pytest.raises(InputError, match="no MBR signature"):
            resolved([pin("R", partition=1)], PartitionTable((Partition(1, 2**20),), signature))
    with pytest.raises(ValueError, match="once the disk is"):
        pin("R", partition=1).encoded()


def test_letters_of_a_real_hive(tmp_path: Path) -> None:
    path = tmp_path / "SYSTEM"
    path.write_bytes(real("SYSTEM"))
    mounted = read_key(path, MOUNTED)
    assert mounted is not None
    found = letters(mounted, MBR)
    assert [(each.letter, each.partition) for each in found] == [("A", None), ("C", 1), ("D", None), ("E", None)]
    assert found[1].means == "disk 5cbea03e, byte 1048576"
    assert found[3].means.startswith("_??_USBSTOR#Disk&Ven_HP")
    # another disk's letter is no partition of this one
    assert letters(mounted, PartitionTable(MBR.partitions, 1))[1].partition is None
    gpt = letters({"\\DosDevices\\c:": (3, C_OF_SYSTEM_B), "\\??\\Volume{x}": (3, b"")}, GPT)
    assert [(each.letter, each.partition, each.means) for each in gpt] == [("C", 4, f"GPT partition {GUID}")]


def test_pinned_and_freed(tmp_path: Path) -> None:
    path = tmp_path / "SYSTEM"
    path.write_bytes(
        SmallHive({("MountedDevices",): {f"\\DosDevices\\{x}:": (3, x.encode() * 12) for x in "CDE"}}).content
    )
    wanted = [*resolved([pin("R", partition=2)], MBR), absent("\\DosDevices\\D:", key=MOUNTED)]
    assert len(merge(path, wanted).changes) == 2
    mounted = read_key(path, MOUNTED)
    assert mounted is not None
    assert [each.letter for each in letters(mounted, MBR)] == ["C", "E", "R"]
    assert letters(mounted, MBR)[2].partition == 2


def test_one_letter_a_volume() -> None:
    mounted = {"\\DosDevices\\C:": (3, C_OF_SYSTEM), "\\DosDevices\\D:": (3, struct.pack("<IQ", 0x5CBEA03E, 2**30))}
    second = resolved([pin("R", partition=2)], MBR)
    with pytest.raises(InputError, match="one volume would have the letters D: and R:") as caught:
        require_one_letter(second, mounted)
    assert caught.value.hint == "free D as well"
    require_one_letter([*second, absent("\\DosDevices\\d:", key=MOUNTED)], mounted)
    require_one_letter(resolved([pin("D", partition=2), pin("C", partition=1)], MBR), mounted)
    with pytest.raises(InputError, match="C: and R:") as caught:
        require_one_letter(resolved([pin("R", partition=1)], MBR), mounted)
    assert caught.value.hint == "leave it its letter"
