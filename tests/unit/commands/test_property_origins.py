"""Who wants a property: goldsmith plan says it; what the disk contradicts is not published."""

from __future__ import annotations

import json

import pytest
from work_standins import World

from goldsmith import cli

Captured = pytest.CaptureFixture[str]


def test_plan_says_who_wants_each_property(world: World, capsys: Captured) -> None:
    implied = "properties: {hw_rng_model: virtio, os_distro: ubuntu}\n"
    (world.folder / "elements/marked/properties.yaml").write_text(implied)
    recipe = world.recipe(more="owner_team: web")
    assert cli.main(["plan", "--json", recipe]) == 0
    assert json.loads(capsys.readouterr().out)["recipes"][0]["properties"] == {
        "architecture": {"value": "x86_64", "origin": "the disk"},
        "hw_rng_model": {"value": "virtio", "origin": "element marked"},
        "os_distro": {"value": "debian", "origin": "the recipe"},
        "os_type": {"value": "linux", "origin": "the disk"},
        "os_version": {"value": "13", "origin": "the disk"},
        "owner_team": {"value": "web", "origin": "the recipe"},
    }
    assert cli.main(["plan", recipe]) == 0
    assert "hw_rng_model=virtio (element marked)" in capsys.readouterr().out


@pytest.mark.parametrize(("packages", "code"), [(("dpkg",), 2), (("dpkg", "qemu-guest-agent"), 0)])
def test_a_guest_agent_that_is_not_installed_is_not_promised(
    world: World, capsys: Captured, packages: tuple[str, ...], code: int
) -> None:
    world.packages = packages
    assert cli.main(["run", world.recipe(more='hw_qemu_guest_agent: "yes"')]) == code
    assert ("hw_qemu_guest_agent: 'yes' contradicts the disk" in capsys.readouterr().err) == bool(code)
    assert (world.folder / "images/small.qcow2").exists() != bool(code)
