"""Transaction logs: which entries are applied, in which order, and that a real dirty hive has them afterwards."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bake.hive_help import entry, small_system

from goldsmith.bake import registry
from goldsmith.bake.registry import merge
from goldsmith.bake.registry_logs import applicable, log_entries, marvin32, recover
from goldsmith.bake.registry_reader import Hive
from goldsmith.errors import HarnessError, InputError
from goldsmith.host.regf import HiveProblemError, read_head, seal
from windows_samples import real

SIZE = 4096
ONE = (4, b"\x01\0\0\0")


def replayed(hive: bytes) -> bytes:
    """The hive with all pages of the real logs written, LOG1's first: they are the earlier."""
    content = bytearray(hive)
    for log in ("SYSTEM_B.LOG1", "SYSTEM_B.LOG2"):
        for each in log_entries(real(log)):
            for offset, page in each.pages:
                content[SIZE + offset : SIZE + offset + len(page)] = page
    return bytes(content)


def test_a_real_dirty_hive(tmp_path: Path) -> None:
    from regipy.registry import RegistryHive

    hive, logs = tmp_path / "SYSTEM", [tmp_path / "SYSTEM.LOG1", tmp_path / "SYSTEM.LOG2"]
    hive.write_bytes(real("SYSTEM_B"))
    for log in logs:
        log.write_bytes(real(f"SYSTEM_B{log.suffix}"))
    with pytest.raises(InputError, match="is dirty: its sequence numbers are 1622 and 1621") as caught:
        merge(hive, [entry()])
    assert "--recover-registry" in (caught.value.hint or "")
    assert hive.read_bytes() == real("SYSTEM_B")

    found = recover(hive, *logs)
    assert (found.entries, found.pages, found.first, found.last) == (24, 315, 2107, 2130)
    content = hive.read_bytes()
    head = read_head(content)
    assert (head.first, head.second, head.checksum_holds, head.size) == (2130, 2130, True, 12591104)
    assert content[SIZE:] == replayed(real("SYSTEM_B"))[SIZE:]

    merge(hive, [entry()])
    zone = RegistryHive(str(hive)).get_key(r"\ControlSet001\Control\TimeZoneInformation")
    assert zone.get_value("RealTimeIsUniversal") == 1
    assert zone.get_value("TimeZoneKeyName") == "Eastern Standard Time"
    everything = Hive(hive.read_bytes()).everything()
    assert (len(everything), sum(map(len, everything.values()))) == (35595, 78902)
    with pytest.raises(InputError, match="is clean: there is nothing to recover"):
        recover(hive, *logs)


def test_the_order_that_regipy_takes_would_lose_what_came_later(tmp_path: Path) -> None:
    """Why it is given one log of ours: LOG2 is the later here, and it replays LOG1 over it."""
    from regipy.recovery import apply_transaction_logs

    for name in ("SYSTEM_B", "SYSTEM_B.LOG1", "SYSTEM_B.LOG2"):
        (tmp_path / name).write_bytes(real(name))
    paths = [str(tmp_path / name) for name in ("SYSTEM_B", "SYSTEM_B.LOG1", "SYSTEM_B.LOG2")]
    apply_transaction_logs(*paths, restored_hive_path=str(tmp_path / "out"))
    content = bytearray((tmp_path / "out").read_bytes())
    assert content[SIZE:] != replayed(real("SYSTEM_B"))[SIZE : len(content)]
    assert read_head(bytes(content)).size != 12591104


def test_the_hash() -> None:
    """As Windows wrote it: the second hash of the first entry of a real log."""
    log = real("SYSTEM_B.LOG1")
    assert marvin32(log[512:544]) == struct.unpack_from("<Q", log, 512 + 32)[0] == 0xDD88C5D7DF48F30A
    assert marvin32(b"") != marvin32(b"\0") != marvin32(b"\0\0\0\0\0")


