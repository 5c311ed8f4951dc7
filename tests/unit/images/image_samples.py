"""Small images of each format, made by qemu-img from one disk, and what is done to them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from goldsmith.errors import ExitCode, InputError
from goldsmith.images.untrusted import looked_at

MIB = 2**20
SIZE = 8 * MIB

#: what a test calls a format -> QEMU's name and its options
FORMATS = {
    "qcow2": ("qcow2", ""),
    "raw": ("raw", ""),
    "vmdk": ("vmdk", "subformat=streamOptimized"),
    "vhd": ("vpc", "force_size=on"),
    "vhdx": ("vhdx", "block_size=1048576"),
}


def qemu_img(*words: str | Path) -> str:
    done = subprocess.run(["qemu-img", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def disk(path: Path) -> Path:
    """A raw disk with a GPT and some data."""
    with path.open("wb") as stream:
        stream.truncate(SIZE)
    table = "label: gpt\nsize=1MiB\nsize=4MiB\n"
    subprocess.run(["/usr/sbin/sfdisk", "-q", path], input=table, text=True, check=True)
    with path.open("r+b") as stream:
        stream.seek(3 * MIB)
        stream.write(os.urandom(MIB // 4))
    return path


def image(folder: Path, kind: str, options: str | None = None) -> Path:
    """An image of a format of ``FORMATS``, or with other options."""
    form, usual = FORMATS[kind]
    source = disk(folder / "disk")
    target = folder / f"a.{kind}"
    chosen = usual if options is None else options
    qemu_img("convert", "-f", "raw", "-O", form, *(["-o", chosen] if chosen else []), source, target)
    source.unlink()
    return target


def with_footer(path: Path) -> Path:
    """The VMDK that ``image`` makes, with its header at its end too, as those have it that are written in one go."""
    with path.open("r+b") as stream:
        header = stream.read(512)
        stream.seek(56)
        stream.write(b"\xff" * 8)
        stream.seek(0, os.SEEK_END)
        marker = (1).to_bytes(8, "little") + bytes(4) + (3).to_bytes(4, "little")
        stream.write(marker.ljust(512, b"\0") + header + bytes(512))
    return path


def changed(path: Path, offset: int, value: bytes) -> Path:
    """The same file with some bytes replaced; a negative offset counts from its end."""
    with path.open("r+b") as stream:
        stream.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        stream.write(value)
    return path


def refusal(path: Path) -> str:
    """What is said of an image that must be refused, after its name."""
    with pytest.raises(InputError) as caught:
        looked_at(path)
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert caught.value.where == str(path)
    return caught.value.message


def luks(path: Path) -> None:
    """An encrypted disk.  QEMU first measures how fast it hashes, and gives up where no time was counted."""
    words = ["create", "-f", "luks", "--object", "secret,id=s,data=x", "-o", "key-secret=s,iter-time=10"]
    for _ in range(5):
        done = subprocess.run(["qemu-img", *words, path, "1M"], capture_output=True, text=True, check=False)
        if "accurate CPU usage" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
