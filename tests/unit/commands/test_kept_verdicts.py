"""The same question is not booted again: what must be the same, what is not kept, and --again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_verify_alone import OWN, image_at
from work_standins import CHECKS, World

from goldsmith import cli
from goldsmith.boot.properties import SHAPING
from goldsmith.commands import proofs, verification
from goldsmith.recipe import plan as plans
from goldsmith.store.manifest import Status
from goldsmith.verify.report import Report
from goldsmith.verify.reporting import files

Captured = pytest.CaptureFixture[str]
AGAIN = "--again boots it again"


@pytest.fixture
def recipe(world: World, capsys: Captured) -> str:
    made = world.recipe()
    assert cli.main(["build", made]) == 0
    capsys.readouterr()
    return made


def document(capsys: Captured) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(("status", "code"), [("pass", 0), ("fail", 1)])
def test_the_second_verification_boots_nothing_and_says_so(
    world: World, recipe: str, capsys: Captured, status: Status, code: int
) -> None:
    world.status = status
    assert cli.main(["verify", recipe, "--json"]) == code
    first = document(capsys)
    assert first.pop("kept") is False
    assert cli.main(["verify", recipe, "--json"]) == code
    said = capsys.readouterr()
    second = json.loads(said.out)
    assert second.pop("kept") is True
    assert second == first
    assert f"small: verified on {first['finished']}; {AGAIN}" in said.err
    assert cli.main(["verify", recipe]) == code
    assert f"verified on {first['finished']}; {AGAIN}\n" in capsys.readouterr().out
    assert len(world.verifications) == 1


def test_what_is_broken_is_asked_again(world: World, recipe: str, capsys: Captured) -> None:
    world.status = "broken"
    assert [cli.main(["verify", recipe]) for _ in range(2)] == [3, 3]
    world.status = "pass"
    assert cli.main(["verify", recipe]) == 0
    assert len(world.verifications) == 3
    assert AGAIN not in capsys.readouterr().out


def test_one_broken_verdict_among_failed_ones_is_enough(
    world: World, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mixed(*words: Any, **named: Any) -> Report:
        report = world.verify(*words, **named)
        first, *rest = report.verdicts
        return report.model_copy(update={"verdicts": (first.model_copy(update={"status": "broken"}), *rest)})

    monkeypatch.setattr(verification, "verify_image", mixed)
    world.status = "fail"
    assert [cli.main(["verify", recipe]) for _ in range(2)] == [1, 1]
    assert len(world.verifications) == 2


def test_again_boots_and_its_report_is_the_one_that_is_kept(world: World, recipe: str) -> None:
    assert cli.main(["verify", recipe]) == 0
    world.status = "fail"
    assert cli.main(["verify", recipe, "--again"]) == 1
    assert cli.main(["verify", recipe]) == 1
    assert len(world.verifications) == 2
    # Nothing is published that is known to fail.
    assert cli.main(["publish", recipe]) == 1


@pytest.mark.parametrize("words", [["--check", "goldsmith/settled"], ["--check", "marked/mark", "--firmware", "bios"]])
def test_a_part_is_always_booted_and_never_kept(world: World, recipe: str, words: list[str]) -> None:
    for _ in range(2):
        assert cli.main(["verify", recipe, *words]) == 0
    assert len(world.verifications) == 2
    assert cli.main(["verify", recipe]) == 0
    assert cli.main(["verify", recipe, *words]) == 0
    assert len(world.verifications) == 4


def test_debug_always_boots(world: World, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldsmith.commands.debug.Debugger", lambda context: lambda boot, verdicts: None)
    assert cli.main(["verify", recipe]) == 0
    world.status = "fail"
    assert cli.main(["verify", recipe, "--debug"]) == 1
    # Somebody sat in that guest: what was seen afterwards is of no worth.
    assert cli.main(["verify", recipe]) == 0
    assert len(world.verifications) == 2


def _element(world: World) -> None:
    (world.folder / "elements/marked/checks.yaml").write_text(CHECKS.replace("/etc/mark", "/etc/other"))


def _shape(world: World) -> None:
    assert "hw_disk_bus" in SHAPING
    world.recipe(more="hw_disk_bus: scsi")


def _image(world: World) -> None:
    for path in (world.folder / "cache/artefacts/image").glob("[0-9a-f]*"):
        path.rename(path.with_name(".gone"))
    world.content = b"another"
    assert cli.main(["build", str(world.folder / "small.yaml")]) == 0


CHANGES: dict[str, Callable[[World], None]] = {"checks": _element, "machine": _shape, "image": _image}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_asked_changed(world: World, recipe: str, change: str) -> None:
    assert cli.main(["verify", recipe]) == 0
    CHANGES[change](world)
    for _ in range(2):
        assert cli.main(["verify", recipe]) == 0
    assert len(world.verifications) == 2


def test_code_and_qemu_are_part_of_the_question(
    world: World, recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert cli.main(["verify", recipe]) == 0
    monkeypatch.setattr(proofs, "qemu_version", lambda: "QEMU emulator version 99.0")
    capsys.readouterr()
    assert cli.main(["plan", "--why", "--json", recipe]) == 0
    (planned,) = document(capsys)["recipes"]
    (reason,) = planned["verify"]["reasons"]
    assert reason.startswith("qemu-system-x86_64: ") and reason.endswith(" -> QEMU emulator version 99.0")
    assert cli.main(["verify", recipe]) == 0
    monkeypatch.setattr(plans, "_CHECK_CODE", ("verify",))
    assert cli.main(["verify", recipe]) == 0
    assert len(world.verifications) == 3


OPTIONS: list[list[str]] = [
    ["--property", "hw_disk_bus=scsi"],
    ["--property", "something=else"],
    ["--datasource", "config-drive"],
    ["--firmware", "uefi"],
    ["--checks", "own.yaml"],
    ["--console-rules", "rules.yaml"],
]


@pytest.mark.parametrize("words", OPTIONS, ids=lambda words: " ".join(words))
@pytest.mark.parametrize("alone", [False, True], ids=["recipe", "image"])
def test_each_option_is_a_question_of_its_own(
    world: World, recipe: str, words: list[str], alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    Path("own.yaml").write_text(OWN)
    Path("rules.yaml").write_text("ignore: [hung-task]\n")
    target = str(image_at(world.folder / "x.img")) if alone else recipe
    for _ in range(2):
        assert cli.main(["verify", target]) == 0
        assert cli.main(["verify", target, *words]) == 0
    assert len(world.verifications) == 2


@pytest.mark.parametrize(
    ("option", "name", "text"),
    [("--checks", "own.yaml", OWN), ("--console-rules", "rules.yaml", "ignore: [hung-task]\n")],
)
def test_a_users_file_is_known_by_what_stands_in_it(
    world: World, recipe: str, option: str, name: str, text: str
) -> None:
    path = world.folder / name
    for content in (text, text, f"# another\n{text}"):
        path.write_text(content)
        assert cli.main(["verify", recipe, option, str(path)]) == 0
    assert len(world.verifications) == 2


def test_an_image_alone_is_known_by_its_bytes_and_its_code(
    world: World, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_at(world.folder / "x.img")
    for _ in range(2):
        assert cli.main(["verify", str(image)]) == 0
    assert len(world.verifications) == 1
    assert AGAIN in capsys.readouterr().out
    image.write_bytes(image.read_bytes() + bytes(1 << 20))
    assert cli.main(["verify", str(image)]) == 0
    monkeypatch.setattr(plans, "_CHECK_CODE", ("verify",))
    assert cli.main(["verify", str(image)]) == 0
    assert len(world.verifications) == 3
    assert not (world.folder / "cache/proofs").exists()


def test_another_place_of_the_image_stands_in_the_commands_that_repeat(
    world: World, recipe: str, capsys: Captured
) -> None:
    world.status = "fail"
    image = image_at(world.folder / "x.img")
    assert cli.main(["verify", str(image), "--recipe", recipe]) == 1
    moved = image.rename(world.folder / "y z.img")
    capsys.readouterr()
    assert cli.main(["verify", str(moved), "--recipe", recipe, "--json"]) == 1
    found = document(capsys)
    assert found["image"] == str(moved)
    for verdict in found["verdicts"]:
        assert verdict["repeat"] == f"goldsmith verify '{moved}' --check goldsmith/settled --recipe {recipe}"
    assert len(world.verifications) == 1


def test_run_and_verify_know_of_each_other(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    assert cli.main(["run", recipe]) == 0
    assert cli.main(["verify", recipe]) == 0
    assert len(world.verifications) == 1
    assert cli.main(["verify", recipe, "--again"]) == 0
    capsys.readouterr()
    assert cli.main(["run", recipe]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert (world.builds, len(world.verifications)) == (1, 2)


def test_run_again_builds_and_boots_again(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    assert cli.main(["run", recipe]) == 0
    capsys.readouterr()
    assert cli.main(["run", recipe, "--again", "--json"]) == 0
    (found,) = document(capsys)["recipes"]
    assert found["verified"] is True
    assert (world.builds, len(world.verifications)) == (2, 2)


def test_copies_and_pages_are_written_of_a_kept_report_too(world: World, recipe: str) -> None:
    assert cli.main(["verify", recipe]) == 0
    kept = world.folder / "cache/reports/small"
    page, junit = world.folder / "page.html", world.folder / "junit.xml"
    for path in kept.iterdir():
        path.unlink()
    assert cli.main(["verify", recipe, "--html", str(page), "--junit", str(junit)]) == 0
    assert page.read_bytes() == (kept / files.HTML).read_bytes()
    assert junit.read_bytes() == (kept / files.JUNIT).read_bytes()
    assert len(world.verifications) == 1


def test_pictures_and_consoles_of_a_later_boot_are_not_shown_as_its_own(world: World, recipe: str) -> None:
    log = world.folder / "cache/reports/small/bios/console.log"
    page = log.parent.parent / files.HTML
    log.parent.mkdir(parents=True)
    log.write_text("this very boot\n")
    assert cli.main(["verify", recipe]) == 0
    assert "this very boot" in page.read_text()
    assert cli.main(["verify", recipe]) == 0
    assert "this very boot" in page.read_text()
    log.write_text("a later boot\n")
    later = log.stat().st_mtime + 60
    os.utime(log, (later, later))
    assert cli.main(["verify", recipe]) == 0
    assert "later boot" not in page.read_text()
    assert log.exists()
    assert len(world.verifications) == 1


@pytest.mark.parametrize("text", ["", "{", "{}"])
def test_damaged_verdicts_are_none(world: World, text: str) -> None:
    image = image_at(world.folder / "x.img")
    assert cli.main(["verify", str(image)]) == 0
    (kept,) = (world.folder / "cache/verdicts").iterdir()
    kept.write_text(text)
    assert cli.main(["verify", str(image)]) == 0
    assert len(world.verifications) == 2


def test_an_image_that_changed_while_it_was_verified_leaves_no_verdicts(
    world: World, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_at(world.folder / "x.img")
    verify = world.verify

    def changed(*words: Any, **named: Any) -> Report:
        image.write_bytes(image.read_bytes() + b"1")
        return verify(*words, **named)

    monkeypatch.setattr(verification, "verify_image", changed)
    assert cli.main(["verify", str(image), "--recipe", recipe]) == 0
    assert list((world.folder / "cache").glob("proofs/*")) == []


def test_to_be_asked_for_is_to_be_used(world: World, recipe: str) -> None:
    assert cli.main(["verify", recipe]) == 0
    (proof,) = (world.folder / "cache/proofs").iterdir()
    os.utime(proof, (1, 1))
    assert cli.main(["verify", recipe]) == 0
    assert proof.stat().st_mtime > 1
