from __future__ import annotations

from pathlib import Path

from goldsmith.boot.console_log import BoundedLog


def written(path: Path, *pieces: bytes, head: int = 10, tail: int = 6) -> bytes:
    log = BoundedLog(path, head, tail)
    for piece in pieces:
        log.write(piece)
    log.close()
    log.close()
    log.write(b"too late")
    return path.read_bytes()


def test_what_is_not_much_is_all_there(tmp_path: Path) -> None:
    assert written(tmp_path / "log", b"12345", b"67890", b"abcdef") == b"1234567890abcdef"


def test_the_beginning_is_in_the_file_at_once(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "log")
    log.write(b"Linux version")
    assert (tmp_path / "log").read_bytes() == b"Linux version"
    log.close()


def test_of_much_the_end_is_kept_and_the_note_says_what_is_missing(tmp_path: Path) -> None:
    for size in (1, 3, 100):
        data = b"one\ntwo\nthree\nfour\nfive\nsix\n"
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        note = b"\n[goldsmith leaves out 12 bytes here, from line 3 to line 5; the end follows]\n"
        assert written(tmp_path / "log", *pieces) == b"one\ntwo\nth" + note + b"e\nsix\n"


def test_a_flood_leaves_a_bounded_file(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "log", head=2**16, tail=2**12)
    for _ in range(1000):
        log.write(b"x" * 4095 + b"\n")
        assert len(log._end) <= 2 * 2**12
    log.close()
    assert (tmp_path / "log").stat().st_size < 2**16 + 2**12 + 200


def test_a_full_disk_is_no_reason_to_end() -> None:
    log = BoundedLog(Path("/dev/full"))
    log.write(b"x")
    log.close()
