"""Entries merged into hives: the right control set, nothing else touched, nothing written twice, bad hives refused."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bake.hive_help import MOUNTED, ZONE, SmallHive, absent, entry, small_system

from goldsmith.bake import registry
from goldsmith.bake.registry import examine_hive, merge, read_key
from goldsmith.bake.registry_reader import Hive
from goldsmith.errors import HarnessError, InputError
from goldsmith.host.regf import HiveProblemError, seal
from windows_samples import real

SETS = [("ControlSet001", "Control", "TimeZoneInformation"), ("ControlSet002", "Control", "TimeZoneInformation")]
ONE = (4, b"\x01\0\0\0")


def put(folder: Path, content: bytes) -> Path:
    path = folder / "SYSTEM"
    path.write_bytes(content)
    return path


def regipy_values(path: Path, key: str) -> dict[str, tuple[str, Any]]:
    """The values of a key as regipy, which shares nothing with hivex or our reader, has them."""
    from regipy.registry import RegistryHive

    found = RegistryHive(str(path)).get_key(f"\\{key}")
    return {value.name: (str(value.value_type), value.value) for value in found.iter_values(as_json=True)}


def test_a_real_hive(tmp_path: Path) -> None:
    path = put(tmp_path, real("SYSTEM"))
    zones = ["ControlSet001\\Control\\TimeZoneInformation", "ControlSet002\\Control\\TimeZoneInformation"]
    old = [regipy_values(path, key) for key in (*zones, "MountedDevices", "Select")]
    before = Hive(real("SYSTEM")).everything()

    merged = merge(path, [entry(), absent(r"\DosDevices\E:", key=MOUNTED)])

    assert merged.control_set == "ControlSet001"
    assert [(change.key, change.value, change.after) for change in merged.changes] == [
        (zones[0], "RealTimeIsUniversal", ONE),
        ("MountedDevices", "\\DosDevices\\E:", None),
    ]
    new = [regipy_values(path, key) for key in (*zones, "MountedDevices", "Select")]
    assert new[0] == old[0] | {"RealTimeIsUniversal": ("REG_DWORD", 1)}
    assert new[1] == old[1]
    assert new[2] == {name: value for name, value in old[2].items() if name != "\\DosDevices\\E:"}
    assert new[3] == old[3]
    after = Hive(path.read_bytes()).everything()
    assert len(after) == 30756
    assert {key for key in before if before[key] != after[key]} == {SETS[0], ("MountedDevices",)}

    once = path.read_bytes()
    stamp = path.stat().st_mtime_ns
    assert merge(path, [entry(), absent(r"\DosDevices\E:", key=MOUNTED)]).changes == ()
    assert path.read_bytes() == once
    assert path.stat().st_mtime_ns == stamp


def cells_of(content: bytes, path: tuple[str, ...]) -> set[int]:
    """The bytes of a key's own cells: the key, its list of values, the values and what they hold."""
    found: set[int] = set()

    def cell(place: int) -> int:
        (size,) = struct.unpack_from("<i", content, 4096 + place)
        found.update(range(4096 + place, 4096 + place - size))
        return 4096 + place + 4

    key = Hive(content).find(path)
    assert key is not None
    count, listed = struct.unpack_from("<II", content, cell(key.place) + 36)
    for value in struct.unpack_from(f"<{count}I", content, cell(listed)):
        size, where = struct.unpack_from("<II", content, cell(value) + 4)
        if size < 0x80000000:
            cell(where)
    return found


def test_every_byte_that_is_not_of_the_changed_key_is_where_it_was(tmp_path: Path) -> None:
    old = real("SYSTEM")
    path = put(tmp_path, old)
    merge(path, [entry()])
    new = path.read_bytes()
    # sequence numbers and time, size of the bins, checksum
    head = {*range(4, 20), *range(40, 44), *range(508, 512)}
    differing = {at for at in range(len(old)) if old[at] != new[at]}
    assert differing - head
    assert differing <= head | cells_of(old, SETS[0])
    assert struct.unpack_from("<II", new, 4) == (13984, 13984)


def regipy_everything(path: Path) -> dict[str, dict[str, Any]]:
    """Every key and value of a small hive, by regipy."""
    from regipy.registry import RegistryHive

    found = {}
    todo = [("", RegistryHive(str(path)).root)]
    while todo:
        name, key = todo.pop()
        values = key.iter_values(as_json=True) if key.values_count else ()
        found[name] = {value.name: (str(value.value_type), value.value) for value in values}
        todo += [(f"{name}\\{each.name}", each) for each in (key.iter_subkeys() if key.subkey_count else ())]
    return found


