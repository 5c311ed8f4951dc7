"""Which elements go into a finished image, and what is said of those that cannot."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from goldsmith.bake.offline import selection
from goldsmith.errors import InputError
from goldsmith.recipe.elements import find
from goldsmith.recipe.model import Base
from goldsmith.recipe.payload import Payload
from goldsmith.settings import from_environment
from workplace import Workplace, workplace

FOUND = Base(distribution="debian", release="bookworm")


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    return workplace(tmp_path)


def _names(payload: Payload) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(payload.archive)) as archive:
        return archive.getnames()


def _text(payload: Payload, name: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(payload.archive)) as archive:
        file = archive.extractfile(name)
        assert file
        return file.read().decode()


def test_all_phases_of_the_image_are_carried_and_no_other(work: Workplace) -> None:
    work.element("a", pre_install_d="true\n", install_d="true\n", post_install_d="true\n", finalise_d="true\n")
    work.script("a", "boot.d/50-a", "true\n")
    plan = work.plan("a")
    payload = selection.payload(plan, selection.select(plan, work.settings), FOUND)
    phases = ["finalise.d/50-a", "install.d/50-a", "post-install.d/50-a", "pre-install.d/50-a"]
    assert _names(payload) == sorted([*phases, "install_packages.sh", "run", "scripts", "variables"])
    assert _text(payload, "scripts").split() == [
        "pre-install.d/50-a",
        "install.d/50-a",
        "post-install.d/50-a",
        "finalise.d/50-a",
    ]


def test_scripts_of_a_phase_run_in_the_order_of_their_numbers() -> None:
    """As ``sort -n`` has it in the C locale: a number counts as such, and no number as 0."""
    names = ["install.d/100-a", "install.d/50-b", "install.d/9-z", "install.d/50-a", "install.d/x", "variables"]
    wanted = ["install.d/x", "install.d/9-z", "install.d/50-a", "install.d/50-b", "install.d/100-a"]
    assert selection.in_order(names) == wanted
    listed = "\n".join(name.removeprefix("install.d/") for name in names[:-1])
    sort = subprocess.run(["sort", "-n"], input=listed, capture_output=True, text=True, check=True, env={"LC_ALL": "C"})
    assert [f"install.d/{name}" for name in sort.stdout.split()] == wanted


def test_scripts_learn_what_is_in_the_image_and_not_what_the_recipe_says(work: Workplace) -> None:
    work.element("a", finalise_d="true\n")
    plan = work.plan("a", more="environment: {DIB_OF_MINE: 'a b'}\n")
    text = _text(selection.payload(plan, selection.select(plan, work.settings), FOUND), "variables")
    assert "export DIB_RELEASE=bookworm\n" in text
    assert "export DIB_OF_MINE='a b'\n" in text


@pytest.mark.parametrize("tool", ["install-packages curl", "svc-map x", "if pkg-map a; then true; fi"])
def test_a_program_that_only_a_build_has_is_refused(work: Workplace, tool: str) -> None:
    work.element("a", post_install_d=f"{tool}\n")
    plan = work.plan("a")
    with pytest.raises(InputError, match="which exists only while diskimage-builder builds"):
        selection.select(plan, work.settings)


def test_what_is_left_out_is_named_with_its_reason(work: Workplace) -> None:
    work.element("a", finalise_d="true\n")
    work.element("b", finalise_d="true\n", offline="offline: left-out\nwhy: it is about the disk\n")
    plan = work.plan("a", "b")
    chosen = selection.select(plan, work.settings)
    assert [element.name for element in chosen.applied] == ["a"]
    assert chosen.left_out == {"b": "it is about the disk"}
    assert "finalise.d/50-b" not in _names(selection.payload(plan, chosen, FOUND))


def test_all_that_is_refused_is_said_at_once(work: Workplace) -> None:
    for name in ("a", "b"):
        work.element(name, finalise_d="svc-map x\n")
    plan = work.plan("a", "b")
    with pytest.raises(InputError) as caught:
        selection.select(plan, work.settings)
    assert [problem.file.rpartition("/")[2] for problem in caught.value.problems] == ["50-a", "50-b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("offline: left-out\n", "`why` must say why"),
        ("offline: sometimes\n", "offline"),
        ("offline: refused\nwhy: for one thing\n", "offline"),
        ("- a\n", "must be a mapping"),
        ("of: mine\n", "of"),
        ("a: b: c\n", "offline.yaml"),
    ],
)
def test_a_wrong_offline_yaml_is_refused(work: Workplace, text: str, said: str) -> None:
    work.element("a", finalise_d="true\n", offline=text)
    plan = work.plan("a")
    with pytest.raises(InputError) as caught:
        selection.select(plan, work.settings)
    assert said in str(caught.value)
    assert "offline.yaml" in str(caught.value)


def test_the_elements_of_the_repository_are_applied_but_for_those_about_the_disk(tmp_path: Path) -> None:
    work = Workplace(tmp_path, from_environment({"HOME": str(tmp_path), "PATH": "/usr/bin"}))
    plan = work.plan("hybrid-boot", "single-default-route", "text-console", "metadata-frugal", "generalize")
    chosen = selection.select(plan, work.settings)
    names = {element.name for element in chosen.applied}
    assert {"single-default-route", "text-console", "metadata-frugal", "generalize"} <= names
    assert list(chosen.left_out) == ["hybrid-boot"]
    payload = selection.payload(plan, chosen, FOUND)
    assert "finalise.d/99-generalize" in _names(payload)
    assert any(name.startswith("static/usr/lib/single-default-route/") for name in _names(payload))


def test_what_element_deps_name_comes_too(work: Workplace) -> None:
    work.element("a", finalise_d="true\n")
    work.element("b", install_d="true\n")
    work.write("elements/a/element-deps", "b\npackage-installs\n")
    plan = work.plan("a")
    chosen = selection.select(plan, work.settings)
    assert sorted(element.name for element in chosen.applied) == ["a", "b"]


def test_packages_are_those_of_what_is_found_in_the_image(work: Workplace) -> None:
    work.element("a", finalise_d="true\n")
    work.write("elements/a/package-installs.yaml", "dhcp-client:\n")
    work.write("elements/a/pkg-map", '{"release": {"debian": {"bookworm": {"dhcp-client": "isc-dhcp-client"}}}}')
    plan = work.plan("a", more="packages: [curl]\n")
    chosen = selection.select(plan, work.settings)
    assert selection.packages(plan, chosen, FOUND) == ["curl", "isc-dhcp-client"]
    assert find("a", work.settings).name == "a"
