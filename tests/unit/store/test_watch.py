"""What was handed out and is changed, truncated, replaced or removed afterwards is known by its inode."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from goldsmith.store.artefacts import Artefact, ArtefactStore
from goldsmith.store.watch import ChangedError, Stamp, watching

DIGEST, OTHER = "a" * 64, "b" * 64


def flip(path: Path) -> None:
    """One bit, with the times of before as far as a program can set them."""
    before = path.stat()
    # The kernel's clock for files ticks every few milliseconds.
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_name("other")
    shutil.copy2(path, other)
    other.replace(path)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "truncated": lambda path: os.truncate(path, 1),
    "replaced": replace,
    "removed": Path.unlink,
    "its folder removed": lambda path: shutil.rmtree(path.parent),
}


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(tmp_path / "artefacts")


def write(folder: Path) -> None:
    (folder / "a").write_bytes(b"content")
    (folder / "b").write_bytes(b"other")


def put(store: ArtefactStore) -> Artefact:
    return store.put("tree", DIGEST, write)


def got(store: ArtefactStore) -> Artefact:
    put(store)
    found = store.get("tree", DIGEST)
    assert found
    return found


@pytest.mark.parametrize("way", [put, got], ids=["put", "got"])
def test_what_nobody_changed_is_unchanged(store: ArtefactStore, way: Callable[[ArtefactStore], Artefact]) -> None:
    artefact = way(store)
    # Others use it, too.
    assert store.get("tree", DIGEST) and put(store) == artefact
    artefact.file("a").read_bytes()
    assert artefact.unchanged()


@pytest.mark.parametrize("way", [put, got], ids=["put", "got"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_seen(store: ArtefactStore, damage: str, way: Callable[[ArtefactStore], Artefact]) -> None:
    with watching() as watch:
        artefact = way(store)
        assert watch.lost() == []
        DAMAGES[damage](artefact.file("b"))
        assert not artefact.unchanged()
        assert watch.lost() == ["tree"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_made_of_it_is_not_kept(store: ArtefactStore, damage: str) -> None:
    tree = put(store)

    def make(folder: Path) -> None:
        (folder / "disk").write_bytes(tree.file("a").read_bytes())
        DAMAGES[damage](tree.file("a"))

    with watching():
        assert store.get("tree", DIGEST)
        with pytest.raises(ChangedError, match="changed or removed while it was used: tree"):
            store.put("disk", OTHER, make)
    assert store.get("disk", OTHER) is None
    assert list(store.root.glob("disk/.part-*")) == []


def test_what_is_not_watched_is_nobodys_business(store: ArtefactStore) -> None:
    with watching() as watch:
        pass
    flip(put(store).file("a"))
    assert watch.handed_out == []
    assert store.put("disk", OTHER, write)


def test_two_bakes_beside_each_other_have_a_watch_each(store: ArtefactStore) -> None:
    with watching() as first:
        with watching():
            # It ends when both have seen the same: nothing.
            pass
        flip(put(store).file("a"))
        assert first.lost() == ["tree"]


def test_a_stamp_without_times_may_be_touched_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    stamp = Stamp.of(path).without_times
    os.utime(path, (1, 1))
    assert stamp.is_of(path)
    assert not Stamp.of(path).is_of(tmp_path / "none")
    os.truncate(path, 3)
    assert not stamp.is_of(path)
