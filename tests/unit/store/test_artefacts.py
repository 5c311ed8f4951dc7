from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from goldsmith.errors import HarnessError
from goldsmith.store.artefacts import ArtefactStore

DIGEST = "a" * 64
OTHER = "b" * 64


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(tmp_path / "artefacts")


def write_tree(folder: Path) -> None:
    (folder / "tree.tar").write_bytes(b"tree" * 1000)
    (folder / "facts").mkdir()
    (folder / "facts" / "packages").write_text("bash")


def refuse(folder: Path) -> None:
    pytest.fail("the writer ran again")


def test_what_was_put_is_got_and_not_written_again(store: ArtefactStore) -> None:
    assert store.get("tree", DIGEST) is None
    put = store.put("tree", DIGEST, write_tree)
    assert put.file("tree.tar").read_bytes() == b"tree" * 1000
    assert store.put("tree", DIGEST, refuse) == put
    got = store.get("tree", DIGEST)
    assert got == put
    assert got.file("facts/packages").read_text() == "bash"
    assert store.get("tree", OTHER) is None
    assert store.get("image", DIGEST) is None


def test_a_file_that_it_does_not_hold(store: ArtefactStore) -> None:
    with pytest.raises(HarnessError, match=r"holds no tree\.tgz"):
        store.put("tree", DIGEST, write_tree).file("tree.tgz")


@pytest.mark.parametrize("damage", ["change", "truncate", "remove", "record"])
def test_a_damaged_artefact_is_removed_and_made_anew(store: ArtefactStore, damage: str) -> None:
    folder = store.put("tree", DIGEST, write_tree).folder
    tree = folder / "tree.tar"
    if damage == "change":
        tree.write_bytes(b"eert" * 1000)
    elif damage == "truncate":
        tree.write_bytes(b"tree")
    elif damage == "remove":
        tree.unlink()
    else:
        (folder / "artefact.json").write_text("{")
    assert store.get("tree", DIGEST) is None
    assert not folder.exists()
    assert store.put("tree", DIGEST, write_tree).file("tree.tar").read_bytes() == b"tree" * 1000
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".part")] == []


def test_put_replaces_a_damaged_artefact(store: ArtefactStore) -> None:
    store.put("tree", DIGEST, write_tree).file("tree.tar").write_bytes(b"")
    assert store.put("tree", DIGEST, write_tree).file("tree.tar").stat().st_size == 4000


def test_a_writer_that_fails_leaves_nothing(store: ArtefactStore) -> None:
    def fail(folder: Path) -> None:
        write_tree(folder)
        raise HarnessError("the disk is full")

    with pytest.raises(HarnessError, match="disk is full"):
        store.put("tree", DIGEST, fail)
    assert store.get("tree", DIGEST) is None
    assert [path.name for path in (store.root / "tree").iterdir()] == [f".lock-{DIGEST}"]


def test_links_and_nothing_are_refused(store: ArtefactStore) -> None:
    with pytest.raises(HarnessError, match="plain files only"):
        store.put("tree", DIGEST, lambda folder: (folder / "link").symlink_to("/etc/passwd"))
    with pytest.raises(HarnessError, match="nothing was written"):
        store.put("tree", DIGEST, lambda folder: None)


@pytest.mark.parametrize(("kind", "digest"), [("../x", DIGEST), ("tree", "../" + DIGEST), ("tree", "A" * 64)])
def test_names_cannot_leave_the_store(store: ArtefactStore, kind: str, digest: str) -> None:
    with pytest.raises(ValueError, match="not an artefact"):
        store.get(kind, digest)


def test_two_at_once_write_once(store: ArtefactStore) -> None:
    runs: list[int] = []

    def slow(folder: Path) -> None:
        runs.append(1)
        time.sleep(0.2)
        write_tree(folder)

    threads = [threading.Thread(target=store.put, args=("tree", DIGEST, slow)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1


def test_a_killed_writer_leaves_nothing_that_counts(store: ArtefactStore) -> None:
    script = (
        "import sys, time; from pathlib import Path; from goldsmith.store.artefacts import ArtefactStore\n"
        "def write(folder):\n"
        "    (folder / 'tree.tar').write_bytes(b'half'); print('writing', flush=True); time.sleep(60)\n"
        f"ArtefactStore(Path(sys.argv[1])).put('tree', {DIGEST!r}, write)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, store.root], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    parts = list((store.root / "tree").glob(".part-*"))
    assert len(parts) == 1
    assert store.sweep() == [], "what is being written is left alone"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert store.get("tree", DIGEST) is None
    assert store.sweep() == parts
    assert not parts[0].exists()
    assert store.put("tree", DIGEST, write_tree).file("tree.tar").stat().st_size == 4000
