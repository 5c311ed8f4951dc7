"""The element metadata-frugal: what it writes, how shells and sudo read it, and a budget that can be exceeded."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from elements_help import SHELLS, Image, run

from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import make_plan
from goldsmith.settings import PROJECT_ROOT, from_environment
from goldsmith.verify.evaluate import Place, evaluate
from goldsmith.verify.model import BoundCheck, parse_all
from goldsmith.verify.subjects import MetadataTally

ADDRESS = "169.254.169.254"
PROFILE = "etc/profile.d/zz-metadata-no-proxy.sh"
SUDOERS = "etc/sudoers.d/50-metadata-no-proxy"


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path / "image")


def install(image: Image, **variables: str) -> Image:
    image.phase("metadata-frugal", "post-install.d", **variables)
    return image


def sourced(image: Image, shell: list[str], **environment: str) -> list[str]:
    """no_proxy and NO_PROXY after the file of profile.d was read by a strict shell."""
    script = f"set -eu; . {image.root / PROFILE}; env"
    done = subprocess.run([*shell, "-c", script], env={"PATH": os.environ["PATH"], **environment},
                          capture_output=True, text=True, check=True)  # fmt: skip
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return [found["no_proxy"], found["NO_PROXY"]]


def test_the_datasources_stand_on_one_line_and_are_bounded(image: Image) -> None:
    text = install(image, DIB_METADATA_FRUGAL_MAX_WAIT="5").read("etc/cloud/cloud.cfg.d/95-metadata-frugal.cfg")
    assert text.splitlines()[0] == "datasource_list: [ ConfigDrive, OpenStack, None ]"
    assert yaml.safe_load(text)["datasource"]["OpenStack"] == {
        "metadata_urls": [f"http://{ADDRESS}"],
        "max_wait": 5,
        "timeout": 10,
        "retries": 2,
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ADDRESS),
        ("no_proxy=localhost\n", f"localhost,{ADDRESS}"),
        (f"no_proxy=localhost,{ADDRESS}\n", f"localhost,{ADDRESS}"),
        (f'no_proxy="localhost,{ADDRESS}0"\n', f"localhost,{ADDRESS}0,{ADDRESS}"),
        # Curl takes it for "everything" only where it stands alone.
        ("no_proxy=*\n", "*"),
    ],
)
def test_the_environment_of_logins_keeps_what_was_there(image: Image, before: str, after: str) -> None:
    image.write("etc/environment", f"LANG=C\n{before}")
    once = install(image).read("etc/environment")
    lines = once.splitlines()
    assert "LANG=C" in lines
    assert [line for line in lines if line.startswith("no_proxy=")] == [f"no_proxy={after}"]
    assert [line for line in lines if line.startswith("NO_PROXY=")] == [f"NO_PROXY={ADDRESS}"]
    # Applied at boot to an image that has it already, it changes nothing.
    assert install(image).read("etc/environment") == once


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, [ADDRESS, ADDRESS]),
        ({"no_proxy": ""}, [ADDRESS, ADDRESS]),
        ({"no_proxy": "localhost"}, [f"localhost,{ADDRESS}", ADDRESS]),
        ({"no_proxy": f"a,{ADDRESS},b", "NO_PROXY": ADDRESS}, [f"a,{ADDRESS},b", ADDRESS]),
        ({"no_proxy": "*", "NO_PROXY": "*"}, ["*", "*"]),
    ],
)
def test_login_shells_add_the_address(image: Image, shell: list[str], before: dict[str, str], after: list[str]) -> None:
    assert sourced(install(image), shell, **before) == after


def test_a_file_of_profile_d_that_sets_no_proxy_comes_before(image: Image) -> None:
    image.write("etc/profile.d/proxy.sh", "export no_proxy=localhost\n")
    install(image)
    assert sorted(path.name for path in (image.root / "etc/profile.d").iterdir()) == [
        "proxy.sh",
        "zz-metadata-no-proxy.sh",
    ]


def test_sudo_takes_its_file(image: Image) -> None:
    """A file that sudo cannot read would lock everybody out."""
    install(image)
    assert (image.root / SUDOERS).stat().st_mode & 0o777 == 0o440
    assert re.fullmatch(r"[^.~]+", Path(SUDOERS).name), "sudo passes over such names"
    file = image.root / SUDOERS
    run(["visudo", "-c", "-f", file])
    file.chmod(0o640)
    file.write_text(file.read_text().replace("+=", "=+"))
    assert run(["visudo", "-c", "-f", file], check=False).returncode != 0


def test_a_folder_of_sudos_that_is_there_keeps_its_mode(image: Image) -> None:
    image.write("etc/sudoers.d/README")
    (image.root / "etc/sudoers.d").chmod(0o755)
    install(image)
    assert (image.root / "etc/sudoers.d").stat().st_mode & 0o777 == 0o755


def _plan(tmp_path: Path, elements: str):
    settings = from_environment({"HOME": "/nonexistent", "PATH": "/usr/bin"})
    recipe = tmp_path / "made.yaml"
    recipe.write_text(
        f"name: made\nbase: {{distribution: debian, release: trixie}}\nelements: {elements}\ndisk: {{size: 3GiB}}\n"
    )
    return make_plan(load(recipe, settings), settings)


@pytest.mark.parametrize(
    ("element", "value"),
    [("metadata-frugal", "optional"), ("metadata-frugal: {config_drive: mandatory}", "mandatory")],
)
def test_the_image_can_ask_for_a_config_drive(tmp_path: Path, element: str, value: str) -> None:
    assert (
        _plan(tmp_path, f"[{{{element}}}]" if ":" in element else f"[{element}]").properties["img_config_drive"]
        == value
    )


def budget() -> BoundCheck:
    settings = from_environment({"HOME": "/nonexistent", "PATH": "/usr/bin"})
    plan = make_plan(load(PROJECT_ROOT / "recipes" / "debian-13.yaml", settings), settings)
    (check,) = [bound for bound in parse_all(plan.checks) if bound.name == "metadata-frugal/requests"]
    return check


@pytest.mark.parametrize(
    ("requests", "connections", "status"),
    [(27, 27, "pass"), (28, 27, "fail"), (27, 28, "fail"), (0, 0, "fail"), (1, 1, "pass")],
)
def test_the_budget_is_what_was_measured_and_not_one_more(requests: int, connections: int, status: str) -> None:
    verdict = evaluate(budget(), MetadataTally(requests, connections), Place("network", "bios"))
    assert verdict.status == status
