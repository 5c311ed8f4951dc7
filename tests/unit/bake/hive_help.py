"""A hive for the tests, made byte by byte, and entries for it."""

from __future__ import annotations

import struct

from goldsmith.host.regf import seal
from goldsmith.recipe.registry import Entry

ZONE = r"HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation"
MOUNTED = r"HKLM\SYSTEM\MountedDevices"


def entry(value: str = "RealTimeIsUniversal", data: object = 1, *, key: str = ZONE, kind: str = "REG_DWORD") -> Entry:
    return Entry.model_validate({"key": key, "value": value, "type": kind, "data": data})


def absent(value: str, *, key: str = ZONE) -> Entry:
    return Entry.model_validate({"key": key, "value": value, "absent": True})


class SmallHive:
    """A hive of a few keys in one bin: ``keys`` maps a path to its values, name -> (type, bytes).

    ``places`` has the offset of each key's cell and ``sequence`` both sequence numbers.
    """

    def __init__(self, keys: dict[tuple[str, ...], dict[str, tuple[int, bytes]]], sequence: int = 7) -> None:
        self.keys = {(): {}, **keys}
        self.places: dict[tuple[str, ...], int] = {}
        # regipy takes the first cell for the root, as Windows has it.
        self._bin = bytearray(32)
        self._add(bytes(76 + len("root")))
        self._security = self._add(struct.pack("<2sHIIII", b"sk", 0, 0x20, 0x20, 1, 0))
        root = self._key(())
        size = -(-len(self._bin) // 4096) * 4096
        if free := size - len(self._bin):
            self._bin += struct.pack("<i", free) + bytes(free - 4)
        struct.pack_into("<4sII", self._bin, 0, b"hbin", 0, size)
        head = bytearray(4096)
        struct.pack_into("<4sII8xIIII", head, 0, b"regf", sequence, sequence, 1, 5, 0, 1)
        struct.pack_into("<III", head, 36, root, size, 1)
        seal(head, sequence=sequence)
        self.content = bytes(head + self._bin)

    def _add(self, content: bytes) -> int:
        place = len(self._bin)
        size = -(-(len(content) + 4) // 8) * 8
        self._bin += struct.pack("<i", -size) + content.ljust(size - 4, b"\0")
        return place

    def _key(self, path: tuple[str, ...]) -> int:
        below = sorted((each for each in self.keys if each[:-1] == path and each), key=lambda each: each[-1].upper())
        places = [self._key(each) for each in below]
        subkeys = 0xFFFFFFFF
        if places:
            rows = b"".join(struct.pack("<I4s", place, bytes(4)) for place, each in zip(places, below, strict=True))
            subkeys = self._add(struct.pack("<2sH", b"lf", len(places)) + rows)
        values = [self._value(name, *value) for name, value in self.keys[path].items()]
        listed = self._add(struct.pack(f"<{len(values)}I", *values)) if values else 0xFFFFFFFF
        name = (path[-1] if path else "root").encode("latin-1")
        cell = struct.pack("<2sHQIIII", b"nk", 0x20 | (0x0C if not path else 0), 0, 0, 0x20, len(places), 0)
        cell += struct.pack("<IIIIII", subkeys, 0xFFFFFFFF, len(values), listed, self._security, 0xFFFFFFFF)
        cell += struct.pack("<IIIIIHH", 64, 0, 64, 64, 0, len(name), 0) + name
        if path:
            self.places[path] = self._add(cell)
        else:
            self.places[path] = 32
            self._bin[36 : 36 + len(cell)] = cell
        return self.places[path]

    def _value(self, name: str, kind: int, content: bytes) -> int:
        if len(content) <= 4:
            size, where = len(content) | 0x80000000, int.from_bytes(content.ljust(4, b"\0"), "little")
        else:
            size, where = len(content), self._add(content)
        raw = name.encode("latin-1")
        return self._add(struct.pack("<2sHIIIHH", b"vk", len(raw), size, where, kind, 1, 0) + raw)


def small_system(current: int = 1, **values: tuple[int, bytes]) -> SmallHive:
    """A SYSTEM hive with two control sets and ``values`` in TimeZoneInformation of the first."""
    zone = ("Control", "TimeZoneInformation")
    return SmallHive(
        {
            ("Select",): {"Current": (4, struct.pack("<I", current)), "Default": (4, b"\x02\0\0\0")},
            ("ControlSet001",): {},
            ("ControlSet001", "Control"): {},
            ("ControlSet001", *zone): {
                "Bias": (4, b"\1\0\0\0"),
                "Name": (1, "W. Europe\0".encode("utf-16-le")),
                **values,
            },
            ("ControlSet002",): {},
            ("ControlSet002", "Control"): {},
            ("ControlSet002", *zone): {"Bias": (4, b"\2\0\0\0")},
            ("MountedDevices",): {r"\DosDevices\C:": (3, bytes(range(12)))},
        }
    )
