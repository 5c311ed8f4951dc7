"""Ports of this host, by its ss and by its kernel's tables."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from verify_standins import FakeShell, HostShell, Said, tools

from goldsmith.errors import HarnessError
from goldsmith.verify.compare import Finding
from goldsmith.verify.kinds.ports import PortAssertion, port
from goldsmith.verify.subjects import LiveGuest


@pytest.fixture(scope="module")
def without_ss(tmp_path_factory: pytest.TempPathFactory) -> LiveGuest:
    return LiveGuest(HostShell(str(tools(tmp_path_factory.mktemp("tools"), "cat", "find", "grep", "timeout", "sh"))))


@pytest.fixture(params=["ss", "proc"])
def guest(request: pytest.FixtureRequest, without_ss: LiveGuest) -> LiveGuest:
    return LiveGuest(HostShell()) if request.param == "ss" else without_ss


def findings(guest: LiveGuest, **assertion: Any) -> list[Finding]:
    return port(PortAssertion.model_validate(assertion), guest)


@contextlib.contextmanager
def bound(address: str, kind: socket.SocketKind = socket.SOCK_STREAM, *, only_six: bool = False) -> Iterator[int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as opened:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only_six))
        opened.bind((address, 0))
        if kind == socket.SOCK_STREAM:
            opened.listen()
        yield int(opened.getsockname()[1])


def test_tcp(guest: LiveGuest) -> None:
    with bound("127.0.0.1") as number:
        assert findings(guest, port=number) == []
        assert findings(guest, port=number, address="127.0.0.1") == []
        (found,) = findings(guest, port=number, listening=False)
        assert found.expected == f"tcp port {number} does not listen"
        assert found.seen.startswith(f"127.0.0.1:{number}")
        (found,) = findings(guest, port=number, address="0.0.0.0")
        assert found.expected == f"tcp port {number} listens on 0.0.0.0"
        assert findings(guest, port=number, address="0.0.0.0", listening=False) == []
        assert findings(guest, port=number, protocol="udp") == [
            Finding(f"udp port {number} listens", f"nobody listens on udp port {number}")
        ]
    assert findings(guest, port=number, listening=False) == []


def test_a_connection_is_no_listener(guest: LiveGuest) -> None:
    with bound("127.0.0.1") as number, socket.create_connection(("127.0.0.1", number)) as client:
        own = client.getsockname()[1]
        assert findings(guest, port=own) != []
        assert findings(guest, port=own, listening=False) == []


def test_udp(guest: LiveGuest) -> None:
    with bound("127.0.0.1", socket.SOCK_DGRAM) as number:
        assert findings(guest, port=number, protocol="udp", address="127.0.0.1") == []
        assert findings(guest, port=number, protocol="udp", listening=False) != []
        assert findings(guest, port=number, listening=False) == []


def test_the_process(guest: LiveGuest) -> None:
    own = Path("/proc/self/comm").read_text().strip()
    with bound("127.0.0.1") as number:
        assert findings(guest, port=number, process=own) == []
        (found,) = findings(guest, port=number, process="sshd")
        assert found.expected == f"sshd listens on tcp port {number}"
        assert own in found.seen
        assert findings(guest, port=number, process="sshd", listening=False) == []


def test_six(guest: LiveGuest) -> None:
    with bound("::1") as number:
        assert findings(guest, port=number, address="0:0::1") == []
        assert findings(guest, port=number, address="127.0.0.1") != []
    with bound("::") as number:
        assert findings(guest, port=number, address="::") == []
    with bound("::", only_six=True) as number:
        assert findings(guest, port=number, address="::") == []


def test_what_the_kernels_table_does_not_tell(without_ss: LiveGuest) -> None:
    with_ss, without = LiveGuest(HostShell()), without_ss
    with bound("::") as number:
        assert findings(with_ss, port=number, address="0.0.0.0") == []
        with pytest.raises(HarnessError, match="does not tell whether"):
            findings(without, port=number, address="0.0.0.0")
    with bound("::", only_six=True) as number:
        assert findings(with_ss, port=number, address="0.0.0.0") != []


SS = """\
LISTEN 0      4096   127.0.0.53%lo:53        0.0.0.0:*    users:(("systemd-resolve",pid=1,fd=14))
LISTEN 0      128          0.0.0.0:22        0.0.0.0:*    users:(("sshd",pid=2,fd=3),("systemd",pid=1,fd=99))
LISTEN 0      128             [::]:22           [::]:*    users:(("sshd",pid=2,fd=4))
LISTEN 0      128                *:9090            *:*    users:(("systemd",pid=1,fd=99))
LISTEN 0      128  [fe80::1%ens3]:546        [::]:*
"""


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ({"port": 53, "address": "127.0.0.53", "process": "systemd-resolve"}, True),
        ({"port": 22, "address": "0.0.0.0", "process": "systemd"}, True),
        ({"port": 22, "process": "ssh"}, False),
        ({"port": 9090, "address": "::"}, True),
        ({"port": 9090, "address": "0.0.0.0"}, True),
        ({"port": 9090, "address": "127.0.0.1"}, False),
        ({"port": 546, "address": "fe80::1"}, True),
        ({"port": 2, "listening": False}, True),
        ({"port": 909, "listening": False}, True),
    ],
)
def test_what_ss_prints(asked: dict[str, Any], holds: bool) -> None:
    assert (findings(LiveGuest(FakeShell({"ss": Said("ss\n" + SS)})), **asked) == []) == holds


@pytest.mark.parametrize(
    "said",
    [Said(""), Said("ss\nrubbish\n"), Said("ss\n" + "LISTEN 0 0 x:y *:*\n"), Said("\ufffd" * 2**20), Said("", 127)],
)
def test_nonsense_breaks_the_check(said: Said) -> None:
    with pytest.raises(HarnessError):
        findings(LiveGuest(FakeShell({"ss": said})), port=22, listening=False)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"port": 0}, "greater than or equal to 1"),
        ({"port": 65536}, "less than or equal to 65535"),
        ({"port": 22, "protocol": "sctp"}, "'tcp' or 'udp'"),
        ({"port": 22, "address": "localhost"}, "IPv4 or IPv6"),
        ({"port": 22, "process": "a name that is too long"}, "should match pattern"),
    ],
)
def test_wrong_assertions(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PortAssertion.model_validate(asked)
