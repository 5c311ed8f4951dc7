"""Lines of logs: in files, in a journal that systemd's own tool made, and brought out of a guest."""

from __future__ import annotations

import base64
import gzip
import lzma
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from verify_standins import FakeShell, HostShell, Said

from goldsmith.errors import HarnessError
from goldsmith.verify import journal
from goldsmith.verify.kinds import logs
from goldsmith.verify.kinds.logs import LogLineAssertion, log_line, log_line_live
from goldsmith.verify.subjects import TIMED_OUT, LiveGuest
from goldsmith.verify.tree import FolderTree

LOG = b"started\nError: one\nerror: two\n\xff\xfe not text\x0c\nError: three\n"


def offline(root: Path, **assertion: Any) -> list[tuple[str, str]]:
    return [(f.expected, f.seen) for f in log_line(LogLineAssertion.model_validate(assertion), FolderTree(root))]


def live(**assertion: Any) -> list[tuple[str, str]]:
    found = log_line_live(LogLineAssertion.model_validate(assertion), LiveGuest(HostShell()))
    return [(f.expected, f.seen) for f in found]


CASES: list[tuple[dict[str, Any], str | None]] = [
    ({"pattern": "^started$"}, None),
    ({"pattern": "(?i)^error: two"}, None),
    ({"pattern": "panic", "found": False}, None),
    ({"pattern": "^Error", "count": 2}, None),
    ({"pattern": "panic", "count": 0}, None),
    ({"pattern": "not text"}, None),
    ({"pattern": "started.*Error"}, "in none of 5 lines"),
    ({"pattern": "^Error", "found": False}, "Error: one\nError: three"),
    ({"pattern": "^Error", "count": 3}, "2:\nError: one\nError: three"),
    ({"pattern": "panic", "count": 1}, "0:\nin none of 5 lines"),
]


@pytest.mark.parametrize(("asked", "seen"), CASES)
def test_files(tmp_path: Path, asked: dict[str, Any], seen: str | None) -> None:
    (tmp_path / "a log").write_bytes(LOG)
    found = offline(tmp_path, file="/a log", **asked)
    assert [each for _, each in found] == ([] if seen is None else [seen])
    in_guest = live(file=f"{tmp_path}/a log", **asked)
    assert [each for _, each in in_guest] == [each for _, each in found]


@pytest.mark.parametrize("asked", [{}, {"found": False}, {"count": 0}])
def test_a_log_that_is_not_there_proves_nothing(tmp_path: Path, asked: dict[str, Any]) -> None:
    assert offline(tmp_path, file="/log", pattern="x", **asked) == [("/log is there", "no file of this name")]
    assert live(file=f"{tmp_path}/log", pattern="x", **asked)[0][1] == "no file of this name"
    (tmp_path / "log").touch()
    assert bool(offline(tmp_path, file="/log", pattern="x", **asked)) == (not asked)
    assert bool(live(file=f"{tmp_path}/log", pattern="x", **asked)) == (not asked)


def test_a_log_is_packed_on_its_way_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"the same line\n" * 200_000 + b"the last one\n")
    assert live(file=str(log), pattern="^the last one$") == []
    monkeypatch.setattr(logs, "_LOG_LIMIT", 10**6)
    with pytest.raises(HarnessError, match="is larger than"):
        live(file=str(log), pattern="^the last one$")
    with Path("/dev/urandom").open("rb") as stream:
        log.write_bytes(stream.read(2**20))
    with pytest.raises(HarnessError, match="too long to be brought out"):
        live(file=str(log), pattern="x", found=False)


def packed(text: bytes, end: str = "end\n") -> str:
    return base64.b64encode(gzip.compress(text)).decode() + "\n" + end


@pytest.mark.parametrize(
    "said",
    [
        Said(""),
        Said("\ufffd" * 2**20),
        Said(packed(b"x"), 0, ""),
        Said(packed(b"x"), 0, "cat: read error\n1\n"),
        Said(packed(b"x", ""), 0, "0\n"),
        Said("AAAA\nend\n", 0, "0\n"),
        Said("?\nend\n", 0, "0\n"),
        Said(packed(b"x" * 100)[20:], 0, "0\n"),
        Said(base64.b64encode(gzip.compress(b"x" * 99)[:-9]).decode() + "\nend\n", 0, "0\n"),
        Said("", TIMED_OUT),
    ],
)
def test_a_guest_that_talks_nonsense_breaks_the_check(said: Said) -> None:
    assertion = LogLineAssertion(file="/log", pattern="panic", found=False)
    with pytest.raises(HarnessError):
        log_line_live(assertion, LiveGuest(FakeShell({"/log": said})))


