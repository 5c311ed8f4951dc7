"""The recipe's model."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from goldsmith.recipe.model import Disk, ElementUse, Recipe, WrongValueError, origin, parse_size

BASE = {"distribution": "debian", "release": "trixie"}


def test_defaults() -> None:
    recipe = Recipe.model_validate({"name": "r", "base": BASE})
    assert recipe.base.architecture == "amd64"
    assert recipe.disk == Disk(size=4 * 2**30, firmware=("bios", "uefi"))
    assert (recipe.elements, recipe.packages, recipe.environment, recipe.properties) == ((), (), {}, {})
    assert (recipe.mirror, recipe.publish.visibility, recipe.published_name) == (None, "private", "r")


def test_published_name() -> None:
    recipe = Recipe.model_validate({"name": "r", "base": BASE, "publish": {"name": "Debian 13"}})
    assert recipe.published_name == "Debian 13"


def test_a_dumped_recipe_is_the_same_recipe() -> None:
    document = {
        "name": "r",
        "base": BASE,
        "elements": ["a", {"b": {"x": 1}}],
        "disk": {"size": "5GiB"},
        "mirror": {"url": "http://mirror.example/debian"},
    }
    recipe = Recipe.model_validate(document)
    assert Recipe.model_validate(recipe.model_dump()) == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("text", "size"), [("4GiB", 4 * 2**30), ("1GiB", 2**30), ("4608MiB", 4608 * 2**20), ("1TiB", 2**40)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("value", "suggestion"),
    [
        ("4GB", "did you mean `4GiB`"),
        ("4G", "did you mean `4GiB`"),
        ("4 GiB", "did you mean `4GiB`"),
        ("4gib", "did you mean `4GiB`"),
        ("4", "did you mean `4GiB`"),
        ("4096M", "did you mean `4096MiB`"),
        ("4.5GiB", "write it as 4GiB"),
        ("0GiB", "write it as 4GiB"),
        ("-1GiB", "write it as 4GiB"),
        ("4KiB", "write it as 4GiB"),
        ("", "write it as 4GiB"),
        (4, "write 4GiB"),
        (True, "write it as 4GiB"),
        (None, "write it as 4GiB"),
        (["4GiB"], "write it as 4GiB"),
        ("512MiB", None),
        ("17TiB", None),
        ("99999999999TiB", None),
    ],
)
def test_wrong_sizes(value: object, suggestion: str | None) -> None:
    with pytest.raises(WrongValueError) as caught:
        parse_size(value)
    assert caught.value.suggestion == suggestion


@pytest.mark.parametrize("size", [4, 2**30 - 1, 2**50, True])
def test_numbers_of_bytes_are_bounded_too(size: int) -> None:
    with pytest.raises(ValidationError):
        Disk(size=size)


@pytest.mark.parametrize(
    ("entry", "name", "parameters"),
    [("a", "a", {}), ({"a": None}, "a", {}), ({"a": {}}, "a", {}), ({"a": {"b": 1}}, "a", {"b": 1})],
)
def test_uses_of_elements(entry: Any, name: str, parameters: dict[str, Any]) -> None:
    use = ElementUse.model_validate(entry)
    assert (use.name, use.parameters) == (name, parameters)


@pytest.mark.parametrize("entry", [None, 3, [], {}, ["a"], {"a": 1}, {"a": []}, {"a": {}, "b": {}}, {"a": "b"}])
def test_wrong_uses_of_elements(entry: Any) -> None:
    with pytest.raises(ValidationError):
        ElementUse.model_validate(entry)


@pytest.mark.parametrize("package", ["htop", "g++", "libstdc++6", "python3.11", "NetworkManager", "a"])
def test_packages(package: str) -> None:
    assert Recipe.model_validate({"name": "r", "base": BASE, "packages": [package]}).packages == (package,)


@pytest.mark.parametrize("package", ["", "-y", "htop-", "a b", "a,b", "htop=1", "../x", "a\nb", 3])
def test_wrong_packages(package: object) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate({"name": "r", "base": BASE, "packages": [package]})


@pytest.mark.parametrize("name", ["", "Debian", "-a", ".a", "a/b", "a b", "../a", "a\n", 13])
def test_wrong_names(name: object) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate({"name": name, "base": BASE})


def test_a_recipe_cannot_be_changed() -> None:
    recipe = Recipe.model_validate({"name": "r", "base": BASE})
    with pytest.raises(ValidationError):
        recipe.name = "s"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("base.release", "parent"),
        ("base", "child"),
        ("elements[3].networkd.adress", "parent"),
        ("publish.name", "default"),
        ("", "default"),
        ("a]b[c.d", "default"),
    ],
)
def test_origin_is_the_longest_known_prefix(path: str, file: str) -> None:
    known = {"base": "child", "base.release": "parent", "elements": "parent"}
    assert origin(known, path, "default") == file
