"""Two small disks that differ in a known list of ways, and what goldsmith diff says of them and of others.

Both have the same EFI system partition's serial number, so that whoever mounts by what /etc/fstab names takes one for
the other.  They are made without an appliance: mke2fs fills the root, mtools the EFI system partition.
"""

from __future__ import annotations

import gzip
import io
import marshal
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from early_jobs import Bench
from small_guests import skeleton, write
from system_help import Result, Workshop

from goldsmith.host.files import file_digest

MIB = 2**20
SIZE, ROOT, BIOS, ESP = 64 * MIB, 16 * MIB, MIB, 2 * MIB
ROOT_SIZE, ESP_SIZE = 40 * MIB, 12 * MIB
SERIAL = "42BB9C33"
UUIDS = {"a": "ed0ff7a0-f06c-5fda-9686-72b934b919b8", "b": "bcd88a2c-a7c6-532e-8c9a-8d9cf621bb4d"}
EPOCH = 1_700_000_000
#: mke2fs makes "/" and /lost+found of the time that it runs at
STAMP = {**os.environ, "E2FSPROGS_FAKE_TIME": str(EPOCH)}
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
TABLE = f"""\
label: gpt
label-id: 2A689B5E-399A-50CF-8620-1813A07B8225
unit: sectors
1 : start={ROOT // 512}, size={ROOT_SIZE // 512}, type=L, uuid=6EB7F866-34FF-54F8-82DE-39747B1C6EAE
14 : start={BIOS // 512}, size={MIB // 512}, type={BIOS_BOOT}, uuid=3B10762C-4076-5AB0-8DDE-DE46C2ECD307
15 : start={ESP // 512}, size={ESP_SIZE // 512}, type=U, uuid=494E7A9D-B698-59C2-9D85-0970DB2E10DA
"""
SECRET = "SECRET-OF-NOBODY"
PYTHON = "usr/lib/python3/__pycache__/tool.pyc"
NAME = "etc/odd\x1b[2J"


@dataclass(frozen=True)
class Compared:
    """What the command said, and whether both files are as they were."""

    result: Result
    unchanged: bool


def _status(other: str) -> str:
    versions = {"tool": "1.0", "other": other}
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: all\n"
        for name, version in versions.items()
    )


def _gzip(content: bytes, mtime: int) -> bytes:
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", mtime=mtime) as file:
        file.write(content)
    return stream.getvalue()


