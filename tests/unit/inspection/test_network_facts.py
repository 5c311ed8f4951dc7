"""What keeps a Linux to one default route, and what is known of cloud-init."""

from __future__ import annotations

from pathlib import Path

import pytest
from inspection_help import fill

from goldsmith.inspection.cloudinit import CloudInit, cloud_init
from goldsmith.inspection.facts import Unknown
from goldsmith.inspection.network import network
from goldsmith.verify.tree import FolderTree

CONF = 'choice=first\npolicy=strip\nstacks="dhclient"\n'


@pytest.mark.parametrize(
    ("path", "text", "by", "says"),
    [
        ("etc/dhcp/dhclient-enter-hooks.d/x", "unset new_routers\n", "dhclient", "new_routers"),
        (
            "etc/dhcp/dhclient-enter-hooks",
            "case $interface in eth0) ;; *) new_routers= ;; esac",
            "dhclient",
            "new_routers",
        ),
        ("etc/dhcpcd.conf", "# x\nnogateway\n", "dhcpcd", "nogateway"),
        ("etc/sysconfig/network", "NETWORKING=yes\nGATEWAYDEV=eth0\n", "ifcfg", "GATEWAYDEV=eth0"),
        ("etc/systemd/network/2.network", "[DHCPv4]\n UseRoutes = no\n", "networkd", "UseRoutes = no"),
        ("etc/systemd/network/2.network.d/x.conf", "RouteMetric=500\n", "networkd", "RouteMetric=500"),
        ("etc/NetworkManager/conf.d/x.conf", "ipv4.route-metric=500\n", "networkmanager", "ipv4.route-metric=500"),
        ("etc/netplan/50.yaml", "    use-routes: false\n", "netplan", "use-routes: false"),
    ],
)
def test_policies(tmp_path: Path, path: str, text: str, by: str, says: str) -> None:
    facts = network(FolderTree(fill(tmp_path, {path: text})))
    assert not isinstance(facts.default_route, Unknown)
    assert [(each.by, each.path, each.says) for each in facts.default_route] == [(by, f"/{path}", says)]
    (tmp_path / path).write_text("".join(f"# {line}\n" for line in text.splitlines()) if by != "dhclient" else "true\n")
    assert network(FolderTree(tmp_path)).default_route == ()


def test_the_elements_policy(tmp_path: Path) -> None:
    unit = "[Service]\n[Install]\nWantedBy=sysinit.target\n"
    fill(
        tmp_path,
        {
            "etc/single-default-route.conf": CONF,
            "usr/bin/systemctl*": "",
            "usr/sbin/dhclient*": "",
            "usr/lib/systemd/system/single-default-route.service": unit,
            "etc/dhcp/dhclient-enter-hooks.d/single-default-route": "unset new_routers",
        },
    )
    facts = network(FolderTree(tmp_path))
    assert facts.stacks == ("dhclient",)
    assert not isinstance(facts.default_route, Unknown)
    (policy,) = facts.default_route
    assert policy.says == "choice=first, policy=strip, stacks=dhclient, but not enabled"
    wants = tmp_path / "etc/systemd/system/sysinit.target.wants"
    wants.mkdir(parents=True)
    (wants / "single-default-route.service").symlink_to("/usr/lib/systemd/system/single-default-route.service")
    facts = network(FolderTree(tmp_path))
    assert not isinstance(facts.default_route, Unknown)
    assert (facts.default_route[0].by, facts.default_route[0].says) == (
        "goldsmith",
        "choice=first, policy=strip, stacks=dhclient",
    )


VERSION = "usr/lib/python3/dist-packages/cloudinit/version.py"
INSTALLED = {"usr/bin/cloud-init*": "", VERSION: '__VERSION__ = "25.1.4"\n_PACKAGED_VERSION = "25.1.4-1"\n'}
CFG, DROP = "etc/cloud/cloud.cfg", "etc/cloud/cloud.cfg.d/90-x.cfg"


def looked(root: Path, files: dict[str, str]) -> CloudInit:
    facts = cloud_init(FolderTree(fill(root, {**INSTALLED, **files})))
    assert facts is not None
    return facts


def test_no_cloud_init(tmp_path: Path) -> None:
    assert cloud_init(FolderTree(fill(tmp_path, {CFG: "datasource_list: [ None ]\n"}))) is None


def test_its_version(tmp_path: Path) -> None:
    assert looked(tmp_path, {}).version == "25.1.4-1"
    (tmp_path / VERSION).write_text('__VERSION__ = "25.1.4"\n_PACKAGED_VERSION = "@@PACKAGED_VERSION@@"\n')
    assert looked(tmp_path, {VERSION: (tmp_path / VERSION).read_text()}).version == "25.1.4"
    assert isinstance(looked(tmp_path, {VERSION: ""}).version, Unknown)


