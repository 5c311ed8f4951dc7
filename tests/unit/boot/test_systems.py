"""What was found on a base is kept by its digest, but for what looking makes: the devices of LVM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from goldsmith.boot.systems import System, known_systems


class Handle:
    """A ``guestfs.GuestFS`` with one system; it counts how often it was asked to look."""

    def __init__(self, root: str = "/dev/sda1", **mounts: str) -> None:
        self.looked = 0
        self._root = root
        self._mounts = mounts

    def inspect_os(self) -> list[str]:
        self.looked += 1
        return [self._root]

    def inspect_get_mountpoints(self, root: str) -> dict[str, str]:
        return {"/": root, **self._mounts}

    def inspect_get_major_version(self, root: str) -> int:
        return 13

    def inspect_get_minor_version(self, root: str) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        words = {"inspect_get_type": "linux", "inspect_get_distro": "debian", "inspect_get_arch": "x86_64"}
        return lambda root: words.get(name, "Debian")


def test_a_base_is_looked_at_once(tmp_path: Path) -> None:
    handle = Handle(**{"/boot": "/dev/sda2"})
    first = known_systems(handle, tmp_path / "record.json")
    second = known_systems(handle, tmp_path / "record.json")
    assert handle.looked == 1
    assert first == second
    assert first[0] == System(
        root="/dev/sda1",
        type="linux",
        distribution="debian",
        name="Debian",
        version="13.0",
        architecture="x86_64",
        mounts={"/": "/dev/sda1", "/boot": "/dev/sda2"},
    )
    assert first[0].folders == ["/", "/boot"]


@pytest.mark.parametrize(
    "handle", [Handle("/dev/vg/root"), Handle(**{"/var": "/dev/vg/var"}), Handle("btrfsvol:/dev/sda2/@")]
)
def test_what_looking_makes_is_looked_for_each_time(tmp_path: Path, handle: Handle) -> None:
    for _ in range(2):
        known_systems(handle, tmp_path / "record.json")
    assert handle.looked == 2


@pytest.mark.parametrize("text", ["", "{", "[1]", json.dumps([{"root": "/dev/sda1"}])])
def test_a_damaged_record_is_made_again(tmp_path: Path, text: str) -> None:
    record = tmp_path / "record.json"
    record.write_text(text)
    handle = Handle()
    assert known_systems(handle, record)[0].root == "/dev/sda1"
    assert handle.looked == 1
    known_systems(handle, record)
    assert handle.looked == 1
