from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldsmith.boot import lab as lab_module
from goldsmith.boot.instance import Instance, Network, make_nics
from goldsmith.boot.lab import Lab, dnsmasq_configuration, read_metadata_log
from goldsmith.errors import HarnessError, HostError, InputError
from goldsmith.settings import Settings

FRONT = Network("front", "10.20.0.0/24", "10.20.0.1", mtu=1450, lease=600)
BACK = Network("back", "10.30.0.0/24", "10.30.0.254", mtu=1400)
GUEST = Instance("6a1d0bb2-95f8-4b6c-8c1e-7d1f37f1b7c0", "guest", make_nics([FRONT, BACK]))

#: Runs in the jail, on a veth whose other end is a port of the bridge: sends DISCOVER, or REQUEST for an address it
#: had before, and prints the answer as JSON.
DHCP_CLIENT = r"""
import json, os, socket, struct, sys
device, mac, seconds = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")), float(sys.argv[3])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sock.bind(("", 68))
sock.settimeout(seconds)
wanted = bytes([1, 3, 6, 26, 51, 54, 121, 249])
head = struct.pack(">BBBBIHHIIII16s64x128x", 1, 1, 6, 0, 7, 0, 0x8000, 0, 0, 0, 0, mac)
had = b"".join(bytes([50, 4]) + socket.inet_aton(address) for address in sys.argv[4:])
options = bytes([53, 1, 3 if had else 1]) + had + bytes([55, len(wanted)]) + wanted + b"\xff"
sock.sendto(head + b"\x63\x82\x53\x63" + options, ("255.255.255.255", 67))
try:
    answer = sock.recv(4096)
except TimeoutError:
    print(json.dumps(None))
    sys.exit()
found, rest = {"address": socket.inet_ntoa(answer[16:20])}, answer[240:]
while rest and rest[0] != 255:
    found[str(rest[0])] = rest[2 : 2 + rest[1]].hex()
    rest = rest[2 + rest[1] :]
print(json.dumps(found))
"""


#: Runs a script in a network namespace of its own, beside the jail's, plugged into a bridge as a guest is.
BESIDE = """
set -eu
bridge=$1 mac=$2 script=$3
ip link add c0 address "$mac" type veth peer name c1
ip link set c1 master "$bridge" up
unshare --net sleep 60 &
guest=$!
while [ "$(readlink "/proc/$guest/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
ip link set c0 netns "$guest"
nsenter --target "$guest" --net /bin/sh -eu "$script" || status=$?
ip link delete c1
kill "$guest"
exit "${status:-0}"
"""


def beside(lab: Lab, network: Network, mac: str, script: str, tmp_path: Path) -> str:
    """The output of a script that runs where a guest on ``network`` would; its NIC is c0, still down."""
    inner, outer = tmp_path / "inner.sh", tmp_path / "outer.sh"
    inner.write_text(script)
    outer.write_text(BESIDE)
    bridge = f"br{[FRONT.name, BACK.name].index(network.name)}"
    return lab.jail.run(["/bin/sh", outer, bridge, mac, inner], deadline=60).stdout


def discover(
    lab: Lab, network: Network, mac: str, tmp_path: Path, seconds: float = 30, had: str = ""
) -> dict[str, str] | None:
    """What the network's DHCP server offers to a client with this MAC, or answers to one that asks for its address."""
    client = tmp_path / "client.py"
    client.write_text(DHCP_CLIENT)
    script = f"ip link set c0 up\n/usr/bin/python3 {client} c0 {mac} {seconds} {had}\n"
    return json.loads(beside(lab, network, mac, script, tmp_path))  # type: ignore[no-any-return]


@pytest.fixture
def lab(settings: Settings) -> Iterator[Lab]:
    with Lab(settings, [FRONT, BACK], GUEST) as lab:
        yield lab


@pytest.mark.parametrize(("network", "index"), [(FRONT, 0), (BACK, 1)])
def test_dhcp_offers_what_neutron_offers(lab: Lab, tmp_path: Path, network: Network, index: int) -> None:
    offer = discover(lab, network, GUEST.nics[index].mac, tmp_path)
    assert offer is not None
    gateway = bytes(int(part) for part in network.gateway.split("."))
    port = bytes(int(part) for part in network.dhcp_address.split("."))
    routes = bytes([32, 169, 254, 169, 254]) + port + bytes([0]) + gateway
    assert offer["address"] == GUEST.nics[index].address
    assert offer["3"] == gateway.hex()
    assert offer["121"] == routes.hex()
    assert offer["249"] == routes.hex()
    assert int(offer["26"], 16) == network.mtu
    assert int(offer["51"], 16) == network.lease
    assert offer["54"] == offer["6"] == port.hex()


