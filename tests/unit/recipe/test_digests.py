"""Digests of a plan: what they cover, what they leave out, and the words for what differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from recipe_help import NETWORKD, Workplace

from goldsmith.recipe import dib
from goldsmith.recipe import plan as plan_module
from goldsmith.recipe.differences import describe
from goldsmith.recipe.model import Recipe
from goldsmith.recipe.plan import make_plan


@pytest.fixture
def baked(work: Workplace) -> Workplace:
    work.element("networkd", schema=NETWORKD, checks="checks: [{id: a, says: x}]\n", properties="properties: {}\n")
    work.write("elements/networkd/install.d/50-x", "echo\n", mode=0o755)
    work.write("elements/networkd/static/etc/README.rst", "in the image\n")
    work.write("elements/networkd/README.rst", "not in the image\n")
    return work


RECIPE = "elements: [networkd, cloud-init]\nenvironment: {DIB_A: '1'}\npackages: [htop]\n"


class TestDigests:
    def test_names_of_inputs(self, baked: Workplace) -> None:
        names = set(baked.plan(RECIPE, **{"qemu-img": "7.2"}).inputs)
        assert {
            "base",
            "dib",
            "disk",
            "elements",
            "environment",
            "mirror",
            "packages",
            "tool:qemu-img",
            "element:networkd:install.d/50-x",
            "element:networkd:static/etc/README.rst",
            "element:networkd:parameters",
            "code:recipe/plan.py",
            "code:host/run.py",
            "code:bake/__init__.py",
            "code:recipe/dib_variables.yaml",
        } <= names
        unwanted = ("checks.yaml", "schema.yaml", "properties.yaml", "networkd:README.rst", "code:verify", "code:boot")
        assert not [name for name in names if any(each in name for each in unwanted)]

    def test_same_input_same_digest(self, baked: Workplace) -> None:
        first, second = baked.plan(RECIPE), baked.plan(RECIPE)
        assert (first.digest, first.checks_digest) == (second.digest, second.checks_digest)
        assert first.differences(second.inputs) == []

    @pytest.mark.parametrize(
        ("recipe", "words"),
        [
            (RECIPE.replace("htop", "vim"), ["packages: changed"]),
            (RECIPE.replace("'1'", "'2'"), ["environment: changed"]),
            (RECIPE + "disk: {size: 5GiB}\n", ["disk: changed"]),
            (RECIPE + "disk: {firmware: [bios]}\n", ["disk: changed"]),
            (RECIPE + "mirror: {url: 'http://mirror.example/debian'}\n", ["mirror: changed"]),
            (RECIPE.replace("networkd,", "{networkd: {policy: metric}},"), ["element networkd: parameters changed"]),
            (
                RECIPE.replace("networkd, cloud-init", "cloud-init, networkd"),
                ["the list of elements or its order changed"],
            ),
            (RECIPE.replace(", cloud-init", ""), ["element cloud-init: removed"]),
            (RECIPE.replace("cloud-init]", "cloud-init, growroot]"), ["element growroot: added"]),
        ],
    )
    def test_what_the_recipe_says_is_covered(self, baked: Workplace, recipe: str, words: list[str]) -> None:
        old, new = baked.plan(RECIPE), baked.plan(recipe)
        assert new.digest != old.digest
        assert new.differences(old.inputs) == words

    def test_base_is_covered(self, baked: Workplace) -> None:
        old = baked.plan(RECIPE)
        base = {"distribution": "debian", "release": "bookworm"}
        new = make_plan(Recipe.model_validate({**old.recipe.model_dump(), "base": base}), baked.settings)
        assert new.differences(old.inputs) == ["base: changed"]

    @pytest.mark.parametrize(
        ("name", "text", "mode", "words"),
        [
            ("install.d/50-x", "echo other\n", 0o755, "element networkd: install.d/50-x changed"),
            ("install.d/50-x", "echo\n", 0o644, "element networkd: install.d/50-x changed"),
            ("install.d/60-y", "", 0o755, "element networkd: install.d/60-y added"),
            ("static/etc/README.rst", "other\n", 0o644, "element networkd: static/etc/README.rst changed"),
            ("element-deps", "growroot\n", 0o644, "element networkd: element-deps added"),
        ],
    )
    def test_files_are_covered(self, baked: Workplace, name: str, text: str, mode: int, words: str) -> None:
        old = baked.plan(RECIPE)
        baked.write(f"elements/networkd/{name}", text, mode=mode)
        new = baked.plan(RECIPE)
        assert new.digest != old.digest
        assert new.differences(old.inputs) == [words]
        assert new.checks_digest == old.checks_digest

    def test_removed_file(self, baked: Workplace) -> None:
        old = baked.plan(RECIPE)
        (baked.root / "elements/networkd/static/etc/README.rst").unlink()
        words = baked.plan(RECIPE).differences(old.inputs)
        # the folder is now an empty one, which is made in the image as well
        assert words == [
            "element networkd: static/etc/ added",
            "element networkd: static/etc/README.rst removed",
        ]

    def test_links_are_covered(self, baked: Workplace) -> None:
        link = baked.root / "elements/networkd/static/etc/link"
        link.symlink_to("/nowhere")
        old = baked.plan(RECIPE)
        link.unlink()
        link.symlink_to("/elsewhere")
        assert baked.plan(RECIPE).differences(old.inputs) == ["element networkd: static/etc/link changed"]

    def test_files_of_an_element_from_element_deps_are_covered(self, baked: Workplace) -> None:
        baked.write("elements/user/element-deps", "networkd\n")
        old = baked.plan("elements: [user]\n")
        baked.write("elements/networkd/install.d/50-x", "other\n", mode=0o755)
        assert baked.plan("elements: [user]\n").digest != old.digest

    @pytest.mark.parametrize("name", ["checks.yaml", "properties.yaml", "README.rst", "schema.yaml"])
    def test_what_is_not_in_the_image_does_not_rebuild_it(self, baked: Workplace, name: str) -> None:
        texts = {
            "checks.yaml": "checks: [{id: a, says: y}, {id: b}]\n",
            "properties.yaml": "properties: {own_x: y}\n",
            "README.rst": "other\n",
            "schema.yaml": NETWORKD.replace("summary: Networks", "summary: Other"),
        }
        old = baked.plan(RECIPE)
        baked.write(f"elements/networkd/{name}", texts[name])
        new = baked.plan(RECIPE)
        assert new.digest == old.digest
        assert (new.checks_digest == old.checks_digest) == (name != "checks.yaml")

    def test_differences_of_checks(self, baked: Workplace) -> None:
        old = baked.plan(RECIPE)
        baked.write("elements/networkd/checks.yaml", "checks: [{id: a, says: y}, {id: b}]\n")
        assert baked.plan(RECIPE).check_differences(old.checks_inputs) == [
            "element networkd: check a changed",
            "element networkd: check b added",
        ]

    def test_what_is_published_does_not_rebuild(self, baked: Workplace) -> None:
        old = baked.plan(RECIPE)
        new = baked.plan(RECIPE + "publish: {name: Other}\nproperties: {own_x: y}\n")
        assert (new.digest, new.checks_digest) == (old.digest, old.checks_digest)
        assert new.properties == {"own_x": "y"}

    def test_versions_are_covered_and_shown(self, baked: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
        old = baked.plan(RECIPE, **{"qemu-img": "7.2", "mke2fs": "1.47"})
        monkeypatch.setattr(dib, "version", lambda: "9.9.9")
        new = baked.plan(RECIPE, **{"qemu-img": "8.0"})
        assert new.digest != old.digest
        assert new.differences(old.inputs) == [
            f"diskimage-builder: {old.inputs['dib']} -> 9.9.9",
            "mke2fs: removed",
            "qemu-img: 7.2 -> 8.0",
        ]

    def test_mirrors_of_the_host_are_covered(self, baked: Workplace) -> None:
        recipe = baked.load(RECIPE)
        old = make_plan(recipe, baked.settings)
        for change in ({"mirror": "http://mirror.example/a"}, {"security_mirror": "http://mirror.example/b"}):
            new = make_plan(recipe, replace(baked.settings, **change))  # type: ignore[arg-type]
            assert new.differences(old.inputs) == ["mirror: changed"]

    @pytest.mark.parametrize(
        ("name", "image", "checks"),
        [
            ("bake/dib.py", True, False),
            ("host/run.py", True, False),
            ("recipe/loader.py", True, False),
            ("recipe/substitute.py", False, False),
            ("recipe/schema.py", False, False),
            ("verify/session.py", False, True),
            ("boot/probe.sh", False, True),
            ("publish/catalogue.py", False, False),
            ("bake/__pycache__/dib.cpython-311.pyc", False, False),
        ],
    )
    def test_code_is_covered(
        self, baked: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, image: bool, checks: bool
    ) -> None:
        package = tmp_path / "package"
        (package / name).parent.mkdir(parents=True)
        (package / name).write_text("one")
        monkeypatch.setattr(plan_module, "_PACKAGE", package)
        old = baked.plan(RECIPE)
        (package / name).write_text("two")
        new = baked.plan(RECIPE)
        assert (new.digest != old.digest, new.checks_digest != old.checks_digest) == (image, checks)
        if image:
            assert new.differences(old.inputs) == [f"goldsmith's code: {name} changed"]


def test_describe_an_element_that_came_is_one_line() -> None:
    new = {"element:a:install.d/1": "x", "element:a:parameters": "y", "elements": "2"}
    assert describe({"elements": "1"}, new) == ["element a: added"]
    assert describe(new, {"elements": "1"}) == ["element a: removed"]


def test_describe_without_anything_old() -> None:
    assert describe({}, {"base": "1", "dib": "3.43.0", "tool:qemu-img": "7.2"}) == [
        "base: added",
        "diskimage-builder: added",
        "qemu-img: added",
    ]
