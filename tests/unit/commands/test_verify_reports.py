"""The report of `goldsmith verify` and `run` as files, with a verification that only pretends."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from work_standins import World

from goldsmith import cli
from goldsmith.errors import InputError
from goldsmith.store.manifest import Status
from goldsmith.verify.reporting import files

Captured = pytest.CaptureFixture[str]
FORMS = (files.HTML, files.JSON, files.JUNIT, files.TEXT)


def kept(world: World) -> Path:
    return world.folder / "cache/reports/small"


@pytest.mark.parametrize("status", ["pass", "fail", "broken"])
def test_run_and_verify_leave_every_form(world: World, status: Status, capsys: Captured) -> None:
    world.status = status
    recipe = world.recipe()
    code = {"pass": 0, "fail": 1, "broken": 3}[status]
    for command in ("run", "verify"):
        assert cli.main([command, recipe]) == code
        assert sorted(path.name for path in kept(world).iterdir()) == sorted(FORMS)
        for name in FORMS:
            (kept(world) / name).unlink()
    assert f"report.html, junit.xml, consoles and screens: {kept(world)}" in capsys.readouterr().out


def test_the_page_knows_what_the_recipe_knows(world: World) -> None:
    assert cli.main(["run", world.recipe()]) == 0
    page = (kept(world) / files.HTML).read_text(encoding="utf-8")
    assert "<h1>small</h1>" in page
    assert "<code>os_distro</code>" in page and "<code>debian</code>" in page
    document = json.loads((kept(world) / files.JSON).read_text())
    assert document["properties"]["os_type"] == "linux"
    assert document["finished"].endswith("Z")


def test_verify_puts_copies_where_they_are_wanted(world: World, capsys: Captured) -> None:
    recipe, image = world.recipe(), world.folder / "other.qcow2"
    image.write_bytes(b"other")
    (world.folder / "out").mkdir()
    page, junit = world.folder / "out/page.html", world.folder / "out/junit.xml"
    page.write_text("of yesterday")
    world.status = "fail"
    words = ["verify", str(image), "--recipe", recipe, "--html", str(page), "--junit", str(junit)]
    assert cli.main([*words, "--json"]) == 1
    json.loads(capsys.readouterr().out)
    assert page.read_bytes() == (kept(world) / files.HTML).read_bytes()
    assert sorted(path.name for path in page.parent.iterdir()) == ["junit.xml", "page.html"]
    # What repeats it names the recipe, in every form.
    (failure, *_) = ET.parse(junit).getroot().iter("failure")
    assert (failure.text or "").endswith(f"--recipe {recipe}")
    assert f"--recipe {recipe}" in page.read_text(encoding="utf-8")
    assert f"--recipe {recipe}" in (kept(world) / files.TEXT).read_text()


def test_a_copy_without_a_folder_is_refused_before_anything_boots(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    assert cli.main(["build", recipe]) == 0
    capsys.readouterr()
    absent = world.folder / "absent"
    assert cli.main(["verify", recipe, "--html", f"{absent}/page.html", "--junit", str(world.folder)]) == 2
    said = capsys.readouterr().err
    assert f"there is no folder {absent}" in said and "is a folder" in said
    assert world.verifications == []
    assert not absent.exists()


def test_a_picture_of_another_run_is_not_shown(world: World) -> None:
    recipe = world.recipe()
    place = kept(world) / "bios"
    place.mkdir(parents=True)
    for name in ("screen.png", "console.log"):
        (place / name).write_text("of yesterday")
        os.utime(place / name, (1_000_000, 1_000_000))
    assert cli.main(["run", recipe]) == 0
    assert list(place.iterdir()) == []
    assert "of yesterday" not in (kept(world) / files.HTML).read_text(encoding="utf-8")


def test_a_wrong_selection_costs_no_report(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = world.recipe()
    assert cli.main(["run", recipe]) == 0
    before = (kept(world) / files.HTML).read_bytes()

    def refuse(*rest: object, **named: object) -> None:
        raise InputError("no check 'x'")

    monkeypatch.setattr("goldsmith.commands.verification.verify_image", refuse)
    assert cli.main(["verify", recipe, "--check", "x"]) == 2
    assert (kept(world) / files.HTML).read_bytes() == before
