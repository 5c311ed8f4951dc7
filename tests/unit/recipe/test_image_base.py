"""Recipes whose base is an image: what they may say, and what of it decides the digest."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_help import Workplace, problems_of

from goldsmith.errors import InputError
from goldsmith.recipe.loader import load
from goldsmith.recipe.model import Base, ImageBase
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.recipe.schema import json_schema

A, B = "a" * 64, "b" * 64
URL = "https://images.example/12/disk.qcow2"
FIRMWARE = "disk: {firmware: [bios]}\n"


@pytest.fixture
def image(work: Workplace) -> Path:
    return work.write("disk.qcow2", "not looked at here")


def recipe(work: Workplace, base: str, more: str = FIRMWARE, name: str = "image.yaml") -> Path:
    return work.write(name, f"name: test\nbase: {{{base}}}\n{more}")


def plan(work: Workplace, base: str, more: str = FIRMWARE, sha256: str | None = None) -> Plan:
    return make_plan(load(recipe(work, base, more), work.settings), work.settings, {}, sha256)


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize(
    "base",
    [
        "image: disk.qcow2",
        f"image: disk.qcow2, sha256: {A}",
        f"image: disk.qcow2, sha256: {A.upper()}, format: qcow2, architecture: amd64",
        f"image: {URL}, sha256: {A}",
        f"image: {URL}, sha256sums: https://images.example/12/SHA256SUMS",
        f"image: http://images.example/disk.qcow2, sha256: {A}",
        f"image: {URL}, sha256sums: SHA256SUMS",
    ],
)
def test_good_ones(work: Workplace, base: str) -> None:
    work.write("SHA256SUMS", f"{A}  disk.qcow2\n")
    found = load(recipe(work, base), work.settings)
    assert isinstance(found.base, ImageBase)
    assert found.base.sha256 in (None, A)
    assert not found.base.network
    with pytest.raises(InputError, match="is an image"):
        _ = found.bootstrapped


def test_one_that_is_built_is_still_one(work: Workplace) -> None:
    found = work.load()
    assert isinstance(found.base, Base)
    assert found.bootstrapped == found.base


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize(
    ("base", "path", "message", "suggestion"),
    [
        ("image: disk.qcow", "base.image", "no such file: ", "did you mean `disk.qcow2`"),
        ("image: elements", "base.image", "elements is not a file", None),
        ("image: 3", "base.image", "must be a string, found the number 3", "put the value in quotes"),
        ("image: ''", "base.image", "must not be empty", None),
        ("image: disk.qcow2, sha526: x", "base.sha526", "unknown key `sha526`", "did you mean `sha256`"),
        (
            "image: disk.qcow2, release: trixie",
            "base.release",
            "unknown key `release`",
            "known: `architecture`, `format`, `image`, `network`, `sha256`, `sha256sums`",
        ),
        ("image: disk.qcow2, sha256: abc", "base.sha256", "`abc` is not a sha256", "sha256sum FILE shows it"),
        (
            "image: disk.qcow2, format: vmdx",
            "base.format",
            "must be one of `qcow2`, `raw`, `vmdk`, `vhd`, `vhdx`, found the string `vmdx`",
            "did you mean `vmdk`",
        ),
        ("image: disk.qcow2, network: 'yes'", "base.network", "must be true or false, found the string `yes`", None),
        (
            "image: disk.qcow2, architecture: arm64",
            "base.architecture",
            "an image for `arm64` cannot be worked on",
            "known: `amd64`",
        ),
        (f"image: {URL}", "base.image", "a URL needs sha256 or sha256sums", "add sha256sums"),
        (
            "image: http://images.example/a, sha256sums: https://images.example/SUMS",
            "base.image",
            "an http URL needs the image's sha256 in the recipe",
            "use https, or add sha256",
        ),
        (
            f"image: {URL}, sha256sums: http://images.example/SUMS",
            "base.sha256sums",
            "a list that came over http proves nothing",
            "use https",
        ),
        (
            f"image: {URL}, sha256: {A}, sha256sums: https://images.example/SUMS",
            "base.sha256sums",
            "is of no use beside sha256",
            "leave one of them out",
        ),
        (f"image: {URL}, sha256sums: SUMS", "base.sha256sums", "no such file: ", "known: "),
        (f"image: {URL}, sha256sums: empty", "base.sha256sums", "empty has no sha256 in it", None),
        (f"image: {URL}, sha256sums: others", "base.sha256sums", "others does not have `disk.qcow2`", None),
        (f"image: ftp://images.example/a, sha256: {A}", "base.image", "is neither an https URL nor a file", "write it"),
        (f"image: file:///etc/shadow, sha256: {A}", "base.image", "is neither an https URL nor a file", "write it"),
        (f"image: 'https://', sha256: {A}", "base.image", "is neither an https URL nor a file", "write it"),
        (f"image: 'https://a:b/c', sha256: {A}", "base.image", "is neither an https URL nor a file", "write it"),
        (f"image: https://images.example/, sha256: {A}", "base.image", "names no file", "write it"),
        (f"image: https://me:word@images.example/a, sha256: {A}", "base.image", "a URL with a user's name", "leave"),
    ],
)
def test_wrong_ones(work: Workplace, base: str, path: str, message: str, suggestion: str | None) -> None:
    work.write("empty", "")
    work.write("others", f"{A}  other.qcow2\n")
    file = recipe(work, base)
    (problem,) = problems_of(lambda: load(file, work.settings))
    assert (problem.file, problem.path) == (str(file), path)
    assert message in problem.message
    assert (problem.suggestion or "").startswith(suggestion or "")
    assert (problem.suggestion is None) is (suggestion is None)


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize(
    ("more", "path", "message"),
    [
        ("disk: {firmware: [bios], size: 4GiB}\n", "disk.size", "the result has the size of its base"),
        ("", "disk.firmware", "what must boot an image cannot be known from its recipe"),
        (f"{FIRMWARE}packages: [htop]\n", "packages", "packages are fetched while the elements are applied"),
        (
            f'{FIRMWARE}mirror: {{url: "http://mirror.example/debian"}}\n',
            "mirror",
            "a mirror is used while the elements are applied",
        ),
        (
            f"{FIRMWARE}environment: {{DIB_RELEASE: trixie}}\n",
            "environment.DIB_RELEASE",
            "DIB_RELEASE is what is found in the image",
        ),
        (
            f"{FIRMWARE}elements: [debian-minimal]\n",
            "elements[0]",
            "`debian-minimal` makes a system, and the image has one",
        ),
        (f"{FIRMWARE}elements: [outside]\n", "elements[0]", "`outside` does its work outside the guest (root.d)"),
        (f"{FIRMWARE}elements: [built]\n", "elements[0]", "`built` is for a base that is built, not for an image"),
        (f"{FIRMWARE}elements: [nothing]\n", "elements[0]", "unknown element `nothing`"),
    ],
)
def test_what_does_not_go_with_an_image(work: Workplace, more: str, path: str, message: str) -> None:
    work.element("outside")
    work.write("elements/outside/root.d/50-x", "#!/bin/sh\n", mode=0o755)
    work.element("built", schema="summary: x\nrequires: {base: bootstrapped}\n")
    (problem,) = problems_of(lambda: load(recipe(work, "image: disk.qcow2", more), work.settings))
    assert problem.path == path
    assert problem.message.startswith(message)


@pytest.mark.usefixtures("image")
def test_all_at_once(work: Workplace) -> None:
    more = "packages: [htop]\nelements: [nothing]\ndisk: {size: 4}\n"
    base = "image: disk.qcow, sha256: x, format: vdi"
    paths = {each.path for each in problems_of(lambda: load(recipe(work, base, more), work.settings))}
    assert {"base.sha256", "base.format", "disk.size", "elements[0]"} <= paths
    base = "image: disk.qcow, architecture: arm64"
    paths = {each.path for each in problems_of(lambda: load(recipe(work, base, more), work.settings))}
    assert paths == {"base.image", "base.architecture", "packages", "elements[0]", "disk.size", "disk.firmware"}


@pytest.mark.usefixtures("image")
def test_with_the_network(work: Workplace) -> None:
    more = f'{FIRMWARE}packages: [htop]\nmirror: {{url: "http://mirror.example/debian"}}\n'
    found = load(recipe(work, "image: disk.qcow2, network: true", more), work.settings)
    assert isinstance(found.base, ImageBase)
    assert found.base.network


def test_elements_for_images_only(work: Workplace) -> None:
    work.element("ours", schema="summary: x\nrequires: {base: image}\n")
    (problem,) = work.problems("elements: [ours]\n")
    assert problem.message == "`ours` is for a base that is an image"


@pytest.mark.usefixtures("image", "networkd")
def test_the_plan(work: Workplace) -> None:
    """DIB's own machinery comes with its elements, and no system does."""
    more = f"{FIRMWARE}elements: [cloud-init, networkd]\n"
    found = plan(work, "image: disk.qcow2", more, A)
    assert found.dib_elements == ("cloud-init", "networkd")
    assert [each.element.name for each in found.elements] == ["cloud-init", "networkd"]
    assert "DIB_RELEASE" not in found.environment
    assert (found.base_sha256, found.inputs["base:sha256"]) == (A, A)
    with pytest.raises(InputError, match="sha256 of its base is not known"):
        plan(work, "image: disk.qcow2", more)