def test_all_else_is_the_same_to_another_parser(tmp_path: Path) -> None:
    path = put(tmp_path, small_system().content)
    before = regipy_everything(path)
    merge(path, [entry(), absent(r"\DosDevices\C:", key=MOUNTED)])
    before["\\ControlSet001\\Control\\TimeZoneInformation"]["RealTimeIsUniversal"] = ("REG_DWORD", 1)
    del before["\\MountedDevices"]["\\DosDevices\\C:"]
    assert len(before) == 9
    assert regipy_everything(path) == before


def test_the_control_set_is_the_current_one(tmp_path: Path) -> None:
    path = put(tmp_path, small_system(current=2).content)
    assert merge(path, [entry()]).control_set == "ControlSet002"
    found = Hive(path.read_bytes()).everything()
    assert "RealTimeIsUniversal" not in found[SETS[0]]
    assert found[SETS[1]]["RealTimeIsUniversal"] == ONE
    state = examine_hive(path)
    assert (state.control_set, state.next_control_set, state.keys) == ("ControlSet002", "ControlSet002", 9)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (entry(), ONE),
        (entry("Text", "ä", kind="REG_SZ"), (1, "ä\0".encode("utf-16-le"))),
        (entry("Path", "%SystemRoot%", kind="REG_EXPAND_SZ"), (2, "%SystemRoot%\0".encode("utf-16-le"))),
        (entry("Many", ["one", "two"], kind="REG_MULTI_SZ"), (7, "one\0two\0\0".encode("utf-16-le"))),
        (entry("Raw", "DE AD", kind="REG_BINARY"), (3, b"\xde\xad")),
        (entry("Big", 2**64 - 1, kind="REG_QWORD"), (11, b"\xff" * 8)),
        (entry("@", "own", kind="REG_SZ"), (1, "own\0".encode("utf-16-le"))),
        (entry("bias", 9), (4, b"\x09\0\0\0")),
    ],
    ids=lambda each: each.value if hasattr(each, "value") else None,
)
def test_every_type(tmp_path: Path, given: Any, wanted: tuple[int, bytes]) -> None:
    path = put(tmp_path, small_system().content)
    assert len(merge(path, [given]).changes) == 1
    found = {name.upper(): value for name, value in Hive(path.read_bytes()).everything()[SETS[0]].items()}
    assert found[given.name.upper()] == wanted
    assert found["NAME"] == (1, "W. Europe\0".encode("utf-16-le"))
    assert merge(path, [given]).changes == ()


def test_a_qword_is_replaced_and_an_absent_value_stays_absent(tmp_path: Path) -> None:
    path = put(tmp_path, small_system(RealTimeIsUniversal=(11, b"\x01" + bytes(7))).content)
    (change,) = merge(path, [entry()]).changes
    assert (change.before, change.after) == ((11, b"\x01" + bytes(7)), ONE)
    assert len(merge(path, [absent("RealTimeIsUniversal")]).changes) == 1
    content = path.read_bytes()
    assert merge(path, [absent("RealTimeIsUniversal"), absent("x", key=r"HKLM\SYSTEM\No\Such")]).changes == ()
    assert path.read_bytes() == content


def test_a_key_is_made_below_one_that_is_there(tmp_path: Path) -> None:
    path = put(tmp_path, small_system().content)
    merge(path, [entry("v", 3, key=r"HKLM\SYSTEM\CurrentControlSet\Control\New")])
    assert read_key(path, r"HKLM\SYSTEM\CurrentControlSet\Control\new") == {"v": (4, b"\x03\0\0\0")}
    with pytest.raises(InputError, match=r"there is no key HKLM\\SYSTEM\\CurrentControlSet\\Services\\partmgr"):
        merge(path, [entry("v", 3, key=r"HKLM\SYSTEM\CurrentControlSet\Services\partmgr\Parameters")])


def test_what_cannot_be_merged(tmp_path: Path) -> None:
    path = put(tmp_path, small_system().content)
    with pytest.raises(InputError, match="is to be two things at once"):
        merge(path, [entry(), entry(data=0, key=ZONE.replace("CurrentControlSet", "controlset001"))])
    with pytest.raises(ValueError, match="two hives"):
        merge(path, [entry(), entry(key=r"HKLM\SOFTWARE\x")])
    assert path.read_bytes() == small_system().content
    # A value in pieces, which hivex would write in one.
    large = SmallHive({("Zone",): {"Large": (3, bytes(16345))}})
    path.write_bytes(large.content)
    with pytest.raises(InputError, match="`Large`, which is too large"):
        merge(path, [entry("v", key=r"HKLM\SYSTEM\Zone")])
    assert path.read_bytes() == large.content


