"""Units on a disk, held against this host's own systemctl, which can look at a folder as a root."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from verify_standins import FakeShell, Said

from goldsmith.errors import HarnessError
from goldsmith.verify.kinds.services import ServiceAssertion, service, service_live, state_on_disk
from goldsmith.verify.subjects import LiveGuest
from goldsmith.verify.tree import FolderTree

START = "[Service]\nExecStart=/bin/true\n"
INSTALL = "\n[Install]\nWantedBy=multi-user.target\n"
LIB, ETC = "usr/lib/systemd/system", "etc/systemd/system"
#: unit to its state
STATES = {
    "on.service": "enabled",
    "required.service": "enabled",
    "off.service": "disabled",
    "masked.service": "masked",
    "masked-by-vendor.service": "masked",
    "masked-empty.service": "masked",
    "static.service": "static",
    "vendor-wants.service": "static",
    "own.service": "disabled",
    "nothing.service": "absent",
    "aliased.service": "enabled",
    "on@one.service": "enabled",
    "on@two.service": "disabled",
    "off.timer": "disabled",
    "commented.service": "static",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    def link(path: str, target: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).symlink_to(target)

    for name in ("on", "required", "off", "masked", "masked-empty", "on@"):
        write(f"{LIB}/{name}.service", START + INSTALL)
    for name in ("static", "vendor-wants"):
        write(f"{LIB}/{name}.service", START)
    write(f"{LIB}/commented.service", START + "\n[Install]\n# WantedBy=multi-user.target\nWantedBy=\n")
    write(f"{LIB}/aliased.service", START + "\n[Install]\nAlias=other.service\n")
    write(f"{LIB}/off.timer", "[Timer]\nOnBootSec=1\n" + INSTALL)
    write(f"{LIB}/multi-user.target", "[Unit]\nDescription=x\n")
    write(f"{ETC}/own.service", START + INSTALL)
    write(f"{ETC}/masked-empty.service", "")
    link(f"{ETC}/masked.service", "/dev/null")
    link(f"{LIB}/masked-by-vendor.service", "/dev/null")
    link(f"{ETC}/multi-user.target.wants/on.service", f"/{LIB}/on.service")
    link(f"{ETC}/network.target.requires/required.service", f"/{LIB}/required.service")
    link(f"{ETC}/multi-user.target.wants/on@one.service", f"/{LIB}/on@.service")
    link(f"{LIB}/multi-user.target.wants/vendor-wants.service", "../vendor-wants.service")
    link(f"{ETC}/other.service", f"/{LIB}/aliased.service")
    return tmp_path


@pytest.mark.parametrize("unit", STATES)
def test_the_state_on_a_disk(root: Path, unit: str) -> None:
    state, why = state_on_disk(unit, FolderTree(root))
    assert state == STATES[unit]
    assert why


def test_systemctl_says_the_same(root: Path) -> None:
    argv = ["systemctl", f"--root={root}", "is-enabled", "--"]
    for unit, state in STATES.items():
        done = subprocess.run([*argv, unit], capture_output=True, text=True, check=False)
        said = done.stdout.strip() or ("absent" if "No such file" in done.stderr else done.stderr)
        assert said == state, unit


def test_an_alias_has_the_state_of_its_unit(root: Path) -> None:
    tree = FolderTree(root)
    assert state_on_disk("other.service", tree)[0] == "enabled"
    (root / f"{LIB}/vendor-alias.service").symlink_to("on.service")
    assert state_on_disk("vendor-alias.service", tree)[0] == "enabled"
    (root / f"{LIB}/one.service").symlink_to("two.service")
    (root / f"{LIB}/two.service").symlink_to("one.service")
    assert state_on_disk("one.service", tree)[0] == "static"


def test_service_findings(root: Path) -> None:
    def findings(**assertion: Any) -> list[tuple[str, str]]:
        return [(f.expected, f.seen) for f in service(ServiceAssertion.model_validate(assertion), FolderTree(root))]

    assert findings(name="on", state="enabled") == findings(name="nothing", state="absent") == []
    assert findings(name="off.timer", state="disabled") == []
    assert findings(name="off", state="enabled") == [
        ("off.service is enabled", f"/{LIB}/off.service has WantedBy and no link")
    ]
    assert findings(name="on", state="masked") == [
        ("on.service is masked", f"/{ETC}/multi-user.target.wants/on.service")
    ]
    assert findings(name="masked", state="absent")[0][1] == f"/{ETC}/masked.service leads to /dev/null or is empty"
    assert findings(name="no.dots", state="disabled")[0][0] == "no.dots.service is disabled"


ON = "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nSubState=running\nResult=success\n"


@pytest.mark.parametrize(
    ("said", "asked", "holds"),
    [
        (ON, {"state": "enabled", "active": True}, True),
        (ON, {"state": "disabled"}, False),
        (ON, {"active": False}, False),
        (ON.replace("enabled", "enabled-runtime"), {"state": "enabled"}, True),
        (ON.replace("enabled", "indirect"), {"state": "disabled"}, True),
        (ON.replace("enabled", "generated"), {"state": "static"}, False),
        (ON.replace("active\n", "activating\n"), {"active": True}, False),
        (ON.replace("active\n", "activating\n"), {"active": False}, False),
        (ON.replace("=active", "=failed"), {"active": False}, True),
        ("LoadState=masked\nUnitFileState=masked\nActiveState=inactive\n", {"state": "masked", "active": False}, True),
        ("LoadState=not-found\nUnitFileState=\nActiveState=inactive\n", {"state": "absent"}, True),
        ("LoadState=not-found\nUnitFileState=\nActiveState=inactive\n", {"state": "disabled"}, False),
        ("LoadState=not-found\nUnitFileState=\nActiveState=inactive\n", {"active": True}, False),
        ("", {"state": "enabled"}, False),
        ("", {"active": False}, False),
        ("\ufffd=\ufffd\n" * 100_000, {"active": False}, False),
    ],
)
def test_live(said: str, asked: dict[str, Any], holds: bool) -> None:
    assertion = ServiceAssertion.model_validate({"name": "ssh", **asked})
    shell = FakeShell({"systemctl show": Said(said)})
    findings = service_live(assertion, LiveGuest(shell))
    assert (findings == []) == holds
    assert shell.asked[0].endswith("-- 'ssh.service'")


def test_a_guest_without_systemctl_breaks_the_check() -> None:
    with pytest.raises(HarnessError):
        service_live(ServiceAssertion(name="ssh", active=True), LiveGuest(FakeShell({})))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "ssh"}, "asks nothing"),
        ({"name": "ssh", "state": "on"}, "'enabled', 'disabled'"),
        ({"name": "a'b", "active": True}, "should match pattern"),
        ({"name": "ssh", "state": "masked", "active": True}, "masked cannot be active"),
    ],
)
def test_wrong_assertions(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ServiceAssertion.model_validate(asked)


def test_activity_is_of_a_running_guest() -> None:
    assert ServiceAssertion(name="ssh", active=True).unfit("offline")
    assert ServiceAssertion(name="ssh", active=True).unfit("live") is None
    assert ServiceAssertion(name="ssh", state="enabled").unfit("offline") is None
