"""single-default-route's build phase in roots that hold one stack or another, and what its boot scripts write."""

from __future__ import annotations

from pathlib import Path

import pytest
from elements_help import ROUTE, ROUTE_SCRIPTS, Devices, Image, run

NAME = "single-default-route"
PHASE = "post-install.d"
CONF = "etc/single-default-route.conf"
DHCPCD = "# a comment\noption classless_static_routes\n\ninterface eth7\nstatic ip_address=192.0.2.1/24\n"


@pytest.fixture
def image(tmp_path: Path) -> Image:
    made = Image(tmp_path / "image")
    made.lay(NAME)
    return made


def install(image: Image, check: bool = True, interface: str = "", policy: str = "") -> str:
    done = image.phase(
        NAME, PHASE, check, DIB_SINGLE_DEFAULT_ROUTE_INTERFACE=interface, DIB_SINGLE_DEFAULT_ROUTE_POLICY=policy
    )
    if not check:
        assert done.returncode != 0
    return done.stdout + done.stderr


def configuration(image: Image) -> dict[str, str]:
    return dict(line.replace('"', "").split("=") for line in image.read(CONF).splitlines())


def test_an_image_with_no_stack_is_refused_in_a_sentence(image: Image) -> None:
    said = install(image, check=False)
    assert "this image has none of systemd-networkd" in said
    assert not image.enabled("single-default-route.service")


def test_networkd_counts_when_it_is_enabled(image: Image) -> None:
    image.enable("systemd-networkd.service")
    image.write("etc/systemd/network/80-dhcp.network", "[Match]\nName=*\n")
    install(image)
    assert configuration(image) == {"choice": "first", "policy": "strip", "stacks": "networkd"}
    assert (image.root / "etc/systemd/network/80-dhcp-secondary.network").is_symlink()
    assert image.enabled("single-default-route.service")


def test_networkd_without_files_is_no_error(image: Image) -> None:
    """cloud-init may write them at boot."""
    image.enable("systemd-networkd.service")
    install(image)
    assert list((image.root / "etc/systemd/network").iterdir()) == []


@pytest.mark.parametrize(
    ("program", "stacks"),
    [
        ("dhclient", "dhclient"),
        ("dhcpcd ifup", "dhcpcd"),
        ("NetworkManager", "networkmanager"),
        ("netplan", "netplan networkd"),
    ],
)
def test_each_stack_is_found_by_what_is_in_the_image(image: Image, program: str, stacks: str) -> None:
    for name in program.split():
        image.program(name)
    install(image)
    assert configuration(image)["stacks"] == stacks


def test_dhcpcd_counts_when_something_starts_it(image: Image) -> None:
    """cloud-init brings it along for a use of its own."""
    image.program("dhcpcd")
    image.program("dhclient")
    install(image)
    assert configuration(image)["stacks"] == "dhclient"
    image.unit("dhcpcd.service")
    image.enable("dhcpcd.service")
    install(image)
    assert configuration(image)["stacks"] == "dhclient dhcpcd"


def test_several_stacks_are_all_configured(image: Image) -> None:
    for name in ("dhclient", "dhcpcd", "ifup"):
        image.program(name)
    image.write("etc/dhcpcd.conf", DHCPCD)
    install(image)
    assert configuration(image)["stacks"] == "dhclient dhcpcd"
    assert (image.root / "etc/dhcp/dhclient-enter-hooks.d/single-default-route").is_file()
    assert "nogateway" in image.read("etc/dhcpcd.conf")


def test_hooks_of_debian_are_those_that_run_parts_lists(image: Image) -> None:
    image.program("dhclient")
    install(image)
    for when in ("enter", "exit"):
        folder = image.root / f"etc/dhcp/dhclient-{when}-hooks.d"
        assert run(["run-parts", "--list", folder]).stdout == f"{folder}/single-default-route\n"
        assert image.read(f"etc/dhcp/dhclient-{when}-hooks.d/{NAME}") == image.read(
            f"usr/lib/{NAME}/dhclient-{when}-hook"
        )