def test_a_stranger_gets_an_address_of_the_range(lab: Lab, tmp_path: Path) -> None:
    offer = discover(lab, FRONT, "fa:16:3e:aa:bb:cc", tmp_path)
    assert offer is not None
    assert offer["address"].startswith("10.20.0.")
    assert offer["address"] not in {FRONT.gateway, FRONT.dhcp_address, GUEST.nics[0].address}


def test_a_stopped_server_is_silent_and_starts_again(lab: Lab, tmp_path: Path) -> None:
    lab.stop_dhcp(FRONT)
    assert discover(lab, FRONT, GUEST.nics[0].mac, tmp_path, seconds=1) is None
    lab.start_dhcp(FRONT)
    assert discover(lab, FRONT, GUEST.nics[0].mac, tmp_path) is not None
    assert "DHCPOFFER" in lab.dhcp_log(FRONT)
    assert "DHCPOFFER" not in lab.dhcp_log(BACK)


def test_a_delayed_server_answers_late(settings: Settings, tmp_path: Path) -> None:
    slow = Network(FRONT.name, FRONT.subnet, FRONT.gateway, reply_delay=2)
    with Lab(settings, [slow], Instance(GUEST.uuid, "guest")) as lab:
        assert discover(lab, FRONT, "fa:16:3e:aa:bb:cc", tmp_path, seconds=0.8) is None
        assert discover(lab, FRONT, "fa:16:3e:aa:bb:cd", tmp_path) is not None


def test_a_servers_delay_and_lease_change_while_the_lab_runs(lab: Lab, tmp_path: Path) -> None:
    lab.change_dhcp(FRONT, reply_delay=2, lease=240)
    # Not a stranger: dnsmasq looks for 3 s whether somebody else has an address of the range.
    assert discover(lab, FRONT, GUEST.nics[0].mac, tmp_path, seconds=1) is None
    lab.change_dhcp(FRONT, reply_delay=0)
    offer = discover(lab, FRONT, GUEST.nics[0].mac, tmp_path, seconds=1.5)
    assert offer is not None
    assert int(offer["51"], 16) == 240
    other = discover(lab, BACK, "fa:16:3e:aa:bb:ce", tmp_path)
    assert other is not None
    assert int(other["51"], 16) == BACK.lease


def test_a_stopped_server_stays_so_and_starts_as_changed(lab: Lab, tmp_path: Path) -> None:
    lab.stop_dhcp(FRONT)
    lab.change_dhcp(FRONT, lease=180)
    assert discover(lab, FRONT, GUEST.nics[0].mac, tmp_path, seconds=1) is None
    lab.start_dhcp(FRONT)
    offer = discover(lab, FRONT, GUEST.nics[0].mac, tmp_path)
    assert offer is not None
    assert int(offer["51"], 16) == 180


def test_a_renumbered_nic_is_refused_its_old_address(lab: Lab, tmp_path: Path) -> None:
    nic = GUEST.nics[0]
    acknowledged, refused = "05", "06"
    before = discover(lab, FRONT, nic.mac, tmp_path, had=nic.address)
    assert before is not None
    assert (before["53"], before["address"]) == (acknowledged, nic.address)
    lab.renumber(nic.mac, "10.20.0.77")
    answer = discover(lab, FRONT, nic.mac, tmp_path, had=nic.address)
    assert answer is not None
    assert answer["53"] == refused
    offer = discover(lab, FRONT, nic.mac, tmp_path)
    assert offer is not None
    assert offer["address"] == "10.20.0.77"


#: A client that holds a lease asks its server, and nobody else, to prolong it (RFC 2131, 4.3.6, RENEWING).
RENEWAL = r"""
import socket, struct, sys
address, server, mac = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3].replace(":", ""))
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((address, 68))
sock.settimeout(5)
head = struct.pack(">BBBBIHH4s12s16s64x128x", 1, 1, 6, 0, 7, 0, 0, socket.inet_aton(address), b"", mac)
sock.sendto(head + b"\x63\x82\x53\x63" + bytes([53, 1, 3, 255]), (server, 67))
print(sock.recv(4096)[242])
"""