def make_entry(sequence: int, *pages: tuple[int, bytes], bins: int = SIZE) -> bytes:
    body = b"".join(struct.pack("<II", offset, len(page)) for offset, page in pages) + b"".join(
        page for _, page in pages
    )
    size = -(-(40 + len(body)) // 512) * 512
    body = body.ljust(size - 40, b"\0")
    head = struct.pack("<4s5IQ", b"HvLE", size, 0, sequence, bins, len(pages), marvin32(body))
    return head + struct.pack("<Q", marvin32(head)) + body


def make_log(first: int, *entries: bytes, kind: int = 6) -> bytes:
    head = bytearray(512)
    struct.pack_into("<4s", head, 0, b"regf")
    struct.pack_into("<IIII", head, 20, 1, 5, kind, 1)
    struct.pack_into("<II", head, 36, 32, SIZE)
    seal(head, sequence=first)
    return bytes(head) + b"".join(entries)


def numbers(*logs: bytes, second: int = 5) -> list[int]:
    return [each.sequence for each in applicable(logs, second)]


def test_which_entries_are_applied() -> None:
    page = (0, b"x" * 512)
    assert numbers(make_log(5, make_entry(5, page), make_entry(6, page))) == [5, 6]
    # the other one first, whichever file it is
    assert numbers(make_log(7, make_entry(7)), make_log(5, make_entry(5), make_entry(6))) == [5, 6, 7]
    # what an earlier round left behind
    assert numbers(make_log(5, make_entry(5), make_entry(3))) == [5]
    assert numbers(make_log(5, make_entry(5), make_entry(7))) == [5]
    assert numbers(make_log(2, make_entry(2), make_entry(3)), make_log(5, make_entry(5))) == [5]
    assert numbers(make_log(5, make_entry(5)), b"", bytes(1024)) == [5]
    # torn while it was written
    torn = bytearray(make_entry(6, page))
    torn[200] ^= 1
    assert numbers(make_log(5, make_entry(5), bytes(torn), make_entry(7))) == [5]
    assert numbers(make_log(5, make_entry(5), make_entry(6)[:300])) == [5]
    assert numbers(make_log(5, make_entry(5), make_entry(6, (SIZE - 100, b"x" * 512)))) == [5]
    assert numbers(make_log(5, make_entry(5), make_entry(6, bins=SIZE + 1))) == [5]


@pytest.mark.parametrize(
    ("logs", "message"),
    [
        ([], "nothing that continues it"),
        ([make_log(2, make_entry(2))], "nothing that continues it"),
        ([make_log(6, make_entry(7))], "nothing that continues it"),
        ([make_log(5, make_entry(5))[:510] + b"\xff\xff" + make_entry(5)], "nothing that continues it"),
        ([make_log(5, make_entry(5)), make_log(8, make_entry(8))], "do not continue each other: 5 is followed by 8"),
        ([make_log(5, make_entry(5), kind=1)], "format before Windows 8.1"),
        ([b"MZ" + bytes(600) + b"x"], "a transaction log that is none"),
    ],
)
def test_logs_that_are_refused(logs: list[bytes], message: str) -> None:
    with pytest.raises(HiveProblemError, match=message):
        applicable([*logs], 5)


def test_entries_end_where_the_log_does() -> None:
    assert list(log_entries(make_log(5))) == []
    # A size of nothing would be read for ever.
    endless = bytearray(make_log(5, make_entry(5)))
    struct.pack_into("<I", endless, 516, 0)
    assert list(log_entries(bytes(endless))) == []


def dirty(folder: Path) -> tuple[Path, Path]:
    """A small hive with a log whose one entry sets the value."""
    wanted = bytearray(small_system(RealTimeIsUniversal=ONE).content)
    content = bytearray(small_system().content)
    struct.pack_into("<II", content, 4, 6, 5)
    from goldsmith.host.regf import checksum

    struct.pack_into("<I", content, 508, checksum(content))
    pages = [(at, bytes(wanted[SIZE + at : SIZE + at + 512])) for at in range(0, SIZE, 512)]
    hive, log = folder / "SYSTEM", folder / "SYSTEM.LOG1"
    # The head's root is the changed hive's; Windows never moves it.
    struct.pack_into("<I", content, 36, struct.unpack_from("<I", wanted, 36)[0])
    struct.pack_into("<I", content, 508, checksum(content))
    hive.write_bytes(content)
    log.write_bytes(make_log(5, make_entry(5, *pages)))
    return hive, log


def test_a_small_one(tmp_path: Path) -> None:
    hive, log = dirty(tmp_path)
    assert recover(hive, log, None).pages == 8
    zone = Hive(hive.read_bytes()).everything()[("ControlSet001", "Control", "TimeZoneInformation")]
    assert zone["RealTimeIsUniversal"] == ONE


@pytest.mark.parametrize("lie", ["a page", "more"])
def test_the_replay_is_not_taken_on_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    hive, log = dirty(tmp_path)
    before = hive.read_bytes()

    def work(request: dict[str, Any]) -> None:
        content = bytearray(Path(request["hive"]).read_bytes())
        if lie == "more":
            for each in applicable([Path(request["log"]).read_bytes()], 5):
                for offset, page in each.pages:
                    content[SIZE + offset : SIZE + offset + len(page)] = page
            content[-1] ^= 1
        Path(request["out"]).write_bytes(content)

    monkeypatch.setattr(registry, "work", work)
    with pytest.raises(HarnessError, match="is not what they hold"):
        recover(hive, log, None)
    assert hive.read_bytes() == before


def test_a_hive_that_the_logs_do_not_mend(tmp_path: Path) -> None:
    hive, log = dirty(tmp_path)
    log.write_bytes(make_log(5, make_entry(5, (0, b"\xff" * 512))))
    before = hive.read_bytes()
    with pytest.raises(InputError, match="is damaged: no hive bin"):
        recover(hive, log, None)
    hive.write_bytes(before[:508] + b"\1\1\1\1" + before[512:])
    with pytest.raises(InputError, match="the checksum of its first block is wrong"):
        recover(hive, log, None)
    hive.write_bytes(before)
    with pytest.raises(InputError, match="nothing that continues it"):
        recover(hive, None, tmp_path / "nothing")
    assert hive.read_bytes() == before