@pytest.mark.fixture_tested("single-default-route", "rocky-9")
def test_red_hat_has_one_file_of_hooks(image: Image, tmp_path: Path) -> None:
    image.program("dhclient")
    image.write("etc/sysconfig/network", "NETWORKING=yes\nGATEWAYDEV=old\n")
    image.write("etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\n")
    image.write("etc/dhcp/dhclient-enter-hooks", "theirs=1\n", 0o755)
    install(image)
    install(image)
    assert configuration(image)["stacks"] == "dhclient ifcfg"
    text = image.read("etc/dhcp/dhclient-enter-hooks")
    assert text.startswith("theirs=1\n")
    assert text.count("\n") == 2
    # GATEWAYDEV takes names only.
    assert image.read("etc/sysconfig/network") == "NETWORKING=yes\nGATEWAYDEV=old\n"
    # And the line works: sourced in the image, it strips.
    devices = Devices.create(tmp_path / "devices")
    devices.configure()
    devices.two_nics()
    line = text.splitlines()[1].replace("/usr/lib/single-default-route", str(ROUTE_SCRIPTS))
    script = f"{line}\necho ${{new_routers-UNSET}}"
    variables = {"SYSROOT": str(devices.root), "reason": "BOUND", "interface": "nic1", "new_routers": "10.30.0.1"}
    assert run(["bash", "-c", script], **variables).stdout == "UNSET\n"


@pytest.mark.fixture_tested("single-default-route", "rocky-9")
@pytest.mark.parametrize(("interface", "policy", "device"), [("eth1", "strip", "eth1"), ("eth1", "metric", "old")])
def test_gatewaydev_is_set_for_a_name(image: Image, interface: str, policy: str, device: str) -> None:
    image.write("etc/sysconfig/network", "NETWORKING=yes\nGATEWAYDEV=old\n")
    image.write("etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\n")
    install(image, interface=interface, policy=policy)
    lines = image.read("etc/sysconfig/network").splitlines()
    assert sorted(lines) == [f"GATEWAYDEV={device}", "NETWORKING=yes"]


@pytest.mark.parametrize(
    ("interface", "choice"),
    [
        ("FA:16:3E:00:00:01", "fa:16:3e:00:00:01"),
        ("Eth0", "Eth0"),
        ("driver:virtio_net", "driver:virtio_net"),
        ("path:pci-0000:00:03.0", "path:pci-0000:00:03.0"),
    ],
)
def test_choices(image: Image, interface: str, choice: str) -> None:
    image.program("dhclient")
    install(image, interface=interface)
    assert configuration(image)["choice"] == choice


@pytest.mark.parametrize("interface", ["$(reboot)", "a b", "driver:", "path:", "fa:16:3e:00:00", "match:x"])
def test_choices_that_are_none(image: Image, interface: str) -> None:
    image.program("dhclient")
    assert "DIB_SINGLE_DEFAULT_ROUTE_INTERFACE is" in install(image, check=False, interface=interface)
    assert not (image.root / CONF).exists()


def test_a_policy_that_is_none(image: Image) -> None:
    image.program("dhclient")
    assert "must be strip or metric" in install(image, check=False, policy="drop")


def dhcpcd(root: Path, *arguments: str, policy: str = "strip") -> str:
    (root / "etc").mkdir(exist_ok=True)
    (root / CONF).write_text(f"choice=first\npolicy={policy}\n")
    if not (root / "etc/dhcpcd.conf").exists():
        (root / "etc/dhcpcd.conf").write_text(DHCPCD)
    run([ROUTE_SCRIPTS / "dhcpcd-conf", *arguments], SYSROOT=str(root))
    return (root / "etc/dhcpcd.conf").read_text()


