"""Which elements go into a finished image, and what is said of those that cannot."""

from __future__ import annotations

import io
import tarfile

import pytest
from render_help import Workplace

from goldsmith.bake.offline import selection
from goldsmith.errors import InputError
from goldsmith.recipe.elements import find
from goldsmith.recipe.model import Base
from goldsmith.recipe.payload import Payload

FOUND = Base(distribution="debian", release="bookworm")


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
    assert _names(payload) == sorted(["dib-run-parts", *phases, "install_packages.sh", "run", "variables"])


def test_scripts_learn_what_is_in_the_image_and_not_what_the_recipe_says(work: Workplace) -> None:
    work.element("a", finalise_d="true\n")
    plan = work.plan("a", more="environment: {DIB_OF_MINE: 'a b'}\n")
    text = _text(selection.payload(plan, selection.select(plan, work.settings), FOUND), "variables")
    assert "export DIB_RELEASE=bookworm\n" in text
    assert "export DIB_OF_MINE='a b'\n" in text


@pytest.mark.parametrize("phase", ["root.d", "extra-data.d", "block-device.d", "cleanup.d", "pre-finalise.d"])
def test_a_script_for_the_host_of_a_build_is_refused(work: Workplace, phase: str) -> None:
    work.element("a", finalise_d="true\n")
    work.script("a", f"{phase}/10-host", "true\n")
    plan = work.plan("a")
    with pytest.raises(InputError, match="runs on the host of a build") as caught:
        selection.select(plan, work.settings)
    assert f"{phase}/10-host" in str(caught.value)
    work.element("a", offline=f"ignores: [{phase}]\n")
    assert [element.name for element in selection.select(plan, work.settings).applied] == ["a"]


def test_a_script_that_only_run_parts_would_skip_refuses_nothing(work: Workplace) -> None:
    """The control of the refusals: a file that diskimage-builder does not run is not a reason."""
    work.element("a", finalise_d="true\n")
    work.script("a", "root.d/10-host", "true\n", mode=0o644)
    plan = work.plan("a")
    assert selection.select(plan, work.settings).applied


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
    work.element("a", finalise_d="true\n", offline="offline: refused\nwhy: for one thing\n")
    work.element("b", finalise_d="true\n", offline="offline: refused\nwhy: for another\n")
    plan = work.plan("a", "b")
    with pytest.raises(InputError) as caught:
        selection.select(plan, work.settings)
    reasons = [problem.message.rpartition(": ")[2] for problem in caught.value.problems]
    assert reasons == [
        "for one thing",
        "for another",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("offline: left-out\n", "`why` must say why"),
        ("offline: sometimes\n", "offline"),
        ("ignores: [install.d]\n", "ignores"),
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


def test_the_elements_of_the_repository_are_applied_but_for_those_about_the_disk(real_work: Workplace) -> None:
    plan = real_work.plan("hybrid-boot", "single-default-route", "text-console", "metadata-frugal", "generalize")
    chosen = selection.select(plan, real_work.settings)
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
