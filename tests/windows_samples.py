"""What disks of Windows are made of in tests: hives, some of them a real one's, and programs that are a header only."""

from __future__ import annotations

import contextlib
import functools
import lzma
import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import hivex

from goldsmith.errors import HarnessError
from goldsmith.verify.tree import FolderTree, Hive

HIVES = Path(__file__).parent / "data/hives"
#: the disk that C: of the real hive means: its signature, and where the partition begins
SIGNATURE, START = 0x5CBEA03E, 1 << 20
SERVICES = ("ControlSet001", "Services")
VERSION = ("Microsoft", "Windows NT", "CurrentVersion")
PACKAGES = ("Microsoft", "Windows", "CurrentVersion", "Component Based Servicing", "Packages")

#: number of the type and bytes, as a hive has them
RawValue = tuple[int, bytes]
#: path of a key to its values
Keys = Mapping[tuple[str, ...], Mapping[str, RawValue]]


def dword(number: int) -> RawValue:
    return 4, struct.pack("<I", number & 0xFFFFFFFF)


def text(value: str) -> RawValue:
    return 1, f"{value}\0".encode("utf-16-le")


def mbr_letter(signature: int, offset: int) -> RawValue:
    return 3, struct.pack("<IQ", signature, offset)


def gpt_letter(guid: str) -> RawValue:
    return 3, b"DMIO:ID:" + uuid.UUID(guid).bytes_le


def software(number: int = 10, build: str = "17763", **more: RawValue) -> dict[tuple[str, ...], dict[str, RawValue]]:
    """Keys of a SOFTWARE that libguestfs and goldsmith take for a Windows Server 2019, or another."""
    values = {
        "ProductName": text("Windows Server 2019 Standard"),
        "EditionID": text("ServerStandard"),
        "InstallationType": text("Server"),
        "CurrentVersion": text("6.3"),
        "CurrentMajorVersionNumber": dword(number),
        "CurrentMinorVersionNumber": dword(0),
        "CurrentBuildNumber": text(build),
        "UBR": dword(1879),
        "ReleaseId": text("1809"),
        "SystemRoot": text("C:\\Windows"),
    }
    keys: dict[tuple[str, ...], dict[str, RawValue]] = {VERSION: {**values, **more}}
    for name, state in (
        ("Package_for_KB4480056~31bf3856ad364e35~amd64~~10.0.1.1", 0x70),
        ("Package_1_for_KB4480056~31bf3856ad364e35~amd64~~10.0.1.1", 0x70),
        ("Package_for_KB5000001~31bf3856ad364e35~amd64~~10.0.1.1", 0x50),
        ("Package_for_RollupFix~31bf3856ad364e35~amd64~~17763.1879.1.4", 0x70),
        ("Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~10.0.17763.1", 0x70),
    ):
        keys[(*PACKAGES, name)] = {"CurrentState": dword(state)}
    return keys


def driver(name: str, start: int = 0) -> dict[tuple[str, ...], dict[str, RawValue]]:
    """The service of a driver of system32/drivers."""
    path = 2, f"System32\\drivers\\{name}.sys\0".encode("utf-16-le")
    return {(*SERVICES, name): {"Start": dword(start), "Type": dword(1), "ImagePath": path}}


@functools.cache
def real(name: str) -> bytes:
    """A hive, or a log of one, of a computer that ran: data/hives/README.md."""
    return lzma.decompress((HIVES / f"{name}.xz").read_bytes())


def real_system(target: Path) -> Path:
    """The hive SYSTEM of a Windows 7, 32 bits, as its computer left it."""
    target.write_bytes(real("SYSTEM"))
    return target


def edit(path: Path, keys: Keys) -> Path:
    """Set values of a hive, keys made as needed; other values of a key that is there stay."""
    hive = hivex.Hivex(str(path), write=True)
    for names, values in keys.items():
        node = hive.root()
        for name in names:
            node = hive.node_get_child(node, name) or hive.node_add_child(node, name)
        for name, (kind, content) in values.items():
            hive.node_set_value(node, {"key": name, "t": kind, "value": content})
    hive.commit(None)
    return path


