"""From recipes to published images, with a bake and a verification that only pretend."""

import json

import pytest
from work_standins import CHECKS, World

from goldsmith import cli
from goldsmith.doctor import Finding
from goldsmith.store.manifest import Status

Captured = pytest.CaptureFixture[str]


def test_run_goes_the_whole_way_once(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    assert cli.main(["run", recipe]) == 0
    first = capsys.readouterr().out
    image = world.folder / "images/small.qcow2"
    assert image.read_bytes() == b"image"
    assert f"small: {image}" in first
    assert json.loads((world.folder / "images/small.properties.json").read_text()) == {
        "architecture": "x86_64",
        "os_distro": "debian",
        "os_type": "linux",
        "os_version": "13",
    }
    manifest = json.loads((world.folder / "images/small.json").read_text())
    assert [verdict["status"] for verdict in manifest["verdicts"]] == ["pass", "pass"]
    assert json.loads((world.folder / "images/small.spdx.json").read_text())["spdxVersion"] == "SPDX-2.3"

    before = image.stat()
    assert cli.main(["run", recipe]) == 0
    assert capsys.readouterr().out == f"small: nothing to do, {image} is current\n"
    assert (world.builds, len(world.verifications)) == (1, 1)
    assert image.stat().st_ino == before.st_ino


def test_a_gap_of_the_host_is_said_before_anything_is_built(world: World, capsys: Captured) -> None:
    world.findings = [
        Finding("virtual networks", False, "no /dev/net/tun", "sudo chmod 0666 /dev/net/tun", ("verify",)),
        Finding("swap", False, "none", "make some"),
    ]
    assert cli.main(["run", world.recipe()]) == 3
    said = capsys.readouterr().err
    assert "virtual networks: no /dev/net/tun" in said
    assert "-> sudo chmod 0666 /dev/net/tun" in said
    assert "swap" not in said
    assert world.builds == 0
    world.findings = []
    assert cli.main(["run", world.recipe()]) == 0


def test_a_gap_does_not_matter_where_nothing_is_to_be_done(world: World, capsys: Captured) -> None:
    assert cli.main(["run", world.recipe()]) == 0
    world.findings = [Finding("virtual networks", False, "no /dev/net/tun", None, ("verify",))]
    assert cli.main(["run", world.recipe()]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_changed_check_is_verified_again_and_not_built(world: World) -> None:
    recipe = world.recipe()
    assert cli.main(["run", recipe]) == 0
    checks = world.folder / "elements/marked/checks.yaml"
    checks.write_text(CHECKS.replace("/etc/mark", "/etc/other"))
    assert cli.main(["run", recipe]) == 0
    assert (world.builds, len(world.verifications)) == (1, 2)


def test_damaged_or_missing_catalogue_is_published_again(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    image = world.folder / "images/small.qcow2"
    assert cli.main(["run", recipe]) == 0
    for damage in (lambda: image.write_bytes(b"other"), image.unlink, image.with_suffix(".json").unlink):
        damage()
        assert cli.main(["run", recipe]) == 0
        assert image.read_bytes() == b"image"
    assert (world.builds, len(world.verifications)) == (1, 1)
    assert "nothing to do" not in capsys.readouterr().out


@pytest.mark.parametrize(("status", "code"), [("fail", 1), ("broken", 3)])
def test_unproven_image_is_not_published(world: World, capsys: Captured, status: Status, code: int) -> None:
    world.status = status
    recipe = world.recipe()
    assert cli.main(["run", recipe]) == code
    assert "small: not published" in capsys.readouterr().out
    assert not (world.folder / "images/small.qcow2").exists()
    assert cli.main(["publish", recipe]) == 1
    assert "did not pass" in capsys.readouterr().err
    # A bad proof is no reason not to look again.
    world.status = "pass"
    assert cli.main(["run", recipe]) == 0
    assert (world.folder / "images/small.qcow2").exists()


def test_one_failing_recipe_does_not_stop_the_others(world: World, capsys: Captured) -> None:
    first, second = world.recipe("first"), world.recipe("second")
    world.status = "fail"
    assert cli.main(["run", "--json", first, second]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [(recipe["name"], recipe["published"]) for recipe in document["recipes"]] == [
        ("first", False),
        ("second", False),
    ]
    assert len(world.verifications) == 2


def test_all_recipes_are_judged_before_anything_is_built(world: World, capsys: Captured) -> None:
    good, wrong = world.recipe("good"), world.recipe("wrong", distro="fedora")
    broken = world.folder / "broken.yaml"
    broken.write_text("name: Broken\n")
    assert cli.main(["run", "--json", good, wrong, str(broken), str(world.folder / "absent.yaml")]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    text = json.dumps(error["problems"])
    assert "contradicts the disk" in text
    assert "broken.yaml" in text and "absent.yaml" in text
    assert world.builds == 0


def test_two_recipes_of_one_name_are_refused(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    assert cli.main(["build", recipe, recipe]) == 2
    assert "another of these recipes is called `small`" in capsys.readouterr().err


def test_wrong_check_is_found_by_plan(world: World, capsys: Captured) -> None:
    (world.folder / "elements/marked/checks.yaml").write_text(CHECKS.replace("exists: true", "exsits: true"))
    assert cli.main(["plan", world.recipe()]) == 2
    assert "exsits" in capsys.readouterr().err


def test_plan_says_what_run_would_do(world: World, capsys: Captured) -> None:
    recipe = world.recipe()

    def needs() -> tuple[bool, bool, bool]:
        assert cli.main(["plan", "--json", recipe]) == 0
        (document,) = json.loads(capsys.readouterr().out)["recipes"]
        return tuple(document[step]["needed"] for step in ("build", "verify", "publish"))  # type: ignore[return-value]

    assert needs() == (True, True, True)
    assert cli.main(["plan", recipe]) == 0
    assert "no image of this recipe was built yet" in capsys.readouterr().out
    for command, after in (
        ("build", (False, True, True)),
        ("verify", (False, False, True)),
        ("publish", (False, False, False)),
    ):
        assert cli.main([command, recipe]) == 0
        capsys.readouterr()
        assert needs() == after, command
    assert cli.main(["plan", recipe]) == 0
    assert "no, the image is there and current" in capsys.readouterr().out
    assert cli.main(["publish", recipe]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_plan_says_why_it_would_be_verified(world: World, capsys: Captured) -> None:
    def reasons(recipe: str) -> list[str]:
        assert cli.main(["plan", "--json", recipe]) == 0
        (document,) = json.loads(capsys.readouterr().out)["recipes"]
        return list(document["verify"]["reasons"])

    recipe = world.recipe()
    assert reasons(recipe) == ["its image must be built first"]
    for command, wanted in (("build", ["no image of this recipe was verified yet"]), ("verify", [])):
        assert cli.main([command, recipe]) == 0
        capsys.readouterr()
        assert reasons(recipe) == wanted
    more = "".join(
        f"  - {{id: b{number}, says: the file b is there, file: {{path: /b, exists: true}}}}\n" for number in range(8)
    )
    (world.folder / "elements/marked/checks.yaml").write_text(CHECKS + more)
    world.recipe(more="hw_disk_bus: scsi")
    found = reasons(recipe)
    assert found == [
        *(f"element marked: check b{number} added" for number in range(8)),
        "property hw_disk_bus: not set -> scsi",
    ]
    assert cli.main(["plan", recipe]) == 0
    said = capsys.readouterr().out
    assert "check b3 added" in said and "check b4 added" not in said and "and 5 more: --why names them" in said
    assert cli.main(["plan", "--why", recipe]) == 0
    said = capsys.readouterr().out
    assert all(line in said for line in found) and "more:" not in said


def test_run_says_why_it_verifies(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    assert cli.main(["run", recipe]) == 0
    assert "small: verified because: no image of this recipe was verified yet\n" in capsys.readouterr().err
    (world.folder / "elements/marked/checks.yaml").write_text(CHECKS.replace("/etc/mark", "/etc/other"))
    assert cli.main(["run", recipe]) == 0
    assert "small: verified because: element marked: check mark changed\n" in capsys.readouterr().err
    assert cli.main(["run", recipe]) == 0
    assert "because" not in capsys.readouterr().err
    assert cli.main(["run", recipe, "--again"]) == 0
    assert "small: verified because: it was asked for (--again)\n" in capsys.readouterr().err


def test_plan_says_which_layers_would_be_made(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    assert cli.main(["plan", "--json", recipe]) == 0
    (document,) = json.loads(capsys.readouterr().out)["recipes"]
    layers = document["build"]["layers"]
    assert [(layer["name"], layer["kept"]) for layer in layers] == [
        ("base tree", False),
        ("initramfs", False),
        ("base disk", False),
        ("elements", False),
    ]
    assert layers[3]["elements"] == ["marked"]
    assert cli.main(["plan", recipe]) == 0
    said = capsys.readouterr().out.splitlines()
    place = said.index("  layers    base tree: made anew")
    assert said[place + 1 : place + 4] == [
        "            initramfs: made anew",
        "            base disk: made anew",
        "            elements: marked: made anew",
    ]
    assert cli.main(["build", recipe]) == 0
    capsys.readouterr()
    assert cli.main(["plan", "--json", recipe]) == 0
    assert json.loads(capsys.readouterr().out)["recipes"][0]["build"]["layers"] == []


def test_build_again_builds(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    for words in ([], [], ["--again"]):
        assert cli.main(["build", recipe, *words]) == 0
    assert world.builds == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["built", "nothing", "built"]


def test_verify_needs_an_image(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    assert cli.main(["verify", recipe]) == 2
    assert f"run: goldsmith build {recipe}" in capsys.readouterr().err
    assert cli.main(["publish", recipe]) == 2


def test_part_of_a_verification_is_no_proof(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    assert cli.main(["build", recipe]) == 0
    for words in (["--check", "goldsmith/settled"], ["--firmware", "bios"]):
        assert cli.main(["verify", recipe, *words]) == 0
        assert cli.main(["publish", recipe]) == 2
        assert "has no verdicts of a boot with bios and uefi" in capsys.readouterr().err
    assert world.verifications[0]["only"] == ("goldsmith/settled",)
    assert world.verifications[1]["firmwares"] == ("bios",)


def test_any_image_is_verified_by_a_recipe(world: World, capsys: Captured) -> None:
    recipe, image = world.recipe(), world.folder / "other image.qcow2"
    image.write_bytes(b"other")
    world.status = "fail"
    assert cli.main(["verify", "--json", str(image), "--recipe", recipe]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "fail"
    assert document["verdicts"][0]["repeat"].endswith(f"--recipe {recipe}")
    assert world.verifications[0]["image"] == image


def test_verify_wants_one_recipe(world: World, capsys: Captured) -> None:
    assert cli.main(["verify", "r.yaml", "--recipe", "r.yaml"]) == 2
    assert "see: goldsmith verify --help" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "{}"])
def test_damaged_proof_is_none(world: World, text: str) -> None:
    recipe = world.recipe()
    assert cli.main(["run", recipe]) == 0
    (proof,) = (world.folder / "cache/proofs").iterdir()
    proof.write_text(text)
    assert cli.main(["run", recipe]) == 0
    assert len(world.verifications) == 2
