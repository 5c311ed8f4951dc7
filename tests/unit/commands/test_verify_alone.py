"""goldsmith verify of an image that no recipe made, and the machine that properties make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from work_standins import World

from goldsmith import cli

Captured = pytest.CaptureFixture[str]


def image_at(path: Path) -> Path:
    """A partitioned disk with boot code."""
    path.write_bytes(
        (b"\xeb\x63\x90" + bytes(443) + b"\x80" + bytes(3) + b"\x83" + bytes(59) + b"\x55\xaa").ljust(1 << 20)
    )
    return path


def test_an_image_alone_is_booted_with_its_own_firmware(world: World, capsys: Captured) -> None:
    image = image_at(world.folder / "a vendor's.img")
    assert cli.main(["verify", "--json", str(image)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["name"], document["firmware"]) == ("a-vendor-s", ["bios"])
    assert Path(document["artefacts"]) == world.folder / "cache/reports/a-vendor-s"
    assert (world.folder / "cache/reports/a-vendor-s/report.html").exists()
    assert world.verifications[0]["checks"] == ()
    assert not (world.folder / "cache/proofs").exists()


@pytest.mark.parametrize(
    ("words", "firmwares"),
    [
        (["--property", "hw_firmware_type=uefi"], ("uefi",)),
        (["--firmware", "uefi", "--firmware", "bios"], ("uefi", "bios")),
    ],
)
def test_its_firmware_is_the_users_to_choose(world: World, words: list[str], firmwares: tuple[str, ...]) -> None:
    assert cli.main(["verify", str(image_at(world.folder / "x.img")), *words]) == 0
    assert world.verifications[0]["firmwares"] == firmwares


def test_what_shaped_the_machine_stands_in_the_command_that_repeats(world: World, capsys: Captured) -> None:
    world.status = "fail"
    image = image_at(world.folder / "x.img")
    words = ["--property", "hw_machine_type=q35", "--datasource", "config-drive"]
    assert cli.main(["verify", "--json", str(image), *words]) == 1
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert verdict["repeat"].endswith("--property hw_machine_type=q35 --datasource config-drive")
    (asked,) = world.verifications
    assert (asked["properties"], asked["datasource"]) == ({"hw_machine_type": "q35"}, "config-drive")


def test_a_recipes_properties_shape_the_machine_and_the_users_go_before(world: World) -> None:
    recipe = world.recipe(more="hw_disk_bus: scsi, hw_scsi_model: virtio-scsi")
    assert cli.main(["build", recipe]) == 0
    assert cli.main(["verify", recipe]) == 0
    assert cli.main(["verify", recipe, "--property", "hw_disk_bus=virtio"]) == 0
    first, second = (asked["properties"] for asked in world.verifications)
    assert (first["hw_disk_bus"], first["os_distro"]) == ("scsi", "debian")
    assert (second["hw_disk_bus"], second["hw_scsi_model"]) == ("virtio", "virtio-scsi")


@pytest.mark.parametrize("words", [["--property", "hw_disk_bus=scsi"], ["--datasource", "nocloud"]])
def test_what_was_seen_on_another_machine_is_no_proof(world: World, words: list[str], capsys: Captured) -> None:
    recipe = world.recipe()
    assert cli.main(["build", recipe]) == 0
    assert cli.main(["verify", recipe, *words]) == 0
    assert cli.main(["publish", recipe]) == 2
    assert cli.main(["verify", recipe]) == 0
    assert cli.main(["publish", recipe]) == 0
    capsys.readouterr()


def test_another_shape_needs_another_proof(world: World) -> None:
    assert cli.main(["run", world.recipe()]) == 0
    # Another machine:
    assert cli.main(["run", world.recipe(more="hw_disk_bus: scsi")]) == 0
    # The same one, by another name:
    assert cli.main(["run", world.recipe(more="hw_disk_bus: scsi, owner_specified: me")]) == 0
    assert len(world.verifications) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--property", "hw_disk_bus"], "is not of the form K=V"),
        (["--property", "a=1", "--property", "a=2"], "is given twice"),
    ],
)
def test_bad_properties(world: World, words: list[str], says: str, capsys: Captured) -> None:
    assert cli.main(["verify", str(image_at(world.folder / "x.img")), *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"QFI\xfb"])
def test_what_is_no_image(world: World, content: bytes, capsys: Captured) -> None:
    image = world.folder / "x.qcow2"
    image.write_bytes(content)
    assert cli.main(["verify", str(image)]) == 2
    assert "x.qcow2" in capsys.readouterr().err
    assert cli.main(["verify", str(world.folder / "none.qcow2")]) == 2
    assert world.verifications == []


OWN = """\
checks:
  - id: ssh
    says: sshd listens
    port: {port: 22}
"""


def test_checks_of_ones_own_stand_beside_the_recipes(world: World, capsys: Captured) -> None:
    own = world.folder / "own.yaml"
    own.write_text(OWN)
    recipe = world.recipe()
    assert cli.main(["build", recipe]) == 0
    world.status = "fail"
    capsys.readouterr()
    assert cli.main(["verify", "--json", recipe, "--checks", str(own)]) == 1
    (asked,) = world.verifications
    assert [(check.element, check.id) for check in asked["checks"]] == [("marked", "mark"), ("own", "ssh")]
    document = json.loads(capsys.readouterr().out)
    assert document["verdicts"][0]["repeat"].endswith(f"--checks {own}")
    # With a user's checks it is no proof of the recipe.
    world.status = "pass"
    assert cli.main(["verify", recipe, "--checks", str(own), "--again"]) == 0
    assert cli.main(["publish", recipe]) == 2


def test_checks_of_ones_own_on_any_image(world: World) -> None:
    own = world.folder / "own.yaml"
    own.write_text(OWN)
    assert cli.main(["verify", str(image_at(world.folder / "x.img")), "--checks", str(own)]) == 0
    assert [(check.element, check.id) for check in world.verifications[0]["checks"]] == [("own", "ssh")]


def test_all_that_is_wrong_with_recipe_and_checks_is_said_at_once(world: World, capsys: Captured) -> None:
    recipe, own = Path(world.recipe()), world.folder / "own.yaml"
    recipe.write_text(recipe.read_text().replace("marked", "markd"))
    own.write_text(OWN.replace("port:", "prot:"))
    assert cli.main(["verify", str(recipe), "--checks", str(own), "--checks", str(world.folder / "none.yaml")]) == 2
    said = capsys.readouterr().err
    assert "markd" in said
    assert "own.yaml" in said
    assert "did you mean" in said
    assert "none.yaml" in said


def test_the_schema_of_checks_is_to_be_had(capsys: Captured) -> None:
    assert cli.main(["schema", "checks"]) == 0
    assert "log_line" in json.dumps(json.loads(capsys.readouterr().out))
    assert cli.main(["schema", "chekcs"]) == 2