@pytest.mark.parametrize(
    ("files", "sources", "place"),
    [
        ({}, (), None),
        ({CFG: "datasource_list: [ NoCloud, None ]\n"}, ("NoCloud", "None"), CFG),
        ({CFG: "datasource_list: [ NoCloud ]\n", DROP: "datasource_list: ['OpenStack', \"None\"] # x\n"},
         ("OpenStack", "None"), DROP),
        ({CFG: "  datasource_list: OpenStack, None\n"}, ("OpenStack", "None"), CFG),
        ({CFG: "datasource_list: [ A ]\ndatasource_list: [ B ]\n"}, ("B",), CFG),
        ({CFG: "#datasource_list: [ A ]\nmy_datasource_list: [ B ]\n"}, (), None),
        ({CFG: "datasource_list: [ A ]\n", "etc/cloud/cloud.cfg.d/README": "datasource_list: [ B ]\n"}, ("A",), CFG),
        ({CFG: "datasource_list: [ A ]\n", "etc/cloud/ds-identify.cfg": "datasource: OpenStack\n"},
         ("OpenStack",), "etc/cloud/ds-identify.cfg"),
    ],
)  # fmt: skip
def test_datasources(tmp_path: Path, files: dict[str, str], sources: tuple[str, ...], place: str | None) -> None:
    facts = looked(tmp_path, files)
    assert facts.datasources == sources
    assert facts.datasources_from == (f"/{place}" if place else None)


def test_a_list_over_several_lines_is_none_to_ds_identify(tmp_path: Path) -> None:
    facts = looked(tmp_path, {CFG: "datasource_list:\n  - OpenStack\n  - None\n"})
    assert (facts.datasources, facts.differs) == ((), ("OpenStack", "None"))
    same = looked(tmp_path, {CFG: 'datasource_list: [ OpenStack, "None" ]\n'})
    assert (same.datasources, same.differs) == (("OpenStack", "None"), None)


def test_the_kernels_argument_counts_more(tmp_path: Path) -> None:
    menu = "menuentry 'x' {\nlinux /vmlinuz ro ds=nocloud;s=/seed cloud-init=disabled\n}\n"
    facts = looked(tmp_path, {CFG: "datasource_list: [ A ]\n", "boot/grub/grub.cfg": menu.replace(";", "\\;")})
    assert (facts.datasources, facts.datasources_from) == (("nocloud",), "kernel")
    assert facts.disabled == "cloud-init=disabled"


def test_disabled_and_without_the_network(tmp_path: Path) -> None:
    facts = looked(tmp_path, {DROP: "network: {config: disabled}\n"})
    assert (facts.disabled, facts.network_disabled) == (None, f"/{DROP}")
    facts = looked(tmp_path, {DROP: "network: {version: 2}\n", "etc/cloud/cloud-init.disabled": ""})
    assert (facts.disabled, facts.network_disabled) == ("/etc/cloud/cloud-init.disabled", None)


def test_hostile_settings(tmp_path: Path) -> None:
    """They end in an answer, soon, and print as one line."""
    bomb = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))
    lists = "b0: &b0 [x]\n" + "".join(f"b{n}: &b{n} [*b{n - 1}, *b{n - 1}]\n" for n in range(1, 40))
    files = {
        "etc/cloud/cloud.cfg.d/1.cfg": bomb,
        "etc/cloud/cloud.cfg.d/2.cfg": lists + "datasource_list: [*b39, Good]\n",
        "etc/cloud/cloud.cfg.d/3.cfg": "[" * 5000,
        "etc/cloud/cloud.cfg.d/4.cfg": "!!python/object:os.system [x]\n",
        "etc/cloud/cloud.cfg.d/5.cfg": "-> /etc/cloud/cloud.cfg.d/5.cfg",
        "etc/cloud/cloud.cfg.d/6.cfg": "-> ../../../../../../etc/passwd",
        "etc/cloud/cloud.cfg.d/7.cfg": "datasource_list: [ \x1b[2J, " + "x" * 5000 + " ]\n",
    }
    facts = looked(tmp_path, files)
    assert not isinstance(facts.datasources, Unknown)
    assert facts.datasources[0] == "\\x1b[2J" and len(facts.datasources[1]) < 400
    assert facts.differs == ("Good",)


def test_settings_that_are_too_many(tmp_path: Path) -> None:
    facts = looked(tmp_path, {CFG: "datasource_list: [ A ]\n", DROP: "# x\n" * 2**17})
    assert facts.datasources == ("A",)
    assert isinstance(facts.differs, Unknown) and "more than 256 KiB" in facts.differs.why