def test_every_server_hears_its_own_renewals(lab: Lab, tmp_path: Path) -> None:
    """A unicast reaches one socket only, and both servers are in one network namespace."""
    client = tmp_path / "renewal.py"
    client.write_text(RENEWAL)
    for nic in GUEST.nics:
        assert discover(lab, nic.network, nic.mac, tmp_path, had=nic.address)
    for _ in range(2):
        for nic in GUEST.nics:
            script = f"""
                ip address add {nic.address}/24 dev c0
                ip link set c0 up
                /usr/bin/python3 {client} {nic.address} {nic.network.dhcp_address} {nic.mac}
            """
            assert beside(lab, nic.network, nic.mac, script, tmp_path) == "5\n"
        # Which of the sockets it would be depends on which is the newer one.
        lab.change_dhcp(FRONT, reply_delay=0)


@pytest.mark.parametrize(
    ("mac", "address", "problem"),
    [
        ("fa:16:3e:aa:bb:cc", "10.20.0.77", "no NIC"),
        (GUEST.nics[0].mac, "10.30.0.77", "not free"),
        (GUEST.nics[0].mac, FRONT.gateway, "not free"),
        (GUEST.nics[0].mac, "ten", "NIC fa:16"),
    ],
)
def test_a_wrong_new_address_is_refused(lab: Lab, mac: str, address: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        lab.renumber(mac, address)


@pytest.mark.parametrize("change", [{"lease": 119}, {"reply_delay": -1}])
def test_a_change_that_dnsmasq_would_not_take_is_refused(lab: Lab, change: dict[str, int]) -> None:
    with pytest.raises(InputError, match="a lease is 120 s or longer"):
        lab.change_dhcp(FRONT, **change)


def test_each_network_with_ipv6_advertises_a_default_router(settings: Settings, tmp_path: Path) -> None:
    networks = [dataclasses.replace(FRONT, subnet6="fd20:20::/64"), dataclasses.replace(BACK, subnet6="fd20:30::/64")]
    script = """
        ip link set c0 up
        for n in $(seq 100); do
            ip -6 route show default dev c0 | grep -q via && ip -6 address show dev c0 | grep -q fd20 && break
            sleep 0.1
        done
        ip -6 route show dev c0
        cat /proc/sys/net/ipv6/conf/c0/mtu
        ip -6 -o address show dev c0 scope global
    """
    with Lab(settings, networks, Instance(GUEST.uuid, "guest")) as lab:
        for network, prefix in zip(networks, ("fd20:20::", "fd20:30::"), strict=True):
            seen = beside(lab, network, "fa:16:3e:aa:bb:cc", script, tmp_path)
            assert "default via fe80::" in seen
            assert f"{prefix}/64 proto kernel" in seen
            assert f"inet6 {prefix}f816:3eff:feaa:bbcc/64" in seen
            assert f"\n{network.mtu}\n" in seen


def test_a_network_without_ipv6_advertises_nothing(lab: Lab) -> None:
    assert not list(lab.folder.glob("router-*"))


@pytest.mark.parametrize("network", [FRONT, BACK])
def test_the_metadata_service_answers_behind_each_dhcp_port(lab: Lab, tmp_path: Path, network: Network) -> None:
    get = "import urllib.request as u; print(u.urlopen('http://169.254.169.254/openstack', timeout=10).read().decode())"
    address = f"{network.subnet.rpartition('.')[0]}.77"
    script = f"""
        ip address add {address}/24 dev c0
        ip link set c0 up
        ip route add 169.254.169.254/32 via {network.dhcp_address}
        /usr/bin/python3 -c "{get}"
    """
    assert "latest" in beside(lab, network, "fa:16:3e:aa:bb:cc", script, tmp_path)
    count = lab.metadata_log()
    assert (count.requests, count.connections, count.by_path) == (1, 1, {"/openstack": 1})
    assert count.by_peer == {address: 1}


@pytest.mark.parametrize(
    ("asked", "answers"),
    [(FRONT.gateway, True), (FRONT.dhcp_address, True), (BACK.gateway, False), (BACK.dhcp_address, False)],
)
def test_each_network_answers_arp_for_its_own_addresses_only(
    lab: Lab, tmp_path: Path, asked: str, answers: bool
) -> None:
    """A TCP connection is refused at once where somebody is, and finds no neighbour where nobody is."""
    connect = f"import socket; socket.create_connection(('{asked}', 9), timeout=5)"
    script = f"""
        ip address add 10.20.0.77/24 dev c0
        ip link set c0 up
        ip route add default dev c0
        /usr/bin/python3 -c "{connect}" || true
        ip neighbour show {asked}
    """
    shown = beside(lab, FRONT, "fa:16:3e:aa:bb:cc", script, tmp_path)
    assert ("lladdr fa:16:3e:ff:00:02" in shown) is answers
    assert asked in shown


def test_nothing_is_forwarded_between_networks(lab: Lab) -> None:
    assert lab.jail.run(["/bin/cat", "/proc/sys/net/ipv4/ip_forward"], deadline=10).stdout == "0\n"


def test_taps_are_ports_of_their_bridge_with_its_mtu(lab: Lab) -> None:
    ports = lab.ports()
    assert [port.mac for port in ports] == [nic.mac for nic in GUEST.nics]
    for port, bridge, mtu in zip(ports, ("br0", "br1"), (1450, 1400), strict=True):
        line = lab.jail.run(["ip", "-o", "link", "show", str(port.tap)], deadline=10).stdout
        assert f"master {bridge}" in line
        assert f"mtu {mtu}" in line


def test_nothing_is_left_on_the_host(settings: Settings) -> None:
    def links() -> str:
        return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout

    before = links()
    with Lab(settings, [FRONT], Instance(GUEST.uuid, "guest")) as lab:
        lab.tap(FRONT)
        folder = lab.folder
        assert links() == before
    assert not folder.exists()
    with pytest.raises(HarnessError, match="not open"):
        _ = lab.jail


def test_logs_stay_in_a_folder_that_was_given(settings: Settings, tmp_path: Path) -> None:
    with Lab(settings, [FRONT], Instance(GUEST.uuid, "guest"), folder=tmp_path / "logs"):
        pass
    assert "dnsmasq: started" in (tmp_path / "logs" / "dhcp-0.log").read_text()
    assert read_metadata_log((tmp_path / "logs" / "metadata.jsonl").read_text()).requests == 0


def test_contradictions_are_refused_before_anything_starts(settings: Settings) -> None:
    with pytest.raises(InputError, match="two networks"):
        Lab(settings, [FRONT, FRONT], Instance(GUEST.uuid, "guest"))
    with pytest.raises(InputError, match="back"):
        Lab(settings, [FRONT], GUEST)


def test_a_network_of_another_lab_is_refused(lab: Lab) -> None:
    with pytest.raises(InputError, match="no network elsewhere"):
        lab.tap(Network("elsewhere", "10.40.0.0/24", "10.40.0.1"))


def test_without_tun_the_remedy_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_module, "TUN", Path("/dev/net/missing"))
    with (
        pytest.raises(HostError, match="modprobe tun"),
        Lab(settings, [FRONT], Instance(GUEST.uuid, "guest")),
    ):
        pytest.fail("the lab opened")


def test_a_server_that_dies_is_shown_with_its_words(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_module, "dnsmasq_configuration", lambda *_: "no-such-option\n")
    with (
        pytest.raises(HarnessError, match=r"dhcp-0 ended with \d+: .*bad option"),
        Lab(settings, [FRONT], Instance(GUEST.uuid, "guest")),
    ):
        pytest.fail("the lab opened")


def test_the_metadata_script_needs_no_package() -> None:
    """It runs under the distribution's interpreter, without goldsmith in reach."""
    script = Path(lab_module.metadata.__file__)
    done = subprocess.run(
        [sys.executable, "-I", "-S", script, "/missing", "/dev/null"], capture_output=True, text=True, check=False
    )
    assert "FileNotFoundError" in done.stderr
    assert "ImportError" not in done.stderr


def test_dnsmasq_is_told_no_delay_unless_asked(tmp_path: Path) -> None:
    assert "reply-delay" not in dnsmasq_configuration(FRONT, GUEST.nics[:1], "br0", tmp_path)
