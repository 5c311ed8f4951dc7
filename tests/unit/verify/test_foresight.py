"""What checks ask, asked at once: by a real shell, in place of the guest's."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from verify_standins import FakeShell, Said

from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.verify.evaluate import findings
from goldsmith.verify.foresight import Foresight, together
from goldsmith.verify.model import BoundCheck, parse
from goldsmith.verify.subjects import LiveGuest


@dataclass
class LocalShell:
    """Runs commands here, and counts how often it was asked."""

    folder: Path
    asked: list[str] = field(default_factory=list)

    def run(self, command: str, deadline: Deadline) -> Said:
        self.asked.append(command)
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=self.folder, capture_output=True, env={"PATH": "/usr/bin:/bin"}, timeout=60
        )
        return Said(done.stdout.decode(errors="replace"), done.returncode, done.stderr.decode(errors="replace"))


@pytest.fixture
def shell(tmp_path: Path) -> LocalShell:
    return LocalShell(tmp_path)


def check(name: str, **assertion: Any) -> BoundCheck:
    return parse("element", name, {"id": name, "says": "it is as it should be", **assertion})


def command(name: str, run: str, **expected: Any) -> BoundCheck:
    return check(name, command={"run": run, **expected})


def looked(foresight: Foresight, bound: BoundCheck) -> list[str]:
    return [finding.seen for finding in findings(bound.check.assertion, foresight.subject())]


def test_many_checks_cost_one_round_trip(shell: LocalShell) -> None:
    checks = [command(f"c{number}", f"echo {number}", stdout={"equals": str(number)}) for number in range(20)]
    checks.append(command("wrong", "echo this; echo that >&2; exit 3", stdout={"equals": "that"}))
    foresight = Foresight(LiveGuest(shell))
    foresight.prepare(checks)
    assert len(shell.asked) == 1
    results = [looked(foresight, bound) for bound in checks]
    assert len(shell.asked) == 1
    assert results[:20] == [[]] * 20
    assert any("this" in text or "3" in text for text in results[20])


def test_what_depends_on_an_answer_is_foreseen_too(shell: LocalShell) -> None:
    """A route's check asks for the NICs first."""
    checks = [
        check("route", route={"family": "ipv4", "destination": "192.0.2.0/24", "count": 0}),
        command("other", "true"),
    ]
    alone = LiveGuest(LocalShell(shell.folder))
    expected = [[f.seen for f in findings(bound.check.assertion, alone)] for bound in checks]
    foresight = Foresight(LiveGuest(shell))
    foresight.prepare(checks)
    before = len(shell.asked)
    assert before <= 3
    assert [looked(foresight, bound) for bound in checks] == expected
    assert len(shell.asked) == before


def test_a_check_that_waits_for_a_change_sees_it(shell: LocalShell) -> None:
    """The answer that was foreseen is used once; then the guest is asked again."""
    wait = command("wait", "cat late", stdout={"equals": "there"}, retry_seconds=30)
    foresight = Foresight(LiveGuest(shell))
    foresight.prepare([wait, command("other", "true")])
    (shell.folder / "late").write_text("there\n")
    assert looked(foresight, wait) == []
    assert len(shell.asked) == 2


def test_outputs_are_whole_or_asked_for_alone(shell: LocalShell) -> None:
    words = ["head -c 200000 /dev/zero | tr '\\0' x", "printf '\\377\\n'", "true", "echo 'a b'; echo \"it's\""]
    found = together(LiveGuest(shell), words)
    assert words[0] not in found, "too long to be carried"
    assert found[words[1]].stdout == "\ufffd\n"
    assert (found[words[2]].returncode, found[words[2]].stdout) == (0, "")
    assert found[words[3]].stdout == "a b\nit's\n"
    long = command("long", words[0], stdout={"matches": "^x{200000}$"})
    foresight = Foresight(LiveGuest(shell))
    foresight.prepare([long, command("other", "true")])
    assert looked(foresight, long) == []


def test_commands_have_no_stdin_of_each_other_and_leave_nothing(shell: LocalShell) -> None:
    found = together(LiveGuest(shell), ["cat", "echo one", "exit 7", "echo three", "kill -9 $$", "echo five"])
    assert found["cat"].stdout == ""
    assert found["echo one"].stdout == "one\n"
    assert found["echo three"].stdout == "three\n"
    assert not list(shell.folder.iterdir())


@pytest.mark.parametrize(
    "answer",
    [
        Said(returncode=1),
        Said(""),
        Said("not base64!"),
        Said("aGVsbG8="),
        # 64 MiB of zeroes, gzipped.
        Said(
            subprocess.run(
                "head -c 67108864 /dev/zero | gzip -9 | base64", shell=True, capture_output=True, text=True
            ).stdout
        ),
    ],
    ids=["fails", "empty", "garbage", "no-archive", "bomb"],
)
def test_a_guest_that_cannot_or_lies_is_asked_one_by_one(answer: Said) -> None:
    shell = FakeShell({"mktemp": answer, "probe": Said("ok\n")})
    foresight = Foresight(LiveGuest(shell))
    checks = [command("a", "probe a", stdout={"equals": "ok"}), command("b", "probe b", stdout={"equals": "ok"})]
    foresight.prepare(checks)
    assert [looked(foresight, bound) for bound in checks] == [[], []]
    assert shell.asked[-2:] == ["probe a", "probe b"]


@pytest.mark.parametrize("error", [HarnessError("the machine ended"), DeadlineError("silence", 600)])
def test_a_guest_that_is_lost_is_found_out_by_the_checks(error: HarnessError) -> None:
    class Lost:
        def run(self, command: str, deadline: Deadline) -> Said:
            raise error

    foresight = Foresight(LiveGuest(Lost()))
    checks = [command("a", "probe a"), command("b", "probe b")]
    foresight.prepare(checks)
    with pytest.raises(HarnessError):
        looked(foresight, checks[0])


def test_one_check_alone_is_asked_as_ever(shell: LocalShell) -> None:
    foresight = Foresight(LiveGuest(shell))
    foresight.prepare([command("a", "true")])
    assert shell.asked == []
