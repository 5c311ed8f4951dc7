"""The table and the document, and what the command makes of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goldsmith import cli
from goldsmith.boot.systems import System
from goldsmith.errors import HarnessError, InputError
from goldsmith.inspection import look, report
from goldsmith.inspection.image import Image
from goldsmith.inspection.look import Inspection, Seen
from goldsmith.verify.residue.rules import all_rules
from goldsmith.verify.residue.search import Residue

RULES = {rule.id: rule for rule in all_rules()}
_MOUNTS = {"/": "/dev/sda1", "/boot": "/b"}
DEBIAN = System("/dev/sda1", "linux", "debian", "Debian GNU/Linux 13", "13.0", "x86_64", _MOUNTS)
WINDOWS = System("/dev/sda2", "windows", "windows", "Windows Server 2022", "10.0", "x86_64", {"/": "/dev/sda2"})
IMAGE = Image(Path("/x.qcow2"), "qcow2", "ab" * 32, 3 * 2**20)
FOUND = (
    Residue(RULES["passwords"], "/etc/shadow", "root"),
    Residue(RULES["random-seed"], "/var/lib/systemd/random-seed"),
    *(Residue(RULES["logs"], f"/var/log/{number}.log") for number in range(20)),
)


def inspection(*seen: Seen) -> Inspection:
    return Inspection(IMAGE, seen, all_rules())


def test_the_table_is_by_severity() -> None:
    text = report.as_text(inspection(Seen(DEBIAN, FOUND)))
    assert text.startswith("/x.qcow2: qcow2, 3 MiB\nsha256 abab")
    assert "Debian GNU/Linux 13 (linux, x86_64), root file system /dev/sda1\n  also /boot on /b\n" in text
    assert text.index("secret:") < text.index("/etc/shadow (root)") < text.index("identity:") < text.index("trace:")
    assert "... and 12 more" in text
    assert text.endswith("residue: 22 found (1 secret, 1 identity, 20 trace), by 54 rules")


def test_nothing_found() -> None:
    text = report.as_text(inspection(Seen(DEBIAN, (), ("/srv",))))
    assert text.endswith("residue: none, by 54 rules")
    assert "not looked at, cannot be mounted: /srv" in text
    assert report.document(inspection(Seen(DEBIAN, ())))["clean"] is True


def test_windows_is_named_and_not_searched() -> None:
    text = report.as_text(inspection(Seen(WINDOWS, None)))
    assert "Windows Server 2022" in text
    assert "version 10.0; residue is not searched for: the rules are about Linux" in text
    assert text.endswith("residue: not searched for")
    document = report.document(inspection(Seen(WINDOWS, None)))
    assert document["systems"][0]["residue"] is None
    # Nobody may take an image for clean that nobody has searched.
    assert document["clean"] is None


def test_several_systems_are_told_apart() -> None:
    text = report.as_text(inspection(Seen(DEBIAN, FOUND[:1]), Seen(WINDOWS, None)))
    assert "2 operating systems are in it" in text
    assert text.index("/dev/sda1") < text.index("/dev/sda2")


def test_the_document_has_all() -> None:
    document = json.loads(json.dumps(report.document(inspection(Seen(DEBIAN, FOUND)))))
    assert (document["format"], document["sha256"], document["clean"]) == ("qcow2", "ab" * 32, False)
    (system,) = document["systems"]
    assert len(system["residue"]) == 22
    assert system["residue"][0] == {
        "severity": "secret",
        "rule": "passwords",
        "what": RULES["passwords"].what,
        "why": RULES["passwords"].says,
        "path": "/etc/shadow",
        "name": "root",
    }


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr("goldsmith.boot.accelerator.choose", lambda settings: type("A", (), {"scale": 1.0})())
    monkeypatch.setattr("goldsmith.inspection.image.examined", lambda path, scale: IMAGE)
    return monkeypatch


@pytest.mark.parametrize(("found", "status"), [((), 0), (FOUND, 1)])
def test_exit_status(
    prepared: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: tuple[Residue, ...], status: int
) -> None:
    prepared.setattr(look, "inspected", lambda image, rules, accelerator: inspection(Seen(DEBIAN, found)))
    assert cli.main(["inspect", "x.qcow2", "--json"]) == status
    assert json.loads(capsys.readouterr().out)["clean"] is not bool(status)


def test_rules_are_left_out(prepared: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given = []
    prepared.setattr(look, "inspected", lambda image, rules, acc: given.extend(rules) or inspection(Seen(DEBIAN, ())))
    assert cli.main(["inspect", "x.qcow2", "--ignore", "logs", "--ignore", "journal"]) == 0
    assert {"logs", "journal"} & {rule.id for rule in given} == set()
    assert len(given) == len(RULES) - 2


def test_wrong_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", "x.qcow2", "--ignore", "log"]) == 2
    assert "no residue rule `log`\n  hint: did you mean `logs`" in capsys.readouterr().err
    assert cli.main(["inspect"]) == 2
    assert "one of the arguments IMAGE --swift-object is required" in capsys.readouterr().err


class FakeAppliance:
    """Breaks when it is asked; ``alive`` says whether the appliance outlived it."""

    def __init__(self, systems: list[System] | None, alive: bool, *, dies: bool = False) -> None:
        self._systems = systems
        self._alive = alive and not dies

    def __enter__(self) -> FakeAppliance:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def systems(self) -> list[System]:
        if self._systems is None:
            raise HarnessError("input/output error\x1b[2J", where="/dev/sda1")
        return self._systems

    @contextlib.contextmanager
    def disk(self, name: str) -> Iterator[tuple[object, str]]:
        # Knows no question, so that no fact is known.
        yield BrokenHandle(), "/dev/sda"

    def answers(self) -> bool:
        return self._alive


class BrokenHandle:
    def __getattr__(self, name: str) -> Callable[..., object]:
        def fail(*words: object) -> object:
            raise RuntimeError(f"{name}: no answer")

        return fail


def inspect_with(monkeypatch: pytest.MonkeyPatch, fake: FakeAppliance) -> Inspection:
    monkeypatch.setattr("goldsmith.verify.appliance.launched", lambda disks, accelerator: fake)
    return look.inspected(IMAGE, all_rules(), type("A", (), {"scale": 1.0})())


def test_a_disk_that_cannot_be_read_is_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^/x.qcow2: /dev/sda1: cannot be read: input/output error\\x1b\[2J$"):
        inspect_with(monkeypatch, FakeAppliance(None, alive=True))


def test_an_appliance_that_died_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError, match="input/output error"):
        inspect_with(monkeypatch, FakeAppliance(None, alive=False))


def test_a_disk_without_a_system_is_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="holds no operating system"):
        inspect_with(monkeypatch, FakeAppliance([], alive=True))


BSD = System("/dev/sda1", "freebsd", "freebsd", "FreeBSD", "14.0", "x86_64", {"/": "/dev/sda1"})


def test_a_system_of_another_kind_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    assert inspect_with(monkeypatch, FakeAppliance([BSD], alive=True)).systems == (Seen(BSD, None),)


def test_facts_that_an_appliance_took_with_it_are_not_the_images_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeAppliance([BSD], alive=True, dies=True)
    with pytest.raises(HarnessError, match="the appliance ended while the image was looked at"):
        inspect_with(monkeypatch, fake)


def test_the_documentation_has_every_rule() -> None:
    text = (Path(__file__).parents[3] / "docs/inspect.md").read_text()
    assert [rule.id for rule in all_rules() if f"`{rule.id}`" not in text] == []