def test_a_bomb_is_not_unpacked() -> None:
    assertion = LogLineAssertion(file="/log", pattern="panic", found=False)
    bomb = packed(bytes(logs._LOG_LIMIT + 1))
    with pytest.raises(HarnessError, match="is larger than 64 MiB"):
        log_line_live(assertion, LiveGuest(FakeShell({"/log": Said(bomb, 0, "0\n")})))


def test_what_a_live_journal_is_asked() -> None:
    shell = FakeShell({"journalctl": Said(packed(b"one\ntwo\n"), 0, "0\n")})
    for asked, wanted in (
        ({}, "journalctl -q --no-pager -a -o cat -b; "),
        ({"unit": "ssh.service", "boot": "all"}, "journalctl -q --no-pager -a -o cat --unit=ssh.service; "),
        ({"kernel": True}, "journalctl -q --no-pager -a -o cat -b _TRANSPORT=kernel; "),
    ):
        assertion = LogLineAssertion.model_validate({"journal": asked, "pattern": "^two$", "count": 1})
        assert log_line_live(assertion, LiveGuest(shell)) == []
        assert wanted in shell.asked[-1]
    assertion = LogLineAssertion.model_validate({"journal": {}, "pattern": "^two$", "found": False})
    assert [f.seen for f in log_line_live(assertion, LiveGuest(shell))] == ["two"]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("disk")
    folder = root / "var/log/journal/0123456789abcdef0123456789abcdef"
    folder.mkdir(parents=True)
    with lzma.open(Path(__file__).parent / "journal/system.journal.xz") as stream:
        (folder / "system.journal").write_bytes(stream.read())
    return root


JOURNAL_CASES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {"pattern": "^Server listening"}, True),
    ({}, {"pattern": "^Server listening", "found": False}, False),
    ({}, {"pattern": "of the boot before", "found": False}, True),
    ({"boot": "all"}, {"pattern": "of the boot before"}, True),
    ({"unit": "ssh.service"}, {"pattern": ".", "count": 2}, True),
    ({"unit": "ssh"}, {"pattern": " :: port", "count": 1}, True),
    ({"unit": "cron.service"}, {"pattern": ".", "found": False}, True),
    ({"kernel": True}, {"pattern": "^Linux version", "count": 1}, True),
    ({"kernel": True}, {"pattern": "Server"}, False),
]


@pytest.mark.parametrize(("part", "asked", "holds"), JOURNAL_CASES)
def test_journals_on_a_disk(disk: Path, part: dict[str, Any], asked: dict[str, Any], holds: bool) -> None:
    assert (offline(disk, journal=part, **asked) == []) == holds


def test_a_disk_without_a_journal(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no journal is kept on the disk") as caught:
        offline(tmp_path, journal={}, pattern="x", found=False)
    assert "layers: [live]" in str(caught.value)


@pytest.mark.parametrize("damage", ["empty", "garbage", "short"])
def test_a_damaged_journal_breaks_the_check(disk: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(disk / "var", tmp_path / "var")
    (file,) = tmp_path.glob("var/log/journal/*/*.journal")
    content = file.read_bytes()
    file.write_bytes({"empty": b"", "garbage": b"\xa5" * 4096, "short": content[: len(content) // 64]}[damage])
    with pytest.raises(HarnessError, match="this host's journalctl cannot read"):
        offline(tmp_path, journal={}, pattern="x", found=False)


def test_a_journal_is_read_without_rights() -> None:
    bounds = " ".join(journal._bounds())
    assert "--no-new-privs" in bounds
    assert "--as=" in bounds
    assert "--fsize=" in bounds


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"pattern": "x"}, "give file or journal"),
        ({"pattern": "x", "file": "/x", "journal": {}}, "give file or journal"),
        ({"pattern": "[", "file": "/x"}, "is not a regular expression"),
        ({"file": "/x"}, "Field required"),
        ({"pattern": "x", "file": "/x", "found": False, "count": 0}, "count cannot stand with"),
        ({"pattern": "x", "journal": {"unit": "x", "kernel": True}}, "cannot stand together"),
        ({"pattern": "x", "journal": {"unit": "--file=/etc/shadow x"}}, "should match pattern"),
        ({"pattern": "x", "journal": {"boot": "-1"}}, "'current' or 'all'"),
    ],
)
def test_wrong_assertions(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LogLineAssertion.model_validate(asked)
