"""The files of a report."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

import report_samples as samples
from goldsmith.errors import InputError
from goldsmith.verify.report import Report, as_text
from goldsmith.verify.reporting import files


def test_a_report_is_kept_in_all_its_forms(tmp_path: Path) -> None:
    report = samples.report()
    files.keep(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["junit.xml", "report.html", "report.json", "report.txt"]
    assert Report.model_validate_json((tmp_path / "report.json").read_bytes()) == report
    assert json.loads((tmp_path / "report.json").read_text())["timelines"][1]["stalled"] == "systemd"
    assert (tmp_path / "report.txt").read_text() == as_text(report)
    assert (tmp_path / "report.html").read_text(encoding="utf-8").endswith("</html>\n")


def test_a_hostile_report_is_kept(tmp_path: Path) -> None:
    files.keep(samples.hostile(), samples.artefacts(tmp_path, samples.HOSTILE))
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_a_copy_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    files.copy(source, target)
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    with pytest.raises(FileNotFoundError):
        files.copy(tmp_path / "absent", target)
    assert target.read_bytes() == b"new"


def test_files_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_text("")
    files.require_writable([("--html", Path("new.html")), ("--junit", tmp_path / "there")])
    assert not (tmp_path / "new.html").exists()


def test_all_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    wanted = [
        ("--html", tmp_path / "absent/a.html"),
        ("--junit", tmp_path),
        ("--html", tmp_path / "file/a.html"),
        ("--html", tmp_path / "same"),
        ("--junit", tmp_path / "." / "same"),
    ]
    with pytest.raises(InputError) as caught:
        files.require_writable(wanted)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    for part in (f"there is no folder {tmp_path}/absent", "is a folder", f"no folder {tmp_path}/file", "for two files"):
        assert part in text
    assert "--html" in text


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # For root every folder can be.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="no file can be made"):
        files.require_writable([("--html", tmp_path / "a")])


def test_what_another_boot_left_is_removed(tmp_path: Path) -> None:
    folder = samples.artefacts(tmp_path)
    (folder / "bios/notes").write_text("mine")
    now = time.time()
    old = [folder / "bios/screen.png", folder / "uefi/console.log", folder / "bios/notes"]
    for path in old:
        os.utime(path, (now - 60, now - 60))
    files.forget_older(folder, ["bios", "uefi", "never"], now)
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert left == ["bios/console.log", "bios/notes", "bios/screen-last.png", "uefi/screen-last.png", "uefi/screen.png"]
    os.utime(folder / "uefi/screen.png", (now - 60, now - 60))
    files.forget_older(folder, ["bios"], now)
    assert (folder / "uefi/screen.png").exists()
