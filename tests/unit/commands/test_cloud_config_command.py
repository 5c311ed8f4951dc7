"""goldsmith cloud-config, as it is typed."""

import json
from pathlib import Path

import pytest

from goldsmith import cli
from goldsmith.settings import PROJECT_ROOT

RECIPE = str(PROJECT_ROOT / "recipes" / "debian-13.yaml")
Captured = pytest.CaptureFixture[str]


def test_stdout_is_the_document_and_nothing_else(capsys: Captured, tmp_path: Path) -> None:
    assert cli.main(["cloud-config", RECIPE]) == 0
    said = capsys.readouterr()
    assert cli.main(["cloud-config", RECIPE, "--output", str(tmp_path / "ud")]) == 0
    assert said.out == (tmp_path / "ud").read_text()
    assert said.out.startswith("#cloud-boothook\n")
    assert "left out: generalize: an instance that has booted" in said.err
    assert "characters of base64 for Nova" in capsys.readouterr().out


def test_one_document_with_json(capsys: Captured) -> None:
    assert cli.main(["cloud-config", RECIPE, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["applied"] == ["networkd", "single-default-route", "text-console", "metadata-frugal"]
    assert document["reboots"] is True
    assert document["document"].startswith("#cloud-boothook\n")


def test_a_windows_gets_a_script_of_cloudbase_init(capsys: Captured) -> None:
    assert cli.main(["cloud-config", str(PROJECT_ROOT / "recipes" / "windows-server.yaml"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["applied"] == ["windows-clock", "windows-disks-online", "windows-drive-letters"]
    assert document["document"].startswith("#ps1_sysnative\n")
    for word in ("'RealTimeIsUniversal'", "'SanPolicy'", "DosDevices\\D:", "DosDevices\\E:"):
        assert word in document["document"]


def test_own_user_data_is_joined(capsys: Captured, tmp_path: Path) -> None:
    own = tmp_path / "own.cfg"
    own.write_text("#cloud-config\nruncmd: [true]\n")
    assert cli.main(["cloud-config", RECIPE, "--with", str(own), "--vendor"]) == 0
    inner = json.loads(capsys.readouterr().out)["cloud-init"]
    assert 'filename="own.cfg"' in inner


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nonexistent.yaml"], "no such file"),
        ([RECIPE, "--with", "/nonexistent"], "/nonexistent: cannot be read: No such file"),
        ([RECIPE, "--with", "/usr/bin/true"], "/usr/bin/true: is not UTF-8 text"),
        ([RECIPE, "--with", "/etc/hostname"], "its first line does not say what it is"),
        ([], "required: RECIPE"),
    ],
)
def test_wrong_input(capsys: Captured, words: list[str], said: str) -> None:
    assert cli.main(["cloud-config", *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
