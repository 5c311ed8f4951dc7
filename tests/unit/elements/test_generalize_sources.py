"""generalize: the package sources that it leaves in Debian, Ubuntu and Rocky."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elements_help import Image

OWN = "http://own.example/packages"
BUILD = "http://mirror.example/of/the/build"
_CLOUD = "system_info:\n  package_mirrors:\n    - arches: [default]\n      failsafe:\n"
_CLOUD += f"        primary: {OWN}\n        security: {OWN}-security\n"


def _image(tmp_path: Path, release: str) -> Image:
    image = Image(tmp_path / "image")
    for folder in ("var/log", "root"):
        (image.root / folder).mkdir(exist_ok=True)
    image.write("etc/os-release", release)
    return image


def generalize(image: Image, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
    return image.phase("generalize", "finalise.d", check, DIB_DISTRIBUTION_MIRROR=BUILD, **variables)


@pytest.mark.parametrize(
    ("vendor", "codename"),
    [
        ("debian", "trixie"),
        pytest.param("ubuntu", "noble", marks=pytest.mark.fixture_tested("generalize", "ubuntu-24.04")),
    ],
)
def test_apts_sources_are_the_distributions_own(tmp_path: Path, vendor: str, codename: str) -> None:
    image = _image(tmp_path, f"ID={vendor}\nVERSION_CODENAME={codename}\n")
    image.write("etc/apt/sources.list", f"deb {BUILD} {codename} main\n")
    image.write("etc/apt/sources.list.d/default.list", f"deb {BUILD} {codename} main\n")
    image.write("etc/cloud/cloud.cfg", _CLOUD)
    generalize(image, DIB_DEBIAN_COMPONENTS="main,universe")
    (only,) = (path for path in (image.root / "etc/apt").rglob("*") if path.is_file())
    assert only.name == f"{vendor}.sources"
    assert only.read_text().splitlines() == [
        "Types: deb",
        f"URIs: {OWN}",
        f"Suites: {codename} {codename}-updates",
        "Components: main universe",
        f"Signed-By: /usr/share/keyrings/{vendor}-archive-keyring.gpg",
        "",
        "Types: deb",
        f"URIs: {OWN}-security",
        f"Suites: {codename}-security",
        "Components: main universe",
        f"Signed-By: /usr/share/keyrings/{vendor}-archive-keyring.gpg",
    ]


def test_an_unknown_mirror_stops_the_build(tmp_path: Path) -> None:
    image = _image(tmp_path, "ID=ubuntu\nVERSION_CODENAME=noble\n")
    (image.root / "etc/apt/sources.list.d").mkdir(parents=True)
    done = generalize(image, check=False)
    assert done.returncode == 1
    assert "set DIB_GENERALIZE_MIRROR" in done.stdout


def _rocky(tmp_path: Path, mirror: str) -> Image:
    image = _image(tmp_path, 'ID="rocky"\nVERSION_ID="9.6"\n')
    image.write("etc/yum.repos.d/rocky.repo", f"[baseos]\n#x & y\nbaseurl={mirror}/$releasever/BaseOS/$basearch/os/\n")
    return image


@pytest.mark.fixture_tested("generalize", "rocky-9")
def test_rockys_mirror_of_the_build_is_replaced(tmp_path: Path) -> None:
    image = _rocky(tmp_path, BUILD)
    generalize(image, DIB_GENERALIZE_MIRROR=f"{OWN}&more")
    assert image.read("etc/yum.repos.d/rocky.repo") == (
        f"[baseos]\n#x & y\nbaseurl={OWN}&more/$releasever/BaseOS/$basearch/os/\n"
    )


def test_rockys_mirror_of_the_build_does_not_slip_through(tmp_path: Path) -> None:
    done = generalize(_rocky(tmp_path, BUILD), check=False)
    assert done.returncode == 1
    assert "the mirror of the build stands in /etc/yum.repos.d" in done.stdout


def test_rockys_own_sources_stay(tmp_path: Path) -> None:
    image = _rocky(tmp_path, OWN)
    before = image.read("etc/yum.repos.d/rocky.repo")
    generalize(image)
    assert image.read("etc/yum.repos.d/rocky.repo") == before
    assert not (image.root / "etc/apt").exists()