@pytest.mark.usefixtures("image")
def test_the_digest_is_that_of_the_file(work: Workplace) -> None:
    """Where it came from decides nothing; what may be done to it does."""
    first = plan(work, f"image: {URL}, sha256: {A}")
    assert plan(work, "image: disk.qcow2", sha256=A).digest == first.digest
    other = plan(work, f"image: {URL}, sha256: {B}")
    assert other.differences(first.inputs) == [f"base image: sha256 {A[:12]} -> {B[:12]}"]
    assert plan(work, f"image: {URL}, sha256: {A}, network: true").differences(first.inputs) == ["base: changed"]
    built = work.plan(FIRMWARE)
    assert "base: now an image" in first.differences(built.inputs)
    assert "base: no longer an image" in built.differences(first.inputs)


def test_an_image_is_relative_to_the_file_that_names_it(work: Workplace, image: Path) -> None:
    (work.root / "below").mkdir()
    recipe(work, "image: disk.qcow2", name="parent.yaml")
    child = work.write("below/child.yaml", "name: child\nextends: ../parent.yaml\n")
    assert load(child, work.settings).file_of("base.image") == str(work.root / "below" / ".." / "parent.yaml")
    image.unlink()
    (problem,) = problems_of(lambda: load(child, work.settings))
    assert problem.file.endswith("parent.yaml")


def test_neither(work: Workplace) -> None:
    problems = problems_of(lambda: load(work.write("a.yaml", "name: a\nbase: {}\n"), work.settings))
    assert problems[0].path == "base.distribution"
    assert problems[0].suggestion == "or give an image: {image: FILE or https URL}"


def test_the_schema_has_both(work: Workplace) -> None:
    schema = json_schema(work.settings)
    kinds = {each["$ref"] for each in schema["properties"]["base"]["oneOf"]}
    assert kinds == {"#/$defs/Base", "#/$defs/ImageBase"}
    assert set(schema["$defs"]["ImageBase"]["properties"]) == set(ImageBase.model_fields)
