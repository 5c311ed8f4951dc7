"""Copies that stand alone: the same disk, no reference, and the image as it was."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from image_samples import FORMATS, MIB, SIZE, image, qemu_img

from goldsmith.errors import HarnessError, HostError, InputError
from goldsmith.images import standalone as module
from goldsmith.images.sound import require_sound
from goldsmith.images.standalone import standalone
from goldsmith.images.untrusted import looked_at


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_disk(tmp_path: Path, kind: str) -> None:
    path = image(tmp_path, kind)
    path.chmod(0o444)
    before = sha256(path), path.stat().st_mtime_ns
    target = tmp_path / "copy.qcow2"
    standalone(path, target)
    form = FORMATS[kind][0]
    qemu_img("compare", "-f", form, "-F", "qcow2", path, target)
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", target))
    assert "backing-filename" not in info
    assert info["virtual-size"] == looked_at(target).virtual_size >= SIZE
    assert (sha256(path), path.stat().st_mtime_ns) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([path.name, target.name])


def test_another_disk_is_seen(tmp_path: Path) -> None:
    """What compares the two would see a difference."""
    path = image(tmp_path, "raw")
    standalone(path, tmp_path / "copy")
    with path.open("r+b") as stream:
        stream.seek(3 * MIB)
        stream.write(b"other")
    with pytest.raises(AssertionError):
        qemu_img("compare", "-f", "raw", "-F", "qcow2", path, tmp_path / "copy")


def test_a_hostile_one_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    qemu_img("create", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", path, "8M")
    with pytest.raises(InputError, match="backing file"):
        standalone(path, tmp_path / "copy")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_snapshots_are_left_out(tmp_path: Path) -> None:
    path = image(tmp_path, "qcow2")
    qemu_img("snapshot", "-c", "one", path)
    standalone(path, tmp_path / "copy")
    assert looked_at(path).snapshots == 1
    assert looked_at(tmp_path / "copy").snapshots == 0


def test_a_small_file_with_a_large_disk_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is needed for the data, not for the holes."""
    asked: list[int] = []

    def note(folder: Path, needed: int, what: str) -> None:
        asked.append(needed)
        if needed > 2 * MIB:
            raise HostError("no room")

    monkeypatch.setattr(module, "require_space", note)
    standalone(image(tmp_path, "qcow2"), tmp_path / "copy")
    with (tmp_path / "disk").open("wb") as stream:
        stream.write(b"\1" * 8 * MIB)
    packed = tmp_path / "packed"
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", tmp_path / "disk", packed)
    assert packed.stat().st_size < MIB
    with pytest.raises(HostError, match="no room"):
        standalone(packed, tmp_path / "copy2")
    assert asked[0] < 2 * MIB < 8 * MIB < asked[1]
    assert not (tmp_path / "copy2").exists()


def test_a_cut_qcow2(tmp_path: Path) -> None:
    path = image(tmp_path, "qcow2")
    require_sound(path, "qcow2", 1.0)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=r"a.qcow2: (is damaged|is truncated|cannot be opened)"):
        require_sound(path, "qcow2", 1.0)


def test_a_cut_sparse_vmdk(tmp_path: Path) -> None:
    path = image(tmp_path, "vmdk", "subformat=monolithicSparse")
    require_sound(path, "vmdk", 1.0)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=r"is damaged|cannot be opened"):
        require_sound(path, "vmdk", 1.0)


def test_somebody_writes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image(tmp_path, "raw")
    true = module.qemu_img

    def writing(words: list[str | Path], deadline: float) -> object:
        done = true(words, deadline)
        with path.open("r+b") as stream:
            stream.seek(5 * MIB)
            stream.write(b"x")
        return done

    monkeypatch.setattr(module, "qemu_img", writing)
    with pytest.raises(HarnessError, match="was written to while it was copied"):
        standalone(path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_qemu_img_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image(tmp_path, "qcow2")
    content = bytearray(path.read_bytes())
    table = int.from_bytes(content[40:48], "big")
    content[table : table + 8] = b"\x7f" * 8
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a.qcow2: cannot be read: "):
        standalone(path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
