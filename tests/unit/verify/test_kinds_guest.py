from __future__ import annotations

from typing import Any

import pytest
from verify_standins import FakeShell, Said

from goldsmith.errors import HarnessError
from goldsmith.verify.kinds import guest as kinds
from goldsmith.verify.subjects import TIMED_OUT, LiveGuest


def guest(**answers: Said | list[Said]) -> LiveGuest:
    return LiveGuest(FakeShell(dict(answers)))


def command(said: Said | list[Said], **assertion: Any) -> list[tuple[str, str]]:
    model = kinds.CommandAssertion.model_validate({"run": "probe", **assertion})
    return [(f.expected, f.seen) for f in kinds.command(model, guest(probe=said))]


def test_commands() -> None:
    assert command(Said("ok\n"), stdout={"equals": "ok"}) == []
    assert command(Said("", 3), returncode=3) == []
    assert command(Said("out", 1, "went wrong")) == [("the command exits 0", "exits 1: went wrong")]
    assert command(Said("out", 1)) == [("the command exits 0", "exits 1: out")]
    assert command(Said("ok"), returncode=1) == [("the command exits 1", "exits 0: ok")]
    assert command(Said("bad", 0, "noise"), stdout={"equals": "ok"}, stderr={"equals": ""}) == [
        ("stdout is 'ok'", "bad"),
        ("stderr is ''", "noise"),
    ]
    assert command(Said("", TIMED_OUT))[0][0] == "the command ends"


def test_a_command_is_retried_until_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    later = [Said("not yet"), Said("not yet"), Said("ok")]
    assert command(list(later), stdout={"equals": "ok"}, retry_seconds=60) == []
    assert command(list(later), stdout={"equals": "ok"}) == [("stdout is 'ok'", "not yet")]
    assert command([Said("no")], stdout={"equals": "ok"}, retry_seconds=0.05) == [("stdout is 'ok'", "no")]


ON = "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nSubState=running\nResult=success\n"
OFF = "LoadState=loaded\nUnitFileState=disabled\nActiveState=inactive\nSubState=dead\nResult=success\n"
FAILED = "LoadState=loaded\nUnitFileState=enabled\nActiveState=failed\nSubState=failed\nResult=exit-code\n"
STARTING = ON.replace("ActiveState=active", "ActiveState=activating")
GONE = "LoadState=not-found\nUnitFileState=\nActiveState=inactive\nSubState=dead\nResult=success\n"


@pytest.mark.parametrize(
    ("state", "assertion", "holds"),
    [
        (ON, {"enabled": True, "active": True, "result": "success"}, True),
        (ON, {"enabled": False}, False),
        (ON, {"active": False}, False),
        (OFF, {"enabled": False, "active": False}, True),
        (OFF, {"enabled": True}, False),
        (OFF, {"active": True}, False),
        (FAILED, {"active": True}, False),
        (FAILED, {"active": False}, True),
        (FAILED, {"result": "success"}, False),
        (FAILED, {"result": "exit-code"}, True),
        (STARTING, {"active": True}, False),
        (STARTING, {"active": False}, False),
        (GONE, {"enabled": False, "active": False}, True),
        (GONE, {"enabled": True}, False),
        (GONE, {"result": "success"}, False),
        (ON.replace("=enabled", "=static"), {"enabled": True}, False),
    ],
)
def test_units(state: str, assertion: dict[str, Any], holds: bool) -> None:
    model = kinds.UnitAssertion.model_validate({"name": "x.service", **assertion})
    assert (kinds.unit(model, guest(systemctl=Said(state))) == []) is holds


def test_a_unit_that_cannot_be_asked_breaks_the_check() -> None:
    with pytest.raises(HarnessError, match="exited 127"):
        kinds.unit(kinds.UnitAssertion(name="x.service", active=True), guest())


def test_kernel_arguments() -> None:
    line = "BOOT_IMAGE=/vmlinuz root=UUID=1 nomodeset console=tty0 console=ttyS0,115200 quiet quiet\n"

    def expected(**assertion: Any) -> list[str]:
        model = kinds.KernelArgumentAssertion.model_validate(assertion)
        return [f.expected for f in kinds.kernel_argument(model, guest(cmdline=Said(line)))]

    assert expected(present=["nomodeset", "console=tty0", "console", "root"], absent=["nofb", "console=ttyS1"]) == []
    assert expected(present=["nofb", "console=ttyS0", "quiet"]) == [
        "the kernel has nofb",
        "the kernel has console=ttyS0",
        "the kernel has quiet once",
    ]
    assert expected(absent=["console", "nomode", "nomodeset"]) == [
        "the kernel does not have console",
        "the kernel does not have nomodeset",
    ]


def test_sysctls() -> None:
    shell = FakeShell({"/proc/sys/net/ipv4/ip_forward": Said("0\n"), "tcp_rmem": Said("4096\t131072\t6291456\n")})
    asked = LiveGuest(shell)

    def seen(name: str, equals: str | int) -> list[str]:
        return [f.seen for f in kinds.sysctl(kinds.SysctlAssertion(name=name, equals=equals), asked)]

    assert seen("net.ipv4.ip_forward", 0) == []
    assert seen("net.ipv4.ip_forward", 1) == ["0"]
    assert seen("net.ipv4.tcp_rmem", "4096 131072 6291456") == []
    assert "not found" in seen("net.ipv4.nothing", 1)[0]
    assert seen("net/ipv4/conf/eth0.1/forwarding", 1) != []
    assert shell.asked[-1] == "cat '/proc/sys/net/ipv4/conf/eth0.1/forwarding'"
