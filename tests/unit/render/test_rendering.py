"""From a plan to a document: what is in it, what is left out, what is refused."""

from __future__ import annotations

import base64
import email
import io
import json
import os
import random
import re
import tarfile

import pytest

from goldsmith.errors import InputError
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import make_plan
from goldsmith.render import userdata
from goldsmith.render.cloud_config import render
from goldsmith.render.userdata import NOVA_LIMIT, Part
from goldsmith.settings import PROJECT_ROOT, from_environment
from workplace import HEAD, Workplace


def carried(document: str) -> dict[str, tarfile.TarInfo]:
    text = document.split("\n__PAYLOAD__\n", 1)[1]
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text))) as archive:
        return {member.name: member for member in archive}


def refusal(work: Workplace, *elements: str) -> str:
    with pytest.raises(InputError) as caught:
        work.render(*elements)
    return str(caught.value)


def test_the_same_input_gives_the_same_document(work: Workplace) -> None:
    work.element("a", post_install_d="true")
    first = work.render("a")
    for path in (work.root / "elements").rglob("*"):
        os.utime(path, (1, 1))
    assert work.render("a") == first
    (member,) = [each for each in carried(first.document).values() if each.name == "post-install.d/50-a"]
    assert (member.mtime, member.uid, member.uname, member.mode) == (0, 0, "", 0o755)


@pytest.mark.parametrize("change", ["script", "mode", "parameter", "boot"])
def test_whatever_changes_the_guest_changes_the_digest(work: Workplace, change: str) -> None:
    schema = "parameters: {type: object, properties: {x: {type: integer, default: 1, x-dib: {variable: DIB_X}}}}"
    work.element("a", post_install_d="true", schema=f"summary: a\n{schema}\n")
    work.script("a", "install.d/10-a", "true", mode=0o644)
    before = work.render("a").digest
    if change == "script":
        work.script("a", "post-install.d/50-a", "false")
    elif change == "mode":
        work.script("a", "install.d/10-a", "true")
    elif change == "boot":
        work.script("a", "boot.d/10-a", "true")
    assert work.render("a: {x: 2}" if change == "parameter" else "a").digest != before


def test_it_begins_as_a_boothook_and_is_ascii_lines(work: Workplace) -> None:
    work.element("a", post_install_d="true")
    document = work.render("a").document
    assert document.startswith("#cloud-boothook\n#!/bin/sh\n")
    # Markers of the template that were not filled would be taken for a digest.
    assert "@DIGEST@" not in document
    assert max(map(len, document.splitlines())) < 140
    assert document.isascii()


def test_only_own_elements_and_what_runs_in_a_guest_is_carried(work: Workplace) -> None:
    work.element("a", post_install_d="true", cleanup_d="true", boot_d="true", checks="checks: []", install_d="true")
    work.write("elements/a/post-install.d/README", "no script")
    work.write("elements/a/static/etc/a", "without install-static nobody lays it over the root")
    rendered = work.render("a", "package-installs")
    assert set(carried(rendered.document)) == {
        "boot.d/50-a", "install.d/50-a", "packages", "post-install.d/50-a", "variables",
    }  # fmt: skip
    assert any("package-installs" in note for note in rendered.notes)


def test_an_element_that_has_no_boot_yaml_is_applied_and_named(work: Workplace) -> None:
    work.element("a", post_install_d="true")
    work.element("b", post_install_d="true", boot="at_boot: applied\nnote: Read this\n")
    assert [note for note in work.render("a", "b").notes if "boot.yaml" in note or "Read" in note] == [
        "a: has no boot.yaml, so it is applied as in a build, which nobody has proven",
        "b: Read this",
    ]


def test_a_phase_that_is_left_out_is_named(work: Workplace) -> None:
    work.element("a", install_d="true", finalise_d="true", boot="phases: [install.d]\n")
    assert work.render("a").notes == ("a: its finalise.d is for builds only",)


