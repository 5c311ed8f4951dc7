"""The real dhclient-script of this host, in a network namespace of its own, with the hooks in place: which routes?"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from elements_help import ROUTE_SCRIPTS, Devices, run

SCRIPT = Path("/sbin/dhclient-script")
DEBIAN_HOOK = Path("/etc/dhcp/dhclient-exit-hooks.d/rfc3442-classless-routes")
pytestmark = pytest.mark.skipif(
    not (SCRIPT.exists() and DEBIAN_HOOK.exists()), reason="isc-dhcp-client is not installed here"
)

NAIVE = 'case "$reason" in BOUND|REBOOT) [ "$interface" = nic0 ] || unset new_routers ;; esac\n'
LEASES = {
    f"nic{n}": {
        "interface": f"nic{n}",
        "new_ip_address": f"10.{2 + n}0.0.10",
        "new_subnet_mask": "255.255.255.0",
        "new_routers": f"10.{2 + n}0.0.1",
        "new_rfc3442_classless_static_routes": f"32 169 254 169 254 10 {2 + n}0 0 2 0 10 {2 + n}0 0 1",
    }
    for n in (0, 1)
}


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    found = Devices.create(tmp_path / "root")
    found.configure()
    found.two_nics()
    return found


def hooks(folder: Path, *, ours: bool, naive: bool = False) -> Path:
    """An /etc/dhcp with Debian's own hook, and ours or the naive one."""
    for when in ("enter", "exit"):
        place = folder / f"dhclient-{when}-hooks.d"
        place.mkdir(parents=True)
        if ours:
            (place / "single-default-route").write_text((ROUTE_SCRIPTS / f"dhclient-{when}-hook").read_text())
    if naive:
        (folder / "dhclient-enter-hooks.d/naive").write_text(NAIVE)
    (folder / "dhclient-exit-hooks.d/rfc3442-classless-routes").write_text(DEBIAN_HOOK.read_text())
    return folder


def routes(devices: Devices, folder: Path, *events: dict[str, str]) -> list[str]:
    """Routes by gateway after dhclient-script was called for each event, in order."""
    # On TIMEOUT dhclient-script pings the gateway.
    programs = folder.with_name(f"{folder.name}-bin")
    programs.mkdir()
    (programs / "ping").symlink_to("/bin/true")
    lines = [f"mount --bind {shlex.quote(str(folder))} /etc/dhcp", f"export PATH={shlex.quote(str(programs))}:$PATH"]
    for nic in LEASES:
        lines += [
            f"ip link add {nic} type veth peer name {nic}-peer",
            f"ip link set {nic}-peer up",
            f"reason=PREINIT interface={nic} {SCRIPT}",
        ]
    for event in events:
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in event.items())
        lines.append(f"env {words} {SCRIPT} || echo failed $?")
    lines.append("ip -4 -o route show | sed -n '/ via /p'")
    argv = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-ec", "\n".join(lines)]
    shown = run(argv, SYSROOT=str(devices.root)).stdout.splitlines()
    assert not [line for line in shown if line.startswith("failed")], shown
    return sorted(line.strip() for line in shown)


def event(reason: str, nic: str, **more: str) -> dict[str, str]:
    return {"reason": reason, **LEASES[nic], **more}


def defaults(found: list[str]) -> list[str]:
    return [line for line in found if line.startswith("default")]


PRIMARY = ["default via 10.20.0.1 dev nic0"]


@pytest.mark.parametrize("order", [("nic0", "nic1"), ("nic1", "nic0")])
def test_one_default_route_whoever_comes_first(devices: Devices, tmp_path: Path, order: tuple[str, str]) -> None:
    found = routes(devices, hooks(tmp_path / "dhcp", ours=True), *(event("BOUND", nic) for nic in order))
    assert defaults(found) == PRIMARY
    assert "169.254.169.254 via 10.20.0.2 dev nic0" in found
    assert any(line.startswith("169.254.169.254 via 10.30.0.2 dev nic1") for line in found)


def test_control_the_naive_hook_gives_the_first_to_come(devices: Devices, tmp_path: Path) -> None:
    folder = hooks(tmp_path / "dhcp", ours=False, naive=True)
    found = routes(devices, folder, event("BOUND", "nic1"), event("BOUND", "nic0"))
    assert defaults(found) == ["default via 10.30.0.1 dev nic1"]


@pytest.mark.parametrize("reason", ["RENEW", "REBIND"])
def test_after_another_address_the_routes_are_there_again(devices: Devices, tmp_path: Path, reason: str) -> None:
    changed = [
        event(reason, nic, old_ip_address=LEASES[nic]["new_ip_address"], new_ip_address=f"10.{2 + n}0.0.77")
        for n, nic in enumerate(LEASES)
    ]
    found = routes(
        devices, hooks(tmp_path / "dhcp", ours=True), event("BOUND", "nic1"), event("BOUND", "nic0"), *changed
    )
    assert defaults(found) == PRIMARY
    assert "169.254.169.254 via 10.20.0.2 dev nic0" in found
    # The control: Debian's own hook for option 121 does not do it.
    found = routes(devices, hooks(tmp_path / "stock", ours=False), event("BOUND", "nic0"), changed[0])
    assert found == []


def test_a_renewal_changes_nothing(devices: Devices, tmp_path: Path) -> None:
    bound = [event("BOUND", nic) for nic in ("nic1", "nic0")]
    renewed = [event("RENEW", nic, old_ip_address=LEASES[nic]["new_ip_address"]) for nic in ("nic1", "nic0")]
    before = routes(devices, hooks(tmp_path / "dhcp", ours=True), *bound)
    assert routes(devices, hooks(tmp_path / "again", ours=True), *bound, *renewed) == before


def test_with_a_recorded_lease_only(devices: Devices, tmp_path: Path) -> None:
    found = routes(devices, hooks(tmp_path / "dhcp", ours=True), event("TIMEOUT", "nic1"), event("TIMEOUT", "nic0"))
    assert defaults(found) == PRIMARY
    assert "169.254.169.254 via 10.20.0.2 dev nic0" in found


def test_by_option_3_alone(devices: Devices, tmp_path: Path) -> None:
    without = [
        {name: value for name, value in event("BOUND", nic).items() if "classless" not in name}
        for nic in ("nic1", "nic0")
    ]
    assert routes(devices, hooks(tmp_path / "dhcp", ours=True), *without) == PRIMARY


@pytest.mark.parametrize("order", [("nic0", "nic1"), ("nic1", "nic0")])
def test_metric(devices: Devices, tmp_path: Path, order: tuple[str, str]) -> None:
    devices.configure(policy="metric")
    found = routes(devices, hooks(tmp_path / "dhcp", ours=True), *(event("BOUND", nic) for nic in order))
    assert sorted(defaults(found)) == [*PRIMARY, "default via 10.30.0.1 dev nic1 metric 4096 onlink"]


def test_without_the_primary_there_is_no_default_route(devices: Devices, tmp_path: Path) -> None:
    found = routes(devices, hooks(tmp_path / "dhcp", ours=True), event("BOUND", "nic1"))
    assert defaults(found) == []
    assert any(line.startswith("169.254.169.254 via 10.30.0.2") for line in found)