def broken(content: bytes, at: int, new: bytes) -> bytes:
    spoilt = bytearray(content)
    spoilt[at : at + len(new)] = new
    if at < 508:
        seal(spoilt, sequence=7)
    return bytes(spoilt)


GOOD = small_system()
NK = 4096 + GOOD.places[SETS[0]] + 4
#: a key's number of subkeys, and where their list is
SET, ROOTS_KEYS = GOOD.places[("ControlSet001",)], slice(4096 + 32 + 24, 4096 + 32 + 36)
BAD = {
    "no hive": (b"MZ" + GOOD.content[2:], "is no registry hive"),
    "empty": (b"", "is no registry hive"),
    "dirty": (GOOD.content[:4] + b"\x09" + GOOD.content[5:], "is dirty: its sequence numbers are 9 and 7"),
    "checksum": (GOOD.content[:508] + b"\1\2\3\4" + GOOD.content[512:], "the checksum of its first block is wrong"),
    "cut": (GOOD.content[:6000], "its head says 4096 bytes, and 1904 are there"),
    "head only": (GOOD.content[:4096], "its head says 4096 bytes, and 0 are there"),
    "no bin": (broken(GOOD.content, 4096, b"xxxx"), "no hive bin at byte 4096"),
    "no key": (broken(GOOD.content, NK, b"xx"), "no key at"),
    "outside": (broken(GOOD.content, 36, b"\0\0\xff\x7f"), "a key lies outside"),
    "loop": (broken(GOOD.content, 4096 + SET + 24, GOOD.content[ROOTS_KEYS]), "is there twice: a loop"),
    "name": (broken(GOOD.content, NK + 72, b"\xff\xff"), "a name is longer than its cell"),
    "values": (broken(GOOD.content, NK + 36, b"\xff\xff\xff\x7f"), "a list of values"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_hives_are_refused_and_unchanged(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    path = put(tmp_path, content)
    for action in (
        lambda: merge(path, [entry()], where="disk: /x/SYSTEM"),
        lambda: examine_hive(path, where="disk: /x/SYSTEM"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            action()
        assert caught.value.where == "disk: /x/SYSTEM"
    assert path.read_bytes() == content


def test_the_good_one_is_taken(tmp_path: Path) -> None:
    """The control of the test above."""
    assert len(merge(put(tmp_path, GOOD.content), [entry()]).changes) == 1


def test_hives_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, GOOD.content)
    with pytest.raises(InputError, match="a hive of more than 0 MiB is not opened"):
        merge(path, [entry()], limit=8191)
    monkeypatch.setattr(registry, "available_memory", lambda: 100_000)
    with pytest.raises(InputError, match="of memory are needed"):
        merge(path, [entry()])
    monkeypatch.undo()
    assert len(merge(path, [entry()], limit=8192).changes) == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        examine_hive(tmp_path / "nothing")


def test_no_control_set(tmp_path: Path) -> None:
    path = put(tmp_path, small_system(current=3).content)
    with pytest.raises(InputError, match="no control set of the number in Select"):
        merge(path, [entry()])
    assert examine_hive(put(tmp_path, SmallHive({("x",): {}}).content)).control_set is None


@pytest.mark.parametrize("lie", ["another value", "an uncounted write", "no hive"])
def test_what_hivex_wrote_is_not_taken_on_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    wrong = small_system(RealTimeIsUniversal=ONE, More=ONE)

    def write(request: dict[str, Any]) -> None:
        content = bytearray(wrong.content)
        seal(content, sequence=7 if lie == "an uncounted write" else 8)
        Path(request["out"]).write_bytes(content if lie != "no hive" else b"regf")

    monkeypatch.setattr(registry, "work", write)
    path = put(tmp_path, GOOD.content)
    with pytest.raises(HarnessError, match=r"what hivex wrote is|did not count it"):
        merge(path, [entry()])
    assert path.read_bytes() == GOOD.content


def test_a_worker_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "worker.py"
    program.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(registry.registry_worker, "__file__", str(program))
    path = put(tmp_path, GOOD.content)
    with pytest.raises(InputError, match="makes hivex fail: the process was killed by SIGSEGV"):
        merge(path, [entry()])
    assert path.read_bytes() == GOOD.content


def test_a_thousand_spoilt_hives() -> None:
    """Read without a crash, whatever is in them; most are refused, some differ in a value only."""
    chance = random.Random(5)
    refused = 0
    for _ in range(1000):
        content = bytearray(GOOD.content)
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(4096, 4096 + 1400)] = chance.randrange(256)
        try:
            Hive(bytes(content)).everything()
        except HiveProblemError:
            refused += 1
    assert 300 < refused < 1000