def test_an_element_can_be_left_out_or_refuse(work: Workplace) -> None:
    work.element("a", post_install_d="true")
    work.element("b", post_install_d="true", boot="at_boot: left-out\nwhy: it has booted\n")
    work.element("c", post_install_d="true", boot="at_boot: refused\nwhy: it needs two disks\n")
    work.element("d", extra_data_d="true")
    rendered = work.render("a", "b")
    assert (rendered.applied, rendered.left_out) == (("a",), {"b": "it has booted"})
    assert "post-install.d/50-b" not in carried(rendered.document)
    text = refusal(work, "a", "c", "d")
    assert "`c` cannot be applied at first boot: it needs two disks" in text
    assert "`d` cannot be applied at first boot: its extra-data.d takes something from the host of a build" in text
    assert "no element of this recipe can be applied at first boot" in refusal(work, "b")


@pytest.mark.parametrize(
    ("boot", "said"),
    [
        ("at_boot: left-out\n", "`why` must say why it is left-out"),
        ("at_boot: never\n", "at_boot"),
        ("phases: [cleanup.d]\n", "phases[0]"),
        ("reboots: 1\n", "reboots"),
        ("reboot: true\n", "reboot"),
        ("declared: false\n", "must be a mapping of at_boot"),
        ("[]\n", "must be a mapping of at_boot"),
        ("a: b: c\n", "boot.yaml"),
    ],
)
def test_a_wrong_boot_yaml_is_refused(work: Workplace, boot: str, said: str) -> None:
    work.element("a", post_install_d="true", boot=boot)
    text = refusal(work, "a")
    assert said in text
    assert "boot.yaml" in text


@pytest.mark.parametrize("line", ["install-packages htop", "x=$(pkg-map --element a htop)", "true; svc-map ssh"])
def test_a_script_that_needs_the_build_is_refused(work: Workplace, line: str) -> None:
    work.element("a", install_d=f"# install-packages is not used\n{line}\n")
    assert "which exists only while diskimage-builder builds" in refusal(work, "a")
    work.element("a", install_d="# install-packages is not used\necho my-pkg-map-like\n")
    assert work.render("a").applied == ("a",)


def test_two_elements_with_one_file_are_refused(work: Workplace) -> None:
    for name in ("a", "b"):
        work.element(name)
        work.script(name, "install.d/50-same", f"echo {name}")
    assert "`a` and `b` both bring it" in refusal(work, "a", "b")
    work.write("elements/b/install.d/50-same", f"{HEAD}echo a", mode=0o755)
    assert work.render("a", "b").applied == ("a", "b")


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ("tool:\n", ["tool"]),
        ("tool: {phase: post-install.d}\nother: {uninstall: true}\n", ["tool"]),
        ("tool: {arch: 'amd64, arm64'}\nother: {arch: ppc64}\n", ["tool"]),
        ("tool: {not-arch: amd64}\n", []),
        ("tool:\n  - {arch: ppc64}\n  - {arch: amd64}\n", ["tool"]),
        ("mapped:\n", ["one", "two"]),
        ("dropped:\n", []),
    ],
)
def test_packages_are_named_in_the_distributions_words(work: Workplace, rules: str, wanted: list[str]) -> None:
    work.element("a", post_install_d="true", package_installs=rules)
    table = {"release": {"debian": {"trixie": {"mapped": "one two"}}}, "default": {"mapped": "no", "dropped": ""}}
    work.write("elements/a/pkg-map", json.dumps(table))
    assert list(work.render("a").packages) == wanted


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("tool: {when: DIB_X=1}\n", "tool.when: `when` is decided in a build only"),
        ("tool: {installtype: source}\n", "`installtype` is decided in a build only"),
        ("tool: later\n", "tool: must be a mapping, found the string `later`"),
        ("[tool]\n", "must be a mapping, found a list"),
    ],
)
def test_packages_that_only_a_build_can_decide_are_refused(work: Workplace, rules: str, said: str) -> None:
    work.element("a", post_install_d="true", package_installs=rules)
    assert said in refusal(work, "a")


def test_a_broken_pkg_map_is_refused(work: Workplace) -> None:
    work.element("a", post_install_d="true", package_installs="tool:\n")
    work.write("elements/a/pkg-map", "{")
    assert "pkg-map: is not JSON" in refusal(work, "a")


