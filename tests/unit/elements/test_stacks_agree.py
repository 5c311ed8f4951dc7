"""The network stacks that an inspection finds are those that the element single-default-route finds in the image.

The element's script runs in a root of its own, with a real systemctl; the inspection reads the files of the same root.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from elements_help import Image

from goldsmith.inspection.network import stacks
from goldsmith.inspection.units import is_enabled
from goldsmith.verify.tree import FolderTree

ELEMENT = "single-default-route"
ALSO = "[Service]\nExecStart=/bin/true\n[Install]\nAlso=other.service\n"
STATIC = "[Service]\nExecStart=/bin/true\n"
INSTALL = f"{STATIC}[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture
def image(tmp_path: Path) -> Image:
    made = Image(tmp_path / "image")
    made.lay(ELEMENT)
    # The host's programs are mounted only while something runs in the root.
    made.write("host/usr/bin/systemctl", "", 0o755)
    return made


def by_the_element(image: Image) -> list[str]:
    done = image.phase(ELEMENT, "post-install.d", False)
    if done.returncode:
        assert "this image has none of" in done.stdout + done.stderr, done.stdout + done.stderr
        return []
    return (image.read("etc/single-default-route.conf").partition('stacks="')[2]).partition('"')[0].split()


PROGRAMS = ("netplan", "NetworkManager", "dhclient", "dhcpcd", "ifup")


@pytest.mark.parametrize("programs", [(), *((name,) for name in PROGRAMS), PROGRAMS[1:], PROGRAMS])
@pytest.mark.parametrize("networkd", [True, False])
def test_programs(image: Image, programs: tuple[str, ...], networkd: bool) -> None:
    for name in programs:
        image.program(name)
    if networkd:
        image.enable("systemd-networkd.service")
    seen = stacks(FolderTree(image.root))
    assert list(seen) == by_the_element(image)
    assert ("networkd" in seen) is (networkd or "netplan" in programs)


def no_program(image: Image) -> None:
    image.write("usr/sbin/dhclient", "", 0o644)


def dangling(image: Image) -> None:
    (image.root / "usr/sbin/NetworkManager").symlink_to("/nowhere")


def linked(image: Image) -> None:
    image.write("opt/dhclient", "", 0o755)
    (image.root / "usr/sbin/dhclient").symlink_to("../../opt/dhclient")


def generator(image: Image) -> None:
    image.write("usr/libexec/netplan/generate", "")


def scripts(image: Image) -> None:
    image.write("etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\n")


def a_file_for_scripts(image: Image) -> None:
    image.write("etc/sysconfig/network-scripts", "")


def own_dhcpcd(image: Image) -> None:
    image.program("dhcpcd")
    image.unit("dhcpcd.service")
    image.enable("dhcpcd.service")


def masked(image: Image) -> None:
    image.enable("systemd-networkd.service")
    (image.root / "etc/systemd/system/systemd-networkd.service").symlink_to("/dev/null")


def emptied(image: Image) -> None:
    image.enable("systemd-networkd.service")
    image.write("etc/systemd/system/systemd-networkd.service", "")


def static(image: Image) -> None:
    image.write("usr/lib/systemd/system/systemd-networkd.service", STATIC)


def indirect(image: Image) -> None:
    image.write("usr/lib/systemd/system/systemd-networkd.service", ALSO)


def required(image: Image) -> None:
    folder = image.root / "etc/systemd/system/network.target.requires"
    folder.mkdir()
    (folder / "systemd-networkd.service").symlink_to("/usr/lib/systemd/system/systemd-networkd.service")


def aliased(image: Image) -> None:
    image.write("usr/lib/systemd/system/systemd-networkd.service", f"{INSTALL}Alias=dbus-org.network1.service\n")
    target = "/usr/lib/systemd/system/systemd-networkd.service"
    (image.root / "etc/systemd/system/dbus-org.network1.service").symlink_to(target)


def runtime(image: Image) -> None:
    folder = image.root / "run/systemd/system/multi-user.target.wants"
    folder.mkdir(parents=True)
    (folder / "systemd-networkd.service").symlink_to("/usr/lib/systemd/system/systemd-networkd.service")


def by_the_vendor(image: Image) -> None:
    folder = image.root / "usr/lib/systemd/system/multi-user.target.wants"
    folder.mkdir(parents=True)
    (folder / "systemd-networkd.service").symlink_to("../systemd-networkd.service")


def overridden(image: Image) -> None:
    image.write("etc/systemd/system/systemd-networkd.service", STATIC)


def gone(image: Image) -> None:
    image.enable("systemd-networkd.service")
    (image.root / "usr/lib/systemd/system/systemd-networkd.service").unlink()


CASES = (
    no_program, dangling, linked, generator, scripts, a_file_for_scripts, own_dhcpcd, masked, emptied, static, indirect,
    required, aliased, runtime, by_the_vendor, overridden, gone,
)  # fmt: skip


@pytest.mark.parametrize("spoil", CASES, ids=lambda case: case.__name__)
def test_what_is_not_plain(image: Image, spoil: object) -> None:
    spoil(image)  # type: ignore[operator]
    tree = FolderTree(image.root)
    done = image.chroot("systemctl", "is-enabled", "systemd-networkd.service", check=False)
    assert is_enabled(tree, "systemd-networkd.service") is (done.returncode == 0), done.stdout + done.stderr
    assert list(stacks(tree)) == by_the_element(image)


def test_the_cases_differ(tmp_path: Path) -> None:
    """Were all of them empty, or all the same, nothing would have been compared."""
    answers = set()
    for number, spoil in enumerate((linked, own_dhcpcd, static, masked)):
        made = Image(tmp_path / str(number))
        made.write("host/usr/bin/systemctl", "", 0o755)
        spoil(made)
        answers.add(stacks(FolderTree(made.root)))
    assert answers == {("dhclient",), ("dhcpcd",), ("networkd",), ()}


def test_without_systemd_nothing_is_enabled(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/systemd/system"
    folder.mkdir(parents=True)
    (folder / "x.service").write_text(STATIC)
    assert not is_enabled(FolderTree(tmp_path), "x.service")
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/systemctl").touch()
    assert is_enabled(FolderTree(tmp_path), "x.service")
