"""The guest agent's end: a stand-in that runs the commands here, and agents that refuse, lie or fall silent."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from goldsmith.boot.agent import AgentGuest
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline


@dataclass
class Agent:
    """Answers like qemu-ga; ``odd`` replaces the answer to a command."""

    line: socket.socket
    odd: dict[str, Callable[[dict[str, Any]], bytes | None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    results: dict[int, subprocess.CompletedProcess[bytes]] = field(default_factory=dict)

    def serve(self) -> None:
        rest = b""
        # The test's end closes the line under it.
        with contextlib.suppress(OSError):
            while data := self.line.recv(65536):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._answer(json.loads(line.lstrip(b"\xff")))

    def _answer(self, request: dict[str, Any]) -> None:
        command, arguments = request["execute"], request["arguments"]
        self.asked.append(command)
        if command in self.odd:
            answer = self.odd[command](arguments)
            if answer is not None:
                self.line.sendall(answer)
            return
        if command == "guest-sync-delimited":
            self.line.sendall(b"\xff" + json.dumps({"return": arguments["id"]}).encode() + b"\n")
        elif command == "guest-exec":
            pid = len(self.results) + 100
            self.results[pid] = subprocess.run([arguments["path"], *arguments["arg"]], capture_output=True)
            self.line.sendall(json.dumps({"return": {"pid": pid}}).encode() + b"\n")
        else:
            done = self.results[arguments["pid"]]
            status = {
                "exited": True,
                "exitcode": done.returncode,
                "out-data": base64.b64encode(done.stdout).decode(),
                "err-data": base64.b64encode(done.stderr).decode(),
            }
            self.line.sendall(json.dumps({"return": status}).encode() + b"\n")


@pytest.fixture
def agent() -> Iterator[tuple[Agent, AgentGuest]]:
    ours, theirs = socket.socketpair()
    stand_in = Agent(ours)
    thread = threading.Thread(target=stand_in.serve, daemon=True)
    thread.start()
    guest = AgentGuest(theirs, last_words=lambda: "the console said nothing", scale=1.0)
    yield stand_in, guest
    guest.close()
    ours.close()
    thread.join(timeout=5)


def test_commands_run_and_bytes_are_bytes(agent: tuple[Agent, AgentGuest]) -> None:
    _, guest = agent
    assert len(guest.wait_ready(Deadline.after(10))) == 36
    result = guest.run("printf '\\377a'; echo wrong >&2; exit 3", Deadline.after(10))
    assert (result.returncode, result.stdout_bytes, result.stderr) == (3, b"\xffa", "wrong\n")
    assert guest.run("true", Deadline.after(10)).returncode == 0


def test_what_was_said_before_us_does_not_count(agent: tuple[Agent, AgentGuest]) -> None:
    stand_in, guest = agent
    stand_in.line.sendall(b'garbage\n{"return": 7}\n[1]\nhalf of somebody else')
    guest.wait_ready(Deadline.after(10))
    assert guest.run("echo here", Deadline.after(10)).stdout == "here\n"


def test_an_output_that_is_too_long_is_cut_and_said(agent: tuple[Agent, AgentGuest]) -> None:
    _, guest = agent
    result = guest.run("head -c 2000000 /dev/zero", Deadline.after(30))
    assert result.cut
    assert len(result.stdout_bytes) == 2**20


def test_a_command_that_takes_too_long_is_ended_in_the_guest(agent: tuple[Agent, AgentGuest]) -> None:
    _, guest = agent
    assert shutil.which("timeout")
    with pytest.raises(DeadlineError, match="sleep 30"):
        guest.run("sleep 30", Deadline.after(1))


def test_an_agent_that_lets_nobody_run_commands_is_named(agent: tuple[Agent, AgentGuest]) -> None:
    stand_in, guest = agent
    refusal = {"error": {"class": "CommandNotFound", "desc": "Command guest-exec has been disabled"}}
    stand_in.odd["guest-exec"] = lambda arguments: json.dumps(refusal).encode() + b"\n"
    with pytest.raises(HarnessError, match="refuses guest-exec: Command guest-exec has been disabled"):
        guest.wait_ready(Deadline.after(10))


@pytest.mark.parametrize(
    "answer", [b'{"return": 5}\n', b'{"return": {"exited": true, "out-data": "!"}}\n', b'{"return": []}\n']
)
def test_an_agent_that_lies_is_an_error(agent: tuple[Agent, AgentGuest], answer: bytes) -> None:
    stand_in, guest = agent
    stand_in.odd["guest-exec-status"] = lambda arguments: answer
    with pytest.raises(HarnessError, match="the guest agent"):
        guest.run("true", Deadline.after(5))


def test_no_agent_is_a_deadline_with_the_consoles_words(agent: tuple[Agent, AgentGuest]) -> None:
    stand_in, guest = agent
    stand_in.odd["guest-sync-delimited"] = lambda arguments: None
    with pytest.raises(DeadlineError, match="qemu-ga must run") as caught:
        guest.wait_ready(Deadline.after(0.5))
    assert "the console said nothing" in str(caught.value)


def test_a_machine_that_ends_is_noticed(agent: tuple[Agent, AgentGuest]) -> None:
    stand_in, guest = agent
    stand_in.odd["guest-exec"] = lambda arguments: stand_in.line.shutdown(socket.SHUT_RDWR)
    with pytest.raises(HarnessError, match="the machine ended"):
        guest.run("true", Deadline.after(20))


def test_a_reboot_is_another_boot(agent: tuple[Agent, AgentGuest]) -> None:
    stand_in, guest = agent
    first = guest.wait_ready(Deadline.after(10))
    with pytest.raises(DeadlineError, match="did not come back"):
        guest.wait_ready(Deadline.after(1), after=first)
    assert stand_in.asked.count("guest-exec") > 1
    assert guest.wait_ready(Deadline.after(10), after="another") == first
