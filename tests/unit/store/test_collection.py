"""The cache comes down to a size by what was used least lately; what is used or young stays."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from goldsmith.settings import Settings, from_environment
from goldsmith.store.artefacts import ArtefactStore
from goldsmith.store.collection import Collected, collect, items

SIZE = 1000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return from_environment({"HOME": str(tmp_path), "PATH": os.environ["PATH"]})


@pytest.fixture
def store(settings: Settings) -> ArtefactStore:
    return ArtefactStore(settings.cache_dir / "artefacts")


def put(store: ArtefactStore, letter: str, used: float) -> Path:
    """An artefact of ``SIZE`` bytes and its record, last used at that time."""
    folder = store.put("image", letter * 64, lambda part: (part / "disk").write_bytes(bytes(SIZE))).folder
    os.utime(folder / "artefact.json", (used, used))
    return folder


def download(settings: Settings, letter: str, used: float, suffix: str = "") -> Path:
    path = settings.cache_dir / "downloads" / f"{letter * 64}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(SIZE))
    os.utime(path, (used, used))
    return path


def names(collected: Collected) -> list[str]:
    return [item.name.split()[-1][:1] for item in collected.removed]


def test_what_was_used_least_lately_goes_first(store: ArtefactStore, settings: Settings) -> None:
    folders = {letter: put(store, letter, used) for letter, used in (("a", 30.0), ("b", 10.0), ("c", 20.0))}
    one = items(settings)[0].size
    done = collect(items(settings), one, 100.0, dry_run=False)
    assert names(done) == ["b", "c"]
    assert [letter for letter, folder in folders.items() if folder.exists()] == ["a"]
    assert (done.freed, done.kept, done.too_young) == (2 * one, one, 0)
    assert list(store.root.glob("*/.part-*")) == []


def test_nothing_goes_where_all_fits(store: ArtefactStore, settings: Settings) -> None:
    put(store, "a", 10.0)
    assert collect(items(settings), 10 * SIZE, 100.0, dry_run=False).removed == ()


def test_to_be_got_is_to_be_used(store: ArtefactStore, settings: Settings) -> None:
    put(store, "a", 10.0)
    put(store, "b", 20.0)
    store.get("image", "a" * 64)
    assert [item.name for item in items(settings)] == [f"image {'b' * 12}", f"image {'a' * 12}"]


def test_what_is_young_stays_and_is_said(store: ArtefactStore, settings: Settings) -> None:
    put(store, "a", 10.0)
    young = put(store, "b", 200.0)
    done = collect(items(settings), 0, 100.0, dry_run=False)
    assert names(done) == ["a"]
    assert young.exists() and done.too_young == done.kept > 0


def test_a_dry_run_removes_nothing(store: ArtefactStore, settings: Settings) -> None:
    folder = put(store, "a", 10.0)
    done = collect(items(settings), 0, 100.0, dry_run=True)
    assert names(done) == ["a"]
    assert folder.exists()


def test_what_is_used_or_written_meanwhile_stays(store: ArtefactStore, settings: Settings) -> None:
    used, written = put(store, "a", 10.0), put(store, "b", 20.0)
    found = items(settings)
    store.get("image", "a" * 64)
    with (written.parent / f".lock-{'b' * 64}").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = collect(found, 0, 100.0, dry_run=False)
    assert done.removed == ()
    assert used.exists() and written.exists()


def test_downloads_go_too_and_their_locks_stay(settings: Settings) -> None:
    whole, part = download(settings, "a", 10.0), download(settings, "b", 20.0, ".part")
    note = part.with_name(f"{part.name}.json")
    note.write_text("{}")
    os.utime(note, (20.0, 20.0))
    done = collect(items(settings), 0, 100.0, dry_run=False)
    assert [item.name for item in done.removed] == [f"download {'a' * 12}", f"part of a download {'b' * 12}"]
    assert not whole.exists() and not part.exists() and not note.exists()


def test_a_download_that_is_fetched_stays(settings: Settings) -> None:
    part = download(settings, "a", 10.0, ".part")
    with part.with_name(f"{'a' * 64}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert collect(items(settings), 0, 100.0, dry_run=False).removed == ()
    assert part.exists()


def packages(settings: Settings) -> Path:
    """Downloaded packages, as old as the archive says, and the lock of who fetches."""
    folder = settings.cache_dir / "dib/apt/debian"
    folder.mkdir(parents=True)
    for name in ("a_1_amd64.deb", "b_1_amd64.deb"):
        (folder / name).write_bytes(bytes(SIZE))
        os.utime(folder / name, (5.0, 5.0))
    (settings.cache_dir / "dib/list").write_bytes(bytes(SIZE))
    (settings.cache_dir / "dib.lock").touch()
    return folder


def test_packages_are_one_item_as_old_as_what_was_fetched_last(store: ArtefactStore, settings: Settings) -> None:
    before = time.time() - 1
    folder = packages(settings)
    put(store, "a", 10.0)
    first, second = items(settings)
    assert [first.name, second.name] == [f"image {'a' * 12}", "package downloads"]
    assert (second.size, second.used > before) == (3 * SIZE, True)
    assert names(collect([first, second], 0, before, dry_run=False)) == ["a"]
    assert folder.exists()
    assert collect(items(settings), 0, time.time() + 1, dry_run=False).freed == 3 * SIZE
    # A build that waits for the lock has made the folder already.
    assert list((settings.cache_dir / "dib").iterdir()) == []
    assert items(settings) == []


@pytest.mark.parametrize("meanwhile", ["a build fetches", "a build fetched"])
def test_packages_that_a_build_takes_stay(settings: Settings, meanwhile: str) -> None:
    folder = packages(settings)
    found = items(settings)
    with (settings.cache_dir / "dib.lock").open("a") as lock:
        if meanwhile == "a build fetches":
            fcntl.flock(lock, fcntl.LOCK_EX)
        else:
            while items(settings)[0].used == found[0].used:
                (folder / "c_1_amd64.deb").write_bytes(b"")
        assert collect(found, 0, time.time() + 1, dry_run=False).removed == ()
    assert len(list(folder.iterdir())) in (2, 3)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which a user gets by sudo")
def test_packages_that_root_fetched_are_removed_by_root(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(path)

    packages(settings)
    monkeypatch.setattr("goldsmith.store.collection.shutil", SimpleNamespace(rmtree=refuse))
    assert collect(items(settings), 0, time.time() + 1, dry_run=False).freed == 3 * SIZE
    assert list((settings.cache_dir / "dib").iterdir()) == []


def test_proofs_go_too_and_reports_stay(settings: Settings) -> None:
    for path, used in (("proofs/a.json", 10.0), ("proofs/b.json", 20.0), ("reports/small/report.json", 5.0)):
        file = settings.cache_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(SIZE))
        os.utime(file, (used, used))
    found = items(settings)
    assert [item.name for item in found] == ["proof a", "proof b"]
    os.utime(settings.cache_dir / "proofs/a.json", (15.0, 15.0))
    assert [item.name for item in collect(found, 0, 100.0, dry_run=False).removed] == ["proof b"]
    (settings.cache_dir / "proofs/a.json").unlink()
    assert collect(found, 0, 100.0, dry_run=False).removed == ()
    assert (settings.cache_dir / "reports/small/report.json").exists()


def test_an_empty_cache(settings: Settings) -> None:
    assert collect(items(settings), 0, 100.0, dry_run=False) == Collected((), 0, 0)
