from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest

from goldsmith.errors import InputError
from goldsmith.verify.model import LAYERS, Check, json_schema, parse, parse_all

SAYS = "the guest is as it should be"
GOOD: dict[str, dict[str, Any]] = {
    "file": {"path": "/etc/hostname", "exists": False},
    "absent": {"paths": ["/etc/ssh/ssh_host_*"]},
    "package": {"name": "libstdc++6"},
    "residue": {"severity": "secret", "ignore": ["passwords"]},
    "command": {"run": "true"},
    "unit": {"name": "serial-getty@ttyS0.service", "active": True},
    "kernel_argument": {"present": ["console=ttyS0,115200"]},
    "sysctl": {"name": "net.ipv4.ip_forward", "equals": 0},
    "route": {"family": "ipv4", "destination": "default", "count": 1, "device": "first"},
    "address": {"device": "first", "present": ["10.20.0.5/24"]},
    "screen": {"width": 720},
    "metadata": {"max_requests": 40},
}


def spec(kind: str, **more: Any) -> dict[str, Any]:
    return {"id": "a-check", "says": SAYS, kind: GOOD[kind], **more}


@dataclass(frozen=True)
class Planned:
    element: str
    id: str
    spec: dict[str, Any]


@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_is_read(kind: str) -> None:
    bound = parse("networkd", "a-check", spec(kind))
    assert bound.name == "networkd/a-check"
    assert bound.check.kind == kind
    assert bound.check.where == LAYERS[kind]
    jsonschema.validate({"checks": [spec(kind)]}, json_schema())


def test_layers_and_firmware_narrow_a_check() -> None:
    check = parse("x", "a-check", spec("file", layers=["offline"], firmware="bios")).check
    assert check.where == ("offline",)
    assert check.firmware == ("bios",)
    assert Check.model_validate(spec("file")).firmware == ("bios", "uefi")


def test_what_the_plan_resolved_may_stand() -> None:
    assert parse("x", "a-check", spec("file", when="yes", for_each=[1])).check.kind == "file"


def problems(planned: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    with pytest.raises(InputError) as caught:
        parse("networkd", "a-check", planned)
    assert {problem.file for problem in caught.value.problems} == {"elements/networkd/checks.yaml"}
    return [(problem.path, problem.message, problem.suggestion) for problem in caught.value.problems]


def test_an_unknown_key_has_a_suggestion() -> None:
    assert problems(spec("file", firmwares=["bios"])) == [
        ("a-check.firmwares", "is not known here", "did you mean firmware")
    ]
    wrong = {**spec("file"), "file": {"path": "/x", "content": {"equal": "y"}}}
    assert ("a-check.file.content.equal", "is not known here", "did you mean equals") in problems(wrong)


@pytest.mark.parametrize(
    ("planned", "message"),
    [
        ({"id": "a-check", "says": SAYS}, "a check has one assertion, none is given"),
        (spec("file", command={"run": "true"}), "file and command are several"),
        (spec("file", layers=["live"]), "file is evaluated in offline or shutdown, not in live"),
        (spec("command", layers=["offline"]), "command is evaluated in live, not in offline"),
        ({"id": "a-check", "says": SAYS, "file": {"path": "etc/hostname"}}, "should match pattern"),
        ({"id": "a-check", "says": SAYS, "file": {"path": "/x", "mode": 420}}, "valid string"),
        ({"id": "a-check", "says": SAYS, "file": {"path": "/x", "mode": "0999"}}, "should match pattern"),
        ({"id": "a-check", "says": SAYS, "file": {"path": "/x", "exists": False, "mode": "0644"}}, "cannot stand with"),
        ({"id": "a-check", "says": SAYS, "file": {"path": "/x", "content": {}}}, "compares nothing"),
        ({"id": "a-check", "says": SAYS, "absent": {}}, "names nothing"),
        (
            {"id": "a-check", "says": SAYS, "absent": {"content": [{"glob": "/x", "pattern": "["}]}},
            "regular expression",
        ),
        ({"id": "a-check", "says": SAYS, "unit": {"name": "ssh.service"}}, "asks nothing"),
        ({"id": "a-check", "says": SAYS, "unit": {"name": "ssh", "active": True}}, "should match pattern"),
        ({"id": "a-check", "says": SAYS, "unit": {"name": "a'b.service", "active": True}}, "should match pattern"),
        ({"id": "a-check", "says": SAYS, "kernel_argument": {}}, "names nothing"),
        ({"id": "a-check", "says": SAYS, "screen": {}}, "asks nothing"),
        ({"id": "a-check", "says": SAYS, "screen": {"echo": "hello", "text_mode": False}}, "text mode only"),
        ({"id": "a-check", "says": SAYS, "metadata": {"min_requests": 0}}, "bounds nothing"),
        ({"id": "a-check", "says": SAYS, "address": {"device": "first", "present": []}}, "at least 1"),
        ({"id": "a-check", "says": SAYS, "address": {"device": "first", "present": ["10.20.0"]}}, "IPv4 or IPv6"),
        (
            {"id": "a-check", "says": SAYS, "route": {"family": "ipv6", "destination": "10.0.0.0/8"}},
            "10.0.0.0/8 is not ipv6",
        ),
        (
            {"id": "a-check", "says": SAYS, "route": {"family": "ipv4", "destination": "10.0.0.1/8"}},
            "host bits set",
        ),
        (
            {
                "id": "a-check",
                "says": SAYS,
                "route": {"family": "ipv4", "destination": "default", "count": 0, "device": "first"},
            },
            "count: 0 cannot stand with device",
        ),
        ({**spec("file"), "says": ""}, "at least 8"),
        ({**spec("file"), "firmware": []}, "at least 1"),
        ({**spec("file"), "firmware": ["coreboot"]}, "'bios' or 'uefi'"),
    ],
)
def test_wrong_checks_are_refused(planned: dict[str, Any], message: str) -> None:
    assert message in "\n".join(text for _, text, _ in problems(planned))


def test_all_checks_problems_come_at_once() -> None:
    good = Planned("networkd", "a-check", spec("file"))
    bad = Planned("networkd", "b-check", {**spec("file"), "file": {"pathh": "/x"}})
    with pytest.raises(InputError) as caught:
        parse_all([good, bad, good])
    assert [problem.path for problem in caught.value.problems] == ["b-check.file.path", "b-check.file.pathh", "a-check"]
    assert [bound.name for bound in parse_all([good])] == ["networkd/a-check"]
