"""What is of the base tree and what goes over it; what makes a base anew and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from goldsmith.bake.layers import Layers, split
from goldsmith.host.files import document_digest
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.settings import PROJECT_ROOT, Settings, from_environment

SCHEMA = """\
summary: it
parameters:
  type: object
  properties:
    mode: {type: string, default: quiet, x-dib: {variable: DIB_T_MODE}}
"""


class House:
    """A folder of elements, and a recipe that uses ``a``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings: Settings = from_environment({"HOME": str(root), "ELEMENTS_PATH": str(root / "elements")})
        self.write("a/schema.yaml", SCHEMA)
        self.write("a/element-deps", "package-installs\n")
        self.write("a/package-installs.yaml", "htop:\n")
        self.write("a/install.d/50-a", "#!/bin/sh\n", executable=True)
        self.write("a/environment.d/10-a.bash", "export DIB_T_MODE=${DIB_T_MODE:-quiet}\n")

    def write(self, name: str, text: str, *, executable: bool = False) -> None:
        path = self.root / "elements" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if executable else 0o644)

    def plan(self, elements: str = "[a]", more: str = "") -> Plan:
        recipe = self.root / "recipe.yaml"
        head = "name: test\nbase: {distribution: debian, release: trixie}\n"
        recipe.write_text(f"{head}elements: {elements}\n{more}")
        return make_plan(load(recipe, self.settings), self.settings)

    def layers(self, elements: str = "[a]", more: str = "") -> Layers:
        return split(self.plan(elements, more), self.settings)

    def base(self, elements: str = "[a]", more: str = "") -> str:
        """What decides about the base, as one digest."""
        return document_digest(self.layers(elements, more).inputs)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_scripts_go_over_the_base_and_packages_into_it(house: House, tmp_path: Path) -> None:
    layers = house.layers()
    assert [element.name for element in layers.over] == ["a"]
    layers.write_stubs(tmp_path / "stubs")
    found = {path.relative_to(tmp_path / "stubs").as_posix() for path in (tmp_path / "stubs").rglob("*")}
    assert found == {"a", "a/element-deps", "a/package-installs.yaml"}
    assert {"install-packages", "package-installs-v2"} <= set(layers.tools)


