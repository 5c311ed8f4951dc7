"""`goldsmith diff` as far as it goes without an appliance: images of every format, recipes, wrong input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from work_standins import World

from goldsmith import cli

MIB = 2**20
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_appliance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def launched(*words: object) -> None:
        raise AssertionError("an appliance was started")

    monkeypatch.setattr("goldsmith.verify.appliance.launched", launched)
    monkeypatch.setattr("goldsmith.boot.accelerator.choose", lambda settings: type("A", (), {"scale": 1.0})())
    monkeypatch.setenv("GOLDSMITH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "a.raw"
    with path.open("wb") as stream:
        stream.truncate(8 * MIB)
    subprocess.run(["/usr/sbin/sfdisk", "-q", path], input="label: gpt\nsize=4MiB\n", text=True, check=True)
    with path.open("r+b") as stream:
        stream.seek(2 * MIB)
        stream.write(os.urandom(MIB))
    return path


def converted(raw: Path, kind: str, *options: str) -> Path:
    target = raw.with_suffix(f".{kind}{len(options)}")
    form = {"vhd": "vpc"}.get(kind, kind)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, *options, raw, target], check=True)
    return target


def run(capsys: Captured, *words: str | Path) -> tuple[int, dict[str, object]]:
    code = cli.main(["diff", "--json", *map(str, words)])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("qcow2", ("-c",)),
        ("vmdk", ("-o", "subformat=streamOptimized")),
        ("vhd", ("-o", "force_size=on")),
        ("vhdx", ()),
    ],
)
def test_one_disk_in_two_formats(raw: Path, kind: str, options: tuple[str, ...], capsys: Captured) -> None:
    code, document = run(capsys, raw, converted(raw, kind, *options))
    assert (code, document["verdict"], document["same"]) == (0, "disk", True)


def test_another_compression_is_said_to_be_other_bytes_of_the_qcow2(raw: Path, capsys: Captured) -> None:
    one, other = converted(raw, "qcow2"), converted(raw, "qcow2", "-c")
    assert cli.main(["diff", str(one), str(other)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "the same content, other bytes of the qcow2: a guest reads the same from both"
    assert said[1].startswith(f"  A  {one}: qcow2, ")


def test_the_same_bytes(raw: Path, tmp_path: Path, capsys: Captured) -> None:
    copy = tmp_path / "copy.raw"
    shutil.copy(raw, copy)
    for other in (copy, raw):
        assert cli.main(["diff", str(raw), str(other)]) == 0
        assert capsys.readouterr().out.startswith("the same: both files have the same bytes\n")


def _larger(raw: Path) -> None:
    with raw.open("r+b") as stream:
        stream.truncate(9 * MIB)


def _changed(raw: Path) -> None:
    with raw.open("r+b") as stream:
        stream.seek(3 * MIB)
        stream.write(b"a")


@pytest.mark.parametrize("change", [_larger, _changed])
def test_another_disk_is_looked_into(
    raw: Path, tmp_path: Path, change: Callable[[Path], None], capsys: Captured
) -> None:
    other = tmp_path / "other.raw"
    shutil.copy(raw, other)
    change(other)
    assert cli.main(["diff", str(raw), str(other)]) == 3
    assert "an appliance was started" in capsys.readouterr().err


def test_a_missing_file(raw: Path, tmp_path: Path, capsys: Captured) -> None:
    assert cli.main(["diff", str(raw), str(tmp_path / "no.qcow2")]) == 2
    assert "no.qcow2: no such file" in capsys.readouterr().err


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "text").write_text("no image")
    code, document = run(capsys, tmp_path / "no.qcow2", tmp_path / "text")
    assert code == 2
    problems = [each["message"] for each in document["error"]["problems"]]  # type: ignore[index]
    assert problems[0] == "no such file"
    assert problems[1].startswith("is no disk image")


def test_a_backing_file_is_refused(raw: Path, tmp_path: Path, capsys: Captured) -> None:
    overlay = tmp_path / "overlay.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, overlay], check=True)
    assert cli.main(["diff", str(raw), str(overlay)]) == 2
    assert "backing" in capsys.readouterr().err


def test_it_takes_two(raw: Path, capsys: Captured) -> None:
    assert cli.main(["diff", str(raw)]) == 2
    assert "required: B" in capsys.readouterr().err


def test_a_recipe_stands_for_its_image(raw: Path, world: World, capsys: Captured) -> None:
    world.content = raw.read_bytes()
    recipe = world.recipe()
    code, document = run(capsys, recipe, raw)
    assert code == 2
    assert "no image of this recipe was built yet" in document["error"]["message"]  # type: ignore[index]
    assert cli.main(["build", recipe]) == 0
    capsys.readouterr()
    code, document = run(capsys, recipe, raw)
    assert (code, document["verdict"]) == (0, "file")
    # The manifest is that of the store, which lies beside the image; the other has none.
    assert (document["a"]["recipe"], document["b"]["recipe"]) == ("small", None)  # type: ignore[index]