def new_hive(path: Path, keys: Keys) -> Path:
    """A hive with these keys alone."""
    path.write_bytes(empty_hive())
    return edit(path, keys)


def make_dirty(path: Path) -> None:
    """As a Windows leaves a hive that it did not come to write: the first sequence number is ahead."""
    content = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", content, 4)
    struct.pack_into("<I", content, 4, first + 1)
    struct.pack_into("<I", content, 508, _checksum(content))
    path.write_bytes(bytes(content))


def _checksum(head: bytes | bytearray) -> int:
    found = 0
    for word in struct.unpack_from("<127I", head):
        found ^= word
    return found


def _cell(content: bytes) -> bytes:
    size = -(-(len(content) + 4) // 8) * 8
    return struct.pack("<i", -size) + content.ljust(size - 4, b"\0")


def empty_hive() -> bytes:
    """A hive with a root key and nothing in it, which hivex has no way to make."""
    none, root = 0xFFFFFFFF, 0x20
    name = b"root"
    node = b"nk" + struct.pack("<HQIIII", 0x2C, 0, 0, root, 0, 0)
    # The root's security descriptor is the cell after it, whose place depends on the root's length only.
    length = len(_cell(node + bytes(52) + name))
    node += struct.pack("<IIIIII", none, none, 0, none, root + length, none)
    node += struct.pack("<IIIIIHH", 0, 0, 0, 0, 0, len(name), 0) + name
    descriptor = struct.pack("<BBHIIII", 1, 0, 0x8000, 0, 0, 0, 0)
    place = root + length
    security = b"sk" + struct.pack("<HIIII", 0, place, place, 1, len(descriptor)) + descriptor
    cells = _cell(node) + _cell(security)
    free = 4096 - 32 - len(cells)
    cells += struct.pack("<i", free) + bytes(free - 4)
    bin_header = b"hbin" + struct.pack("<IIQQI", 0, 4096, 0, 0, 0)
    head = bytearray(4096)
    struct.pack_into("<4sIIQIIIIIII", head, 0, b"regf", 1, 1, 0, 1, 3, 0, 1, root, 4096, 1)
    struct.pack_into("<I", head, 508, _checksum(head))
    return bytes(head) + bin_header + cells


def program(machine: int = 0x8664) -> bytes:
    """A PE executable that is a header only; the machine of amd64 is 0x8664, of i386 0x14c."""
    header = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
    magic, size = (0x20B, 240) if machine == 0x8664 else (0x10B, 224)
    # IMAGE_FILE_HEADER: machine, sections, time, symbols, their number, size of the optional header, executable.
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", machine, 0, 0, 0, 0, size, 0x0022)
    optional = bytearray(size)
    # Subsystem: a program of the console.
    struct.pack_into("<H", optional, 0, magic)
    struct.pack_into("<H", optional, 68, 3)
    return (header.ljust(0x80, b"\0") + coff + bytes(optional)).ljust(1024, b"\0")


class _FileHive:
    """A hive that is a file of this host, for trees that are folders."""

    def __init__(self, path: Path) -> None:
        self._hive = hivex.Hivex(str(path))

    def key(self, path: Sequence[str]) -> int | None:
        node = self._hive.root()
        for name in path:
            node = self._hive.node_get_child(node, name)
            if not node:
                return None
        return int(node)

    def value(self, key: int, name: str) -> tuple[int, bytes] | None:
        for value in self._hive.node_values(key):
            if self._hive.value_key(value).lower() == name.lower():
                kind, content = self._hive.value_value(value)
                return int(kind), bytes(content)
        return None

    def names(self, key: int) -> Iterator[str]:
        for child in self._hive.node_children(key):
            yield self._hive.node_name(child)


class WindowsTree(FolderTree):
    """A folder whose hives can be opened."""

    @contextlib.contextmanager
    def hive(self, path: str) -> Iterator[Hive]:
        resolved = self.resolve(path)
        assert resolved is not None
        # A Hivex that could not be opened complains when it is thrown away, so what does not fit is not handed to it.
        if self._host(resolved).stat().st_size <= 4096:
            raise HarnessError("hivex cannot open it", where=path)
        yield _FileHive(self._host(resolved))