BEGIN, END = "# BEGIN single-default-route\n", "# END single-default-route\n"


def test_dhcpcd_before_the_first_boot(tmp_path: Path) -> None:
    # Before any block of an interface, or it would hold for that one alone.
    assert dhcpcd(tmp_path) == f"{BEGIN}noipv4ll\nnogateway\n{END}{DHCPCD}"


def test_dhcpcd_at_boot_and_at_the_next(tmp_path: Path) -> None:
    dhcpcd(tmp_path)
    expected = f"{BEGIN}noipv4ll\nnogateway\n{END}{DHCPCD}{BEGIN}interface %s\ngateway\nmetric 100\n{END}"
    assert dhcpcd(tmp_path, "ens3") == expected % "ens3"
    assert dhcpcd(tmp_path, "ens3") == expected % "ens3"
    assert dhcpcd(tmp_path, "ens9") == expected % "ens9"
    assert [path.name for path in (tmp_path / "etc").glob("dhcpcd*")] == ["dhcpcd.conf"]


def test_dhcpcd_with_metric(tmp_path: Path) -> None:
    assert (
        dhcpcd(tmp_path, "ens3", policy="metric")
        == f"{BEGIN}noipv4ll\n{END}{DHCPCD}{BEGIN}interface ens3\ngateway\nmetric 100\n{END}"
    )


def network_manager(root: Path, *arguments: str, choice: str = "first", policy: str = "strip") -> list[str]:
    (root / "etc").mkdir()
    (root / CONF).write_text(f"choice={choice}\npolicy={policy}\n")
    run([ROUTE_SCRIPTS / "networkmanager-conf", *arguments], SYSROOT=str(root))
    return (root / "run/NetworkManager/conf.d/90-single-default-route.conf").read_text().splitlines()[1:]


@pytest.mark.fixture_tested("single-default-route", "rocky-9")
@pytest.mark.parametrize(
    ("arguments", "choice", "match"),
    [
        (["ens3"], "first", "type:ethernet;except:interface-name:=ens3"),
        (["ens3"], "driver:virtio_net", "type:ethernet;except:interface-name:=ens3"),
        (["ens3"], "fa:16:3e:00:00:01", "type:ethernet;except:mac:fa:16:3e:00:00:01"),
        ([""], "ens7", "type:ethernet;except:interface-name:=ens7"),
        ([""], "first", "type:ethernet"),
        ([], "path:pci-0000:00:03.0", "type:ethernet"),
    ],
)
def test_networkmanager(tmp_path: Path, arguments: list[str], choice: str, match: str) -> None:
    assert network_manager(tmp_path, *arguments, choice=choice) == [
        "[connection-single-default-route]",
        f"match-device={match}",
        "ipv4.route-table=2121",
        "ipv6.route-table=2121",
    ]


def test_networkmanager_with_metric(tmp_path: Path) -> None:
    assert network_manager(tmp_path, "ens3", policy="metric")[2:] == [
        "ipv4.route-metric=4096",
        "ipv6.route-metric=4096",
    ]


def test_the_unit_is_one_that_systemd_accepts(image: Image) -> None:
    for name in ("sysinit.target", "shutdown.target", "network-pre.target", "cloud-init-local.service"):
        text = "[Unit]\nDescription=x\n" + ("" if name.endswith("target") else "[Service]\nExecStart=/bin/true\n")
        image.write(f"usr/lib/systemd/system/{name}", text)
    done = image.chroot("systemd-analyze", "verify", "--man=no", "single-default-route.service", check=False)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "single-default-route" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr
    # The control: it does complain.
    unit = ROUTE / "static/usr/lib/systemd/system/single-default-route.service"
    image.write("usr/lib/systemd/system/spoiled.service", unit.read_text().replace("Type=oneshot", "Type=once"))
    done = image.chroot("systemd-analyze", "verify", "--man=no", "spoiled.service", check=False)
    assert "spoiled.service" in done.stderr
