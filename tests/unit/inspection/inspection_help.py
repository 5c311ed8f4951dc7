"""Trees of files, and disks of bytes, that inspections look at."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from goldsmith.inspection.disk import Reader

MIB = 2**20


def fill(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below ``root``; a name that ends with * is a program, a text "-> X" a link to X."""
    for name, content in files.items():
        path = root / name.rstrip("*").lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("-> "):
            path.symlink_to(content[3:])
            continue
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if name.endswith("*"):
            path.chmod(0o755)
    return root


def reader(path: Path) -> Reader:
    def read(offset: int, size: int) -> bytes:
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)

    return read


def partitioned(path: Path, script: str, size: int = 64 * MIB) -> Path:
    """A raw disk with the table that ``script`` makes by sfdisk."""
    with path.open("wb") as stream:
        stream.truncate(size)
    subprocess.run(["/usr/sbin/sfdisk", "-q", path], input=script, text=True, check=True)
    return path
