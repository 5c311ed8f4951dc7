"""single-default-route's hooks of dhclient-script, sourced by shells with what dhclient-script sets."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from elements_help import ROUTE_SCRIPTS, SHELLS, Devices, run

ACTED_ON = ["BOUND", "REBOOT", "RENEW", "REBIND", "TIMEOUT"]
#: options 121 and 249 as Neutron sends them: the route to the metadata service, and a default one
METADATA = "32 169 254 169 254 10 30 0 2"
DEFAULT = "0 10 30 0 1"
VARIABLES = (
    "new_routers",
    "new_rfc3442_classless_static_routes",
    "new_classless_static_routes",
    "new_ms_classless_static_routes",
)
#: the hook that is well known, as a control
NAIVE = """
case "$reason" in
    BOUND|REBOOT) [ "$interface" = nic0 ] || unset new_routers ;;
esac
"""

shells = pytest.mark.parametrize("shell", SHELLS, ids=" ".join)


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    found = Devices.create(tmp_path / "root")
    found.configure()
    found.two_nics()
    return found


@pytest.fixture
def naive(tmp_path: Path) -> Path:
    hook = tmp_path / "naive"
    hook.write_text(NAIVE)
    return hook


def sourced(
    devices: Devices, shell: list[str], *, hook: Path = ROUTE_SCRIPTS / "dhclient-enter-hook", **given: str
) -> dict[str, str | None]:
    """The variables after the hook, None for one that is not set; what else the shell holds must be as before."""
    show = [f'echo "{name}=${{{name}-UNSET}}"' for name in VARIABLES]
    script = "\n".join([
        "set -- first second", "IFS=': '", f". {shlex.quote(str(hook))}", "status=$?",
        '[ "$status" = 0 ] || echo "status=$status"', '[ "$*$IFS" = "first:second: " ] || echo "changed=$*,$IFS"',
        *show, "echo gateway=${single_default_route_gateway-}",
    ])  # fmt: skip
    lines = run([*shell, "-c", script], SYSROOT=str(devices.root), **given).stdout.splitlines()
    found = dict(line.split("=", 1) for line in lines)
    assert "status" not in found and "changed" not in found, lines
    return {name: None if value == "UNSET" else value for name, value in found.items()}


@shells
@pytest.mark.parametrize("reason", ACTED_ON)
def test_a_secondary_keeps_every_route_but_the_default(devices: Devices, shell: list[str], reason: str) -> None:
    routes = f"{METADATA} {DEFAULT} 24 192 168 7 10 30 0 9"
    after = sourced(
        devices, shell, reason=reason, interface="nic1", new_routers="10.30.0.1",
        new_rfc3442_classless_static_routes=routes, new_ms_classless_static_routes=f"{DEFAULT} {METADATA}",
    )  # fmt: skip
    assert after["new_routers"] is None
    assert after["new_rfc3442_classless_static_routes"] == f"{METADATA} 24 192 168 7 10 30 0 9"
    assert after["new_ms_classless_static_routes"] == METADATA
    assert after["new_classless_static_routes"] is None


@pytest.mark.parametrize("reason", ACTED_ON)
def test_the_naive_hook_leaves_a_default_route(devices: Devices, naive: Path, reason: str) -> None:
    after = sourced(
        devices, ["dash"], hook=naive, reason=reason, interface="nic1", new_routers="10.30.0.1",
        new_rfc3442_classless_static_routes=f"{METADATA} {DEFAULT}",
    )  # fmt: skip
    # By option 121 always, and by option 3 on top of it for three of the five.
    assert after["new_rfc3442_classless_static_routes"] == f"{METADATA} {DEFAULT}"
    assert (after["new_routers"] is None) == (reason in ("BOUND", "REBOOT"))


@shells
@pytest.mark.parametrize("reason", ACTED_ON)
def test_the_primary_keeps_all(devices: Devices, shell: list[str], reason: str) -> None:
    routes = f"{METADATA} {DEFAULT}"
    after = sourced(
        devices, shell, reason=reason, interface="nic0", new_routers="10.30.0.1",
        new_rfc3442_classless_static_routes=routes,
    )  # fmt: skip
    assert after["new_routers"] == "10.30.0.1"
    assert after["new_rfc3442_classless_static_routes"] == routes


@shells
@pytest.mark.parametrize("reason", ["PREINIT", "EXPIRE", "FAIL", "RELEASE", "STOP", "MEDIUM", "BOUND6", "RENEW6", ""])
def test_other_reasons_are_none_of_its_business(devices: Devices, shell: list[str], reason: str) -> None:
    after = sourced(devices, shell, reason=reason, interface="nic1", new_routers="10.30.0.1")
    assert after["new_routers"] == "10.30.0.1"


@shells
def test_a_list_with_nothing_left_is_unset_and_the_router_with_it(devices: Devices, shell: list[str]) -> None:
    after = sourced(
        devices, shell, reason="BOUND", interface="nic1", new_routers="10.30.0.1",
        new_rfc3442_classless_static_routes=DEFAULT,
    )  # fmt: skip
    assert after["new_rfc3442_classless_static_routes"] is None
    assert after["new_routers"] is None


@shells
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0 10.30.0.1,32.169.254.169.254 10.30.0.2", "32.169.254.169.254 10.30.0.2"),
        ("24.192.168.7 10.30.0.9 0 10.30.0.1", "24.192.168.7 10.30.0.9"),
        ("0 10.30.0.1", None),
    ],
)
def test_the_form_of_red_hat(devices: Devices, shell: list[str], given: str, kept: str | None) -> None:
    after = sourced(
        devices, shell, reason="BOUND", interface="nic1", new_routers="10.30.0.1", new_classless_static_routes=given
    )
    assert after["new_classless_static_routes"] == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("8 10 10 30 0 9", "8 10 10 30 0 9"),
        ("16 10 20 10 30 0 9 0 10 30 0 1 17 10 20 128 10 30 0 9", "16 10 20 10 30 0 9 17 10 20 128 10 30 0 9"),
        ("0 10 30 0 1 0 10 30 0 5 8 10 10 30 0 9", "8 10 10 30 0 9"),
        # What cannot be read ends the list: no default route slips through behind it.
        ("24 192 168 7 10 30 0 9 33 1 2 3 4 5 6 7 8 0 10 30 0 1", "24 192 168 7 10 30 0 9"),
        ("24 192 168", None),
        ("* $(touch /nonexistent)", None),
        ("-1 2 3", None),
    ],
)
def test_lists_of_every_shape(devices: Devices, given: str, kept: str | None) -> None:
    after = sourced(devices, ["dash"], reason="BOUND", interface="nic1", new_rfc3442_classless_static_routes=given)
    assert after["new_rfc3442_classless_static_routes"] == kept


@pytest.mark.parametrize("when", ["enter", "exit"])
def test_shellcheck_is_content_with_what_has_no_first_line(when: str) -> None:
    run(["shellcheck", "--shell=sh", ROUTE_SCRIPTS / f"dhclient-{when}-hook"])


@pytest.mark.parametrize("options", ["-e", "-u", "-eu"])
@pytest.mark.parametrize("interface", ["nic0", "nic1", "gone", ""])
def test_a_strict_shell_survives_it(devices: Devices, options: str, interface: str) -> None:
    script = f". {ROUTE_SCRIPTS}/dhclient-enter-hook; . {ROUTE_SCRIPTS}/dhclient-exit-hook; echo alive"
    for reason in ("BOUND", "PREINIT"):
        done = run(
            ["dash", options, "-c", script], SYSROOT=str(devices.root), reason=reason, interface=interface,
            new_rfc3442_classless_static_routes=DEFAULT,
        )  # fmt: skip
        assert done.stdout == "alive\n"


def test_without_nic_role_nothing_changes(devices: Devices) -> None:
    (devices.root / "usr/lib/single-default-route").unlink()
    after = sourced(devices, ["dash"], reason="BOUND", interface="nic1", new_routers="10.30.0.1")
    assert after["new_routers"] == "10.30.0.1"


def test_a_bridge_is_left_alone(devices: Devices) -> None:
    devices.net(None, "br0")
    after = sourced(devices, ["dash"], reason="BOUND", interface="br0", new_routers="10.30.0.1")
    assert after["new_routers"] == "10.30.0.1"


@shells
@pytest.mark.parametrize(
    ("given", "gateway"),
    [
        ({"new_routers": "10.30.0.1 10.30.0.3"}, "10.30.0.1"),
        ({"new_routers": "10.9.9.9", "new_rfc3442_classless_static_routes": f"{METADATA} {DEFAULT}"}, "10.30.0.1"),
        ({"new_routers": "10.9.9.9", "new_classless_static_routes": "0 10.30.0.1"}, "10.30.0.1"),
        # RFC 3442: with option 121 there, option 3 is not looked at.
        ({"new_routers": "10.9.9.9", "new_rfc3442_classless_static_routes": METADATA}, ""),
    ],
)
def test_metric_remembers_the_gateway(devices: Devices, shell: list[str], given: dict[str, str], gateway: str) -> None:
    devices.configure(policy="metric")
    after = sourced(devices, shell, reason="BOUND", interface="nic1", **given)
    assert after["gateway"] == gateway
    assert after["new_routers"] is None
