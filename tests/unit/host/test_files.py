"""Files are whole or absent."""

import errno
import hashlib
import json
import multiprocessing
import stat
import time
from pathlib import Path

import pytest

from goldsmith.errors import CommandFailedError, HostError
from goldsmith.host import files


def test_replacing_puts_the_whole_file_in_place(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "image.qcow2"
    with files.replacing(target) as part:
        part.write_text("new")
        assert part.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_replacing_leaves_the_old_file_when_the_body_fails(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "manifest.json"
    target.write_text("old")
    with pytest.raises(error), files.replacing(target) as part:
        part.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_replacing_accepts_a_part_that_a_tool_replaced_itself(tmp_path: Path) -> None:
    target = tmp_path / "image"
    with files.replacing(target) as part:
        part.unlink()
        part.write_text("written anew")
    assert target.read_text() == "written anew"


def test_json_is_sorted_and_ends_with_a_newline(tmp_path: Path) -> None:
    files.write_json(tmp_path / "d.json", {"b": 1, "a": [None, "é"]})
    text = (tmp_path / "d.json").read_text()
    assert json.loads(text) == {"a": [None, "é"], "b": 1}
    assert text.index('"a"') < text.index('"b"')
    assert text.endswith("}\n")


def test_digests() -> None:
    assert files.document_digest({"a": 1, "b": 2}) == files.document_digest({"b": 2, "a": 1})
    assert files.document_digest({"a": 1}) != files.document_digest({"a": "1"})


def test_file_digest_is_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\x00goldsmith\xff" * 100_000)
    assert files.file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert files.file_digest(path, "sha512") == hashlib.sha512(path.read_bytes()).hexdigest()


def _hold(path: str, log: str) -> None:
    with files.locked(Path(path)):
        with Path(log).open("a") as stream:
            stream.write("in\n")
        time.sleep(0.3)
        with Path(log).open("a") as stream:
            stream.write("out\n")


def test_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    holders = [context.Process(target=_hold, args=(str(tmp_path / "d" / "lock"), str(log))) for _ in range(2)]
    for holder in holders:
        holder.start()
    for holder in holders:
        holder.join(30)
        assert holder.exitcode == 0
    assert log.read_text().split() == ["in", "out", "in", "out"]


def test_lock_dies_with_its_owner(tmp_path: Path) -> None:
    lock, log = tmp_path / "lock", tmp_path / "log"
    owner = multiprocessing.get_context("spawn").Process(target=_hold, args=(str(lock), str(log)))
    owner.start()
    deadline = time.monotonic() + 20
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    owner.kill()
    owner.join(10)
    started = time.monotonic()
    with files.locked(lock):
        assert time.monotonic() - started < 5
    assert log.read_text() == "in\n"


def test_space_is_measured_where_the_folder_will_be(tmp_path: Path) -> None:
    files.require_space(tmp_path / "not" / "yet", 1, "a byte")
    with pytest.raises(HostError, match=r"a galaxy needs 1073741824\.0 GiB and .* are free") as caught:
        files.require_space(tmp_path / "not" / "yet", 2**60, "a galaxy")
    assert caught.value.where == str(tmp_path / "not" / "yet")
    assert "GOLDSMITH_WORK" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (CommandFailedError("tar", status="exited 2", tail="tar: x: Cannot write: No space left on device"), True),
        (CommandFailedError("tar", status="exited 2", tail="tar: x: Cannot open"), False),
        (ValueError("No space left on device"), False),
    ],
)
def test_a_full_disk_is_told_from_other_mishaps(tmp_path: Path, error: Exception, full: bool) -> None:
    assert files.is_full(error) is full
    with pytest.raises(HostError if full else type(error)) as caught, files.disk_errors(tmp_path / "x", tmp_path):
        raise error
    assert (caught.value is error) is not full
    if isinstance(caught.value, HostError) and full:
        assert "disk is full" in caught.value.message
        assert "goldsmith gc" in (caught.value.hint or "") and str(tmp_path) in (caught.value.hint or "")
        if isinstance(error, CommandFailedError):
            assert error.tail in caught.value.message