CHANGES: dict[str, Callable[[House], None]] = {
    "script": lambda house: house.write("a/install.d/50-a", "#!/bin/sh\ntrue\n", executable=True),
    "new script": lambda house: house.write("a/finalise.d/50-a", "#!/bin/sh\n", executable=True),
    "static file": lambda house: house.write("a/static/etc/a", "1"),
    "check": lambda house: house.write("a/checks.yaml", "checks: [{id: a}]\n"),
    "environment that the base does not read": lambda house: house.write("a/environment.d/11-b.bash", "export DIB_T=1"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_goes_over_does_not_make_the_base_anew(house: House, change: str) -> None:
    before = house.base()
    CHANGES[change](house)
    assert house.base() == before


def test_a_parameter_that_the_base_does_not_read_does_not_either(house: House) -> None:
    assert house.base("[{a: {mode: loud}}]") == house.base()


def test_an_element_without_packages_is_nothing_to_the_base(house: House) -> None:
    house.write("b/element-deps", "package-installs\n")
    house.write("b/schema.yaml", "summary: b\n")
    house.write("b/static/etc/b", "1")
    assert house.base("[a, b]") == house.base("[b, a]") == house.base("[a]")
    assert house.layers("[a, b]").elements == ("debian-minimal", "a")


def test_the_package_that_static_files_bring_is_in_the_base(house: House) -> None:
    # diskimage-builder's install-static installs rsync.
    house.write("b/element-deps", "install-static\n")
    house.write("b/schema.yaml", "summary: b\n")
    house.write("b/static/etc/b", "1")
    assert house.layers("[a, b]").elements == ("debian-minimal", "a", "b")


BASE_CHANGES: dict[str, Callable[[House], None]] = {
    "package": lambda house: house.write("a/package-installs.yaml", "htop:\nvim-tiny:\n"),
    "name of a package": lambda house: house.write("a/pkg-map", '{"family": {"debian": {"htop": "top"}}}'),
    "another element": lambda house: house.write("a/element-deps", "package-installs\ndynamic-login\n"),
    "environment that the base reads": lambda house: house.write(
        "a/environment.d/11-b.bash", "export DIB_APT_MINIMAL_CREATE_INTERFACES=0\n"
    ),
}


@pytest.mark.parametrize("change", BASE_CHANGES)
def test_what_decides_about_packages_makes_the_base_anew(house: House, change: str) -> None:
    before = house.base()
    BASE_CHANGES[change](house)
    assert house.base() != before


@pytest.mark.parametrize(
    "more", ["packages: [htop]\n", "environment: {DIB_T_X: '1'}\n", "mirror: {url: http://mirror.example}\n"]
)
def test_what_the_recipe_says_of_the_base_makes_it_anew(house: House, more: str) -> None:
    assert house.base(more=more) != house.base()


def test_a_parameter_that_packages_depend_on_makes_the_base_anew(house: House) -> None:
    house.write("a/package-installs.yaml", "htop:\n  when: DIB_T_MODE=loud\n")
    layers = house.layers("[{a: {mode: loud}}]")
    assert layers.environment["DIB_T_MODE"] == "loud"
    # A default that only environment.d gives is known too: the stub has no environment.d.
    assert house.layers().environment["DIB_T_MODE"] == "quiet"
    assert house.base("[{a: {mode: loud}}]") != house.base()


def test_variables_that_the_base_does_not_read_are_not_its(house: House) -> None:
    assert "DIB_T_MODE" not in house.layers("[{a: {mode: loud}}]").environment
    # What the recipe sets by itself may be meant for any element.
    assert house.layers(more="environment: {DIB_T_OTHER: '1'}\n").environment["DIB_T_OTHER"] == "1"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("root.d/50-a", "#!/bin/sh\n"),
        ("extra-data.d/50-a", "#!/bin/sh\n"),
        ("bin/a-tool", "#!/bin/sh\n"),
        ("source-repository-a", "a git /opt/a http://example.org/a\n"),
        ("offline.yaml", "offline: left-out\nwhy: it is of the build\n"),
        ("install.d/60-a", "#!/bin/sh\ninstall-packages vim\n"),
    ],
)
def test_an_element_that_works_in_the_build_is_of_the_base_as_a_whole(house: House, file: str, text: str) -> None:
    house.write(f"a/{file}", text, executable=True)
    layers = house.layers()
    assert layers.over == ()
    before = house.base()
    house.write("a/install.d/50-a", "#!/bin/sh\ntrue\n", executable=True)
    assert house.base() != before


def test_an_element_of_dibs_own_is_of_the_base(house: House) -> None:
    assert [element.name for element in house.layers("[a, dynamic-login]").over] == ["a"]


def test_of_the_golden_image_all_but_the_boot_loader_goes_over() -> None:
    settings = from_environment({"HOME": "/nonexistent"})
    plan = make_plan(load(PROJECT_ROOT / "recipes/debian-13.yaml", settings), settings)
    layers = split(plan, settings)
    own = {planned.element.name for planned in plan.elements if planned.element.own}
    assert own - {element.name for element in layers.over} == {"hybrid-boot"}
    assert layers.environment["DIB_APT_MINIMAL_CREATE_INTERFACES"] == "0"
    assert "DIB_NETWORKD_ADDRESSES" not in layers.environment


def test_an_element_that_looks_for_the_initramfs_finds_it(house: House) -> None:
    assert not house.layers().reads_initramfs
    # Its block device's phase makes it an element of the base.
    house.write("c/block-device.d/50-c", "#!/bin/sh\n", executable=True)
    assert not house.layers("[a, c]").reads_initramfs
    house.write("c/cleanup.d/99-c", "#!/bin/sh\ncp $TARGET_ROOT/boot/initrd.img* /srv\n", executable=True)
    assert house.layers("[a, c]").reads_initramfs
