"""A Windows registry hive read whole, in Python: nothing in it is trusted, and every step is bounded.

hivex, which writes, is C and takes much on trust; it is given only what this reader went through without a complaint.
Layout: github.com/msuhanov/regf, "Windows registry file format specification".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from goldsmith.host.regf import HiveProblemError, clean_head

_BINS = 4096
#: Windows itself allows no deeper keys ("Registry element size limits", learn.microsoft.com)
_DEEPEST = 512
_BIG = 16344
#: hives hold 100,000 values; more than this is made to keep us busy
_MOST_VALUES = 2_000_000
_INLINE = 0x8000_0000
_ASCII_KEY, _ASCII_VALUE = 0x20, 1

#: a key's path below the root, as it is written, and its values: name -> (type, bytes)
Values = dict[str, tuple[int, bytes]]


class DamagedHiveError(HiveProblemError):
    """A hive whose parts do not fit together."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"is damaged: {what}", "take the image from its source again, or start this Windows: it can repair"
        )


@dataclass(frozen=True)
class Key:
    """A key; ``place`` is its cell's offset in the hive bins."""

    path: tuple[str, ...]
    place: int


class Hive:
    """A clean hive in memory.  Every method raises HiveProblemError where the hive's parts do not fit."""

    def __init__(self, data: bytes) -> None:
        self.head = clean_head(data, also="; or have them replayed, with --recover-registry")
        self._data = data
        self._end = _BINS + self.head.size
        if self.head.size % 4096 or not self.head.size or self._end > len(data):
            raise DamagedHiveError(f"its head says {self.head.size} bytes, and {max(len(data) - _BINS, 0)} are there")
        self._bins()

    def _bins(self) -> None:
        at = _BINS
        while at < self._end:
            signature, offset, size = struct.unpack_from("<4sII", self._data, at)
            if signature != b"hbin" or offset != at - _BINS or size % 4096 or not 0 < size <= self._end - at:
                raise DamagedHiveError(f"no hive bin at byte {at}")
            at += size

    def _cell(self, place: int, least: int, what: str) -> bytes:
        """The content of an allocated cell, with at least ``least`` bytes."""
        at = _BINS + place
        if place % 8 or place < 32 or at + 4 > self._end:
            raise DamagedHiveError(f"{what} lies outside, at {place:#x}")
        (size,) = struct.unpack_from("<i", self._data, at)
        if size >= 0 or -size % 8 or -size < 4 + least or at - size > self._end:
            raise DamagedHiveError(f"{what} at {place:#x} has a size of {-size}")
        return self._data[at + 4 : at - size]

    @property
    def root(self) -> Key:
        return Key((), self.head.root)

    def _nk(self, key: Key) -> bytes:
        cell = self._cell(key.place, 76, "a key")
        if cell[:2] != b"nk":
            raise DamagedHiveError(f"no key at {key.place:#x}")
        return cell

    def subkeys(self, key: Key) -> list[Key]:
        """The keys right below ``key``."""
        cell = self._nk(key)
        count, place = struct.unpack_from("<I4xI", cell, 20)
        if not count:
            return []
        # One more than there should be is enough to know: lists of lists can be made to have no end.
        places = list(islice(self._listed(place, count, nested=True), count + 1))
        if len(places) != count:
            raise DamagedHiveError(f"a key has {count} keys below it and lists {len(places)}")
        return [Key((*key.path, self._name(each)), each) for each in places]

    def _listed(self, place: int, most: int, *, nested: bool) -> Iterator[int]:
        cell = self._cell(place, 4, "a list of keys")
        kind, count = struct.unpack_from("<2sH", cell)
        step = {b"lf": 8, b"lh": 8, b"li": 4, b"ri": 4}.get(kind)
        if step is None or count > most or len(cell) < 4 + count * step or (kind == b"ri" and not nested):
            raise DamagedHiveError(f"no list of keys at {place:#x}")
        for index in range(count):
            (found,) = struct.unpack_from("<I", cell, 4 + index * step)
            if kind == b"ri":
                yield from self._listed(found, most, nested=False)
            else:
                yield found

    def _name(self, place: int) -> str:
        cell = self._nk(Key((), place))
        (length,) = struct.unpack_from("<H", cell, 72)
        (flags,) = struct.unpack_from("<H", cell, 2)
        return self._text(cell, 76, length, ascii_=bool(flags & _ASCII_KEY))

    def _text(self, cell: bytes, start: int, length: int, *, ascii_: bool) -> str:
        raw = cell[start : start + length]
        if len(raw) != length:
            raise DamagedHiveError("a name is longer than its cell")
        try:
            return raw.decode("latin-1") if ascii_ else raw.decode("utf-16-le", errors="surrogatepass")
        except UnicodeDecodeError:
            raise DamagedHiveError("a name is half a letter too long") from None

    def values(self, key: Key) -> Values:
        """The values of a key; "" names the key's own."""
        cell = self._nk(key)
        count, place = struct.unpack_from("<II", cell, 36)
        if not count:
            return {}
        listed = self._cell(place, 4 * count, "a list of values")
        found: Values = {}
        held = 0
        for (each,) in struct.iter_unpack("<I", listed[: 4 * count]):
            name, kind, content = self._value(each)
            if name in found:
                raise DamagedHiveError(f"a key has the value `{name}` twice")
            found[name] = (kind, content)
            held += len(content)
            # No two values share their content, so all together fit into the hive.
            if held > self.head.size:
                raise DamagedHiveError("the values of a key hold more than the hive")
        return found

    def _value(self, place: int) -> tuple[str, int, bytes]:
        cell = self._cell(place, 20, "a value")
        signature, length, size, where, kind, flags = struct.unpack_from("<2sHIIIH", cell)
        if signature != b"vk":
            raise DamagedHiveError(f"no value at {place:#x}")
        name = self._text(cell, 20, length, ascii_=bool(flags & _ASCII_VALUE))
        if size & _INLINE:
            size &= ~_INLINE
            if size > 4:
                raise DamagedHiveError(f"the value `{name}` keeps {size} bytes where 4 fit")
            return name, kind, cell[8 : 8 + size]
        return name, kind, self._content(where, size, name) if size else b""

    def _content(self, place: int, size: int, name: str) -> bytes:
        what = f"the content of the value `{name}`"
        if size > self.head.size:
            raise DamagedHiveError(f"{what} is larger than the hive")
        cell = self._cell(place, 4, what)
        if size <= _BIG or cell[:2] != b"db" or len(cell) >= size:
            if len(cell) < size:
                raise DamagedHiveError(f"{what} is cut off")
            return cell[:size]
        count, segments = struct.unpack_from("<HI", self._cell(place, 8, what), 2)
        listed = self._cell(segments, 4 * count, what)
        parts = [self._cell(each, 4, what)[:_BIG] for (each,) in struct.iter_unpack("<I", listed[: 4 * count])]
        content = b"".join(parts)
        if len(content) < size:
            raise DamagedHiveError(f"{what} is cut off")
        return content[:size]

    def find(self, names: Sequence[str]) -> Key | None:
        """The key of these names below the root, in any case of letters; None where there is none."""
        if len(names) > _DEEPEST:
            return None
        key = self.root
        for name in names:
            wanted = name.upper()
            below = next((each for each in self.subkeys(key) if each.path[-1].upper() == wanted), None)
            if below is None:
                return None
            key = below
        return key

    def everything(self) -> dict[tuple[str, ...], Values]:
        """Every key with its values: the whole hive gone through, each key once."""
        found: dict[tuple[str, ...], Values] = {}
        seen: set[int] = set()
        values = held = 0
        todo = [self.root]
        while todo:
            key = todo.pop()
            if key.place in seen:
                raise DamagedHiveError(f"the key at {key.place:#x} is there twice: a loop")
            if len(key.path) > _DEEPEST:
                raise DamagedHiveError(f"keys are more than {_DEEPEST} deep")
            seen.add(key.place)
            if key.path in found:
                raise DamagedHiveError("a key has two keys of one name: " + "\\".join(key.path))
            found[key.path] = self.values(key)
            values += len(found[key.path])
            held += sum(len(content) for _, content in found[key.path].values())
            if values > _MOST_VALUES or held > self.head.size:
                raise DamagedHiveError("its values hold more than the hive")
            todo.extend(self.subkeys(key))
        return found


def control_set(hive: Hive) -> str:
    r"""The key that CurrentControlSet stands for: Select\\Current has its number.  Raises HiveProblemError."""
    select = hive.find(["Select"])
    values = {} if select is None else hive.values(select)
    kind, raw = next((value for name, value in values.items() if name.upper() == "CURRENT"), (0, b""))
    number = int.from_bytes(raw, "little") if kind == 4 and len(raw) == 4 else 0
    if not 0 < number < 1000 or hive.find([f"ControlSet{number:03d}"]) is None:
        raise HiveProblemError("has no control set of the number in Select\\Current: it is not the SYSTEM hive")
    return f"ControlSet{number:03d}"
