"""The layout, as sfdisk writes and reads it."""

import itertools
import json
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from goldsmith.bake.layout import MIB, SECTOR, Layout, Partition, make_layout
from goldsmith.errors import ExitCode, InputError

GIB = 2**30
DIGEST = "d" * 64
SFDISK = shutil.which("sfdisk", path="/usr/sbin:/sbin:/usr/bin:/bin") or "sfdisk"


def _sfdisk(*words: str | Path, stdin: str = "") -> str:
    return subprocess.run([SFDISK, *words], input=stdin, capture_output=True, text=True, check=True).stdout


def _written(layout: Layout, raw: Path) -> dict[str, Any]:
    """The table that sfdisk makes of the layout, read back."""
    with raw.open("wb") as stream:
        stream.truncate(layout.size)
    _sfdisk("--quiet", "--no-tell-kernel", "--no-reread", raw, stdin=layout.sfdisk_script())
    table: dict[str, Any] = json.loads(_sfdisk("--json", raw))["partitiontable"]
    return table


@pytest.mark.parametrize("size", [GIB, 4 * GIB, 4 * GIB + MIB, 2048 * GIB])
def test_sfdisk_reads_back_what_was_laid_out(tmp_path: Path, size: int) -> None:
    layout = make_layout(size, DIGEST)
    raw = tmp_path / "disk.raw"
    table = _written(layout, raw)
    assert (table["label"], table["id"], table["sectorsize"]) == ("gpt", layout.disk_guid, SECTOR)
    found = {
        Partition(
            number=int(p["node"].removeprefix(str(raw))),
            start=p["start"] * SECTOR,
            size=p["size"] * SECTOR,
            type_guid=p["type"],
            guid=p["uuid"],
            name=p["name"],
        )
        for p in table["partitions"]
    }
    assert found == {layout.bios_boot, layout.esp, layout.root}
    assert "No errors detected" in _sfdisk("--verify", raw)


@pytest.mark.parametrize("size", [GIB, 4 * GIB])
def test_partitions_are_aligned_apart_and_leave_room_for_both_tables(size: int) -> None:
    layout = make_layout(size, DIGEST)
    parts = sorted((layout.bios_boot, layout.esp, layout.root), key=lambda part: part.start)
    assert [part.number for part in parts] == [14, 15, 1]
    assert all(part.start % MIB == 0 and part.size % MIB == 0 and part.size > 0 for part in parts)
    assert all(a.start + a.size <= b.start for a, b in itertools.pairwise(parts))
    assert parts[0].start >= MIB
    assert layout.root.start + layout.root.size == size - MIB
    # FAT32 has no fewer than 65525 clusters; smaller, and firmware takes it for FAT16.
    assert layout.esp.size >= 65525 * SECTOR


def test_the_root_partition_grows_in_place(tmp_path: Path) -> None:
    layout = make_layout(GIB, DIGEST)
    raw = tmp_path / "disk.raw"
    _written(layout, raw)
    with raw.open("r+b") as stream:
        stream.truncate(2 * GIB)
    _sfdisk("--quiet", "--no-tell-kernel", "--no-reread", "-N", "1", raw, stdin=", +\n")
    (root,) = [p for p in json.loads(_sfdisk("--json", raw))["partitiontable"]["partitions"] if p["name"] == "root"]
    assert root["start"] * SECTOR == layout.root.start
    assert root["size"] * SECTOR >= layout.root.size + GIB
    assert root["uuid"] == layout.root.guid


def _identifiers(layout: Layout) -> list[str]:
    parts = [layout.bios_boot.guid, layout.esp.guid, layout.root.guid]
    return [*parts, layout.disk_guid, layout.root_uuid, layout.hash_seed, layout.esp_uuid]


def test_identifiers_come_from_the_digest_alone() -> None:
    first = make_layout(GIB, DIGEST)
    assert first == make_layout(GIB, DIGEST)
    assert _identifiers(first) == _identifiers(make_layout(2 * GIB, DIGEST))
    others = _identifiers(make_layout(GIB, "e" * 64))
    everything = {identifier.lower() for identifier in (*_identifiers(first), *others)}
    assert len(everything) == 2 * len(others)
    assert {f.name for f in fields(Layout)} == {
        "size", "disk_guid", "bios_boot", "esp", "root", "root_uuid", "esp_serial", "hash_seed",
    }, "a new identifier belongs into _identifiers"  # fmt: skip


def test_a_fat_serial_is_spelled_with_its_zeros() -> None:
    layout = make_layout(GIB, DIGEST)
    assert Layout(**{**vars(layout), "esp_serial": 0x0001000A}).esp_uuid == "0001-000A"


@pytest.mark.parametrize("size", [0, -GIB, GIB - MIB, GIB + 1, GIB + SECTOR])
def test_a_size_that_cannot_be_laid_out(size: int) -> None:
    with pytest.raises(InputError, match=f"a disk of {size} bytes cannot be made") as caught:
        make_layout(size, DIGEST)
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert caught.value.where == "disk.size"
    assert "at least 1024MiB" in (caught.value.hint or "")
