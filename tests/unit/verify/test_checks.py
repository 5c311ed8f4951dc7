from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest

from goldsmith.errors import InputError
from goldsmith.verify.model import DEFAULTS, LAYERS, Check, json_schema, parse, parse_all

SAYS = "the guest is as it should be"
#: not jsonschema.validate, which looks at all of the schema each time
VALIDATOR = jsonschema.Draft202012Validator(json_schema())
GOOD: dict[str, dict[str, Any]] = {
    "file": {"path": "/etc/hostname", "exists": False},
    "absent": {"paths": ["/etc/ssh/ssh_host_*"]},
    "package": {"name": "libstdc++6"},
    "residue": {"severity": "secret", "ignore": ["passwords"]},
    "registry": {"key": "HKLM\\SYSTEM\\Select", "value": "Current", "type": "REG_DWORD", "equals": 1},
    "service": {"name": "ssh", "state": "enabled"},
    "command": {"run": "true"},
    "unit": {"name": "serial-getty@ttyS0.service", "active": True},
    "kernel_argument": {"present": ["console=ttyS0,115200"]},
    "sysctl": {"name": "net.ipv4.ip_forward", "equals": 0},
    "route": {"family": "ipv4", "destination": "default", "count": 1, "device": "first"},
    "address": {"device": "first", "present": ["10.20.0.5/24"]},
    "port": {"port": 22, "address": "0.0.0.0", "process": "sshd"},
    "mount": {"path": "/tmp", "fstype": "tmpfs", "options": ["nodev"]},
    "log_line": {"journal": {"unit": "ssh"}, "pattern": "^Server listening"},
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
    assert bound.check.where == DEFAULTS.get(kind, LAYERS[kind])
    VALIDATOR.validate({"checks": [spec(kind)]})


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_schema_takes_one_where_several_may_stand() -> None:
    one = spec("command", layers="live", firmware="bios")
    one["command"] = {"run": "true", "stdout": {"contains": "x", "matches": "y"}}
    parse("x", "a-check", one)
    VALIDATOR.validate({"checks": [one]})
    for key, wrong in (("layers", "life"), ("firmware", "coreboot"), ("firmware", [])):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate({"checks": [{**one, key: wrong}]})


@pytest.mark.parametrize("kind", DEFAULTS)
def test_a_kind_stands_in_each_of_its_layers(kind: str) -> None:
    assert set(DEFAULTS[kind]) <= set(LAYERS[kind])
    for layer in LAYERS[kind]:
        assert parse("x", "a-check", spec(kind, layers=[layer])).check.where == (layer,)


def test_what_the_elements_have_costs_no_more() -> None:
    """A check without ``layers`` is evaluated where it was before its kind could stand elsewhere."""
    assert all(DEFAULTS[kind] == ("offline", "shutdown") for kind in ("file", "absent", "package"))
    assert all(DEFAULTS[kind] == ("live",) for kind in ("kernel_argument", "sysctl"))


def test_a_check_is_evaluated_only_where_it_can_be() -> None:
    both = {"id": "a-check", "says": SAYS, "service": {"name": "ssh", "state": "enabled"}}
    assert parse("x", "a-check", both).check.where == ("offline", "live")
    live = {**both, "service": {"name": "ssh", "state": "enabled", "active": True}}
    assert parse("x", "a-check", live).check.where == ("live",)


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
        (spec("file", layers=["screen"]), "file is evaluated in offline or shutdown or live, not in screen"),
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
        (
            {"id": "a-check", "says": SAYS, "service": {"name": "ssh", "active": True}, "layers": ["live", "offline"]},
            "layers: not in offline: only a running system has active units",
        ),
        (spec("port", layers=["offline"]), "port is evaluated in live, not in offline"),
        (spec("registry", layers=["live"]), "registry is evaluated in offline or shutdown, not in live"),
        ({"id": "a-check", "says": SAYS, "screen": {"text": {}}}, "compares nothing"),
        (
            {"id": "a-check", "says": SAYS, "screen": {"text": {"contains": "x"}, "text_mode": False}},
            "text can be read in text mode only",
        ),
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