def test_what_nova_would_refuse_is_refused_with_what_takes_the_room(work: Workplace) -> None:
    work.element("a")
    noise = base64.b64encode(random.Random(1).randbytes(60000)).decode()
    work.script("a", "install.d/50-large", f": {noise}")
    work.script("a", "install.d/50-small", "true")
    text = refusal(work, "a")
    assert re.search(rf"has \d+ characters in base64, and Nova takes {NOVA_LIMIT}", text)
    assert re.search(r"most of it: install.d/50-large \(\d{5} bytes\), ", text)
    # Vendor-data does not go through that column of Nova's database.
    assert "\\n__PAYLOAD__\\n" in render(work.plan("a"), vendor=True).document


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
def test_the_limit_is_novas_to_the_byte(spare: int, fits: bool) -> None:
    document = "x" * (49149 - spare)
    # 65535 is no multiple of 4, so the last three characters are never used.
    assert len(base64.b64encode(document.encode())) == userdata.encoded_size(document)
    assert (userdata.encoded_size(document) <= NOVA_LIMIT) is fits
    if fits:
        userdata.require_fits(document, [])
    else:
        with pytest.raises(InputError, match="65536 characters"):
            userdata.require_fits(document, [("x", 1)])


def test_parts_of_the_users_own_are_joined_unchanged(work: Workplace) -> None:
    work.element("a", post_install_d="true")
    parts = [
        Part("one.cfg", "#cloud-config\nruncmd: [one]\n"),
        Part("two.cfg", "#cloud-config\nmerge_how: 'list(prepend)'\nruncmd: [zwei-ü]\n"),
        Part("three.sh", "#!/bin/sh\necho $HOME\n"),
        Part("four", "#include\nhttp://files.example/more\n"),
    ]
    alone = render(work.plan("a"))
    message = email.message_from_string(render(work.plan("a"), parts=parts).document)
    hook, *others = [part for part in message.walk() if not part.is_multipart()]
    assert hook.get_content_type() == "text/cloud-boothook"
    # No name that cloud-init gives to parts without one: the user's vendor may have a part-001 too.
    assert hook.get_filename() == "goldsmith-boothook"
    assert hook.get_payload(decode=True).decode().strip() == alone.document.removeprefix("#cloud-boothook\n").strip()
    assert [part.get_payload(decode=True).decode() for part in others] == [part.text for part in parts]
    assert [part.get_content_type() for part in others] == [
        "text/cloud-config", "text/cloud-config", "text/x-shellscript", "text/x-include-url",
    ]  # fmt: skip
    # Only a part that does not say itself how it is merged is told to add up.
    merge = "list(append)+dict(no_replace,recurse_list)+str()"
    assert [part.get("Merge-Type") for part in others] == [merge, None, None, None]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Part("own", "packages: [htop]\n"), "own: its first line does not say what it is"),
        (Part("own", ""), "own: its first line does not say what it is"),
        (Part("own", "Content-Type: multipart/mixed\nMIME-Version: 1.0\n"), "own: is a MIME archive already"),
        (Part("goldsmith-boothook", "#!/bin/sh\n"), "goldsmith-boothook: another part has this name"),
    ],
)
def test_parts_that_cloud_init_would_not_take_are_refused(work: Workplace, part: Part, said: str) -> None:
    work.element("a", post_install_d="true")
    with pytest.raises(InputError) as caught:
        render(work.plan("a"), parts=[part])
    assert said in str(caught.value)


def test_vendor_data_is_what_nova_reads_from_its_file(work: Workplace) -> None:
    work.element("a", post_install_d="true")
    document = json.loads(render(work.plan("a"), vendor=True).document)
    assert document == {"cloud-init": render(work.plan("a")).document}


def test_every_element_of_the_project_says_whether_it_is_applied() -> None:
    settings = from_environment({"HOME": "/nonexistent", "PATH": "/usr/bin"})
    plan = make_plan(load(PROJECT_ROOT / "recipes" / "debian-13.yaml", settings), settings)
    rendered = render(plan)
    # An element for Windows is its registry.yaml, at boot too.
    silent = [path.parent.name for path in PROJECT_ROOT.glob("elements/*/schema.yaml")
              if not (path.parent / "boot.yaml").exists() and not (path.parent / "registry.yaml").exists()]  # fmt: skip
    assert silent == []
    assert set(rendered.left_out) == {"generalize", "hybrid-boot"}
    # Room for a tenant's own parts.
    assert rendered.size < NOVA_LIMIT - 20000