def _root(root: Path, side: str) -> None:
    """What differs is told by ``side``; all else is the same."""
    is_b = side == "b"
    skeleton(root)
    write(root, "etc/os-release", 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n')
    write(root, "etc/fstab", f"UUID={UUIDS[side]} / ext4 defaults 0 1\nUUID=42BB-9C33 /boot/efi vfat defaults 0 2\n")
    write(root, "var/lib/dpkg/status", _status("2.1" if is_b else "2.0"))
    write(root, "var/lib/dpkg/info/tool.list", f"/.\n/usr/share/tool/table\n/{PYTHON}\n/bin/tool\n")
    write(root, "var/lib/dpkg/info/other.list", "/.\n/usr/bin/other\n")
    write(root, "usr/share/tool/table", f"one\ntwo {'zwei' if is_b else 'deux'}\n")
    write(root, "usr/bin/tool", "#!/bin/sh\n", 0o755)
    write(root, "usr/bin/other", f"#!/bin/sh\n# {2 + is_b}\n", 0o755)
    write(root, "etc/mode", "m\n", 0o600 if is_b else 0o644)
    write(root, "etc/time", "t\n")
    write(root, "etc/xattr", "x\n")
    (root / "etc/link").symlink_to("time" if is_b else "mode")
    write(root, f"etc/only-{side}", "o\n")
    write(root, "etc/order", "b\na\n" if is_b else "a\nb\n")
    write(root, "etc/stamp", f"made 2026-{11 + is_b}-01\n")
    write(root, "etc/shadow", f"root:${SECRET}-{side}:19000:0:99999:7:::\n", 0o600)
    write(root, NAME, f"{side}\n")
    (root / "usr/share/page.gz").write_bytes(_gzip(b"page\n", EPOCH + is_b))
    code = marshal.dumps(compile("x = 1", "tool.py", "exec"))
    (root / PYTHON).parent.mkdir(parents=True)
    (root / PYTHON).write_bytes(b"\xa7\r\r\n" + struct.pack("<III", 0, EPOCH + is_b, 5) + code)
    os.link(root / "usr/bin/tool", root / "usr/bin/same-tool")
    (root / "boot/efi").mkdir()
    for path in [root, *root.rglob("*")]:
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
    if is_b:
        os.utime(root / "etc/time", (EPOCH, EPOCH + 60))


def _disk(folder: Path, side: str) -> Path:
    root, disk = folder / f"root-{side}", folder / f"{side}.raw"
    _root(root, side)
    with disk.open("wb") as stream:
        stream.truncate(SIZE)
    subprocess.run(["sfdisk", "--quiet", disk], input=TABLE.encode(), check=True)
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-U", UUIDS[side], "-d", root, "-E", f"offset={ROOT},root_owner=0:0"]
    subprocess.run([*argv, disk, f"{ROOT_SIZE // 1024}k"], check=True, env=STAMP)
    argv = ["mkfs.vfat", "-F", "12", "-i", SERIAL, f"--offset={ESP // 512}", str(disk), str(ESP_SIZE // 1024)]
    subprocess.run(argv, check=True, capture_output=True)
    menu = folder / f"menu-{side}"
    menu.write_text(f"search {UUIDS[side]}\n")
    os.utime(menu, (EPOCH, EPOCH))
    subprocess.run(["mcopy", "-m", "-i", f"{disk}@@{ESP}", menu, "::menu.cfg"], check=True)
    if side == "b":
        words = ["debugfs", "-w", "-R", "ea_set /etc/xattr user.mark b", f"{disk}?offset={ROOT}"]
        subprocess.run(words, check=True, capture_output=True)
        with disk.open("r+b") as stream:
            stream.seek(BIOS)
            stream.write(b"another core image")
    return disk


def _other_free_space(disk: Path, copy: Path) -> Path:
    shutil.copy(disk, copy)
    with copy.open("r+b") as stream:
        stream.seek(ROOT + ROOT_SIZE + MIB)
        stream.write(b"nobody reads this")
    return copy


def _data(folder: Path, name: str, uuid: str, text: str) -> Path:
    """A disk without a system: one ext4 with one file."""
    root, disk = folder / f"files-{name}", folder / f"{name}.raw"
    write(root, "data/file", text)
    for path in [root, *root.rglob("*")]:
        os.utime(path, (EPOCH, EPOCH))
    with disk.open("wb") as stream:
        stream.truncate(16 * MIB)
    subprocess.run(
        ["sfdisk", "--quiet", disk], input=b"label: dos\nlabel-id: 0x1\n1 : start=2048, type=83\n", check=True
    )
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-U", uuid, "-d", root, "-E", f"offset={MIB},root_owner=0:0", disk]
    subprocess.run([*argv, f"{15 * 1024}k"], check=True, env=STAMP)
    return disk


def _tangled(folder: Path, name: str, text: str) -> Path:
    """A btrfs, whose UUID both have: a kernel that sees both takes one for a part of the other."""
    root, file_system, disk = folder / f"root-{name}", folder / f"{name}.btrfs", folder / f"{name}.raw"
    skeleton(root)
    write(root, "etc/fstab", "/dev/sda1 / btrfs defaults 0 0\n")
    write(root, "etc/mark", text)
    for path in [root, *root.rglob("*")]:
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
    with file_system.open("wb") as stream:
        stream.truncate(128 * MIB)
    words = ["mkfs.btrfs", "--quiet", "--uuid", UUIDS["a"], "--rootdir", root, file_system]
    subprocess.run(words, check=True, capture_output=True)
    with disk.open("wb") as stream:
        stream.truncate(130 * MIB)
    subprocess.run(
        ["sfdisk", "--quiet", disk], input=b"label: dos\nlabel-id: 0x1\n1 : start=2048, type=83\n", check=True
    )
    subprocess.run(
        ["dd", f"if={file_system}", f"of={disk}", "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none"], check=True
    )
    return disk


def comparisons(bench: Bench) -> dict[str, Compared]:
    folder = bench.folder
    a, b = (_disk(folder, side) for side in ("a", "b"))
    packed = {side: folder / f"{side}.qcow2" for side in ("a", "b")}
    for side, target in packed.items():
        words = ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", folder / f"{side}.raw", target]
        subprocess.run(words, check=True)
    data = [_data(folder, name, UUIDS["a"], text) for name, text in (("data-a", "1\n"), ("data-b", "2\n"))]
    pairs = {
        "differing": (a, packed["b"]),
        "packed": (a, packed["a"]),
        "twice": (b, b),
        "free": (a, _other_free_space(a, folder / "free.raw")),
        "data": (data[0], data[1]),
    }
    return {name: _compare(bench.workshop, *pair) for name, pair in pairs.items()}


def tangled(workshop: Workshop, folder: Path) -> Compared:
    """Each side needs appliances of its own."""
    return _compare(workshop, _tangled(folder, "tangled-a", "1\n"), _tangled(folder, "tangled-b", "2\n"))


def _compare(workshop: Workshop, a: Path, b: Path) -> Compared:
    before = [file_digest(each) for each in (a, b)]
    result = workshop.goldsmith("diff", a, b)
    return Compared(result, [file_digest(each) for each in (a, b)] == before)
