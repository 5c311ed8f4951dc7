"""Kinds that ask the running guest: command, unit, kernel_argument, sysctl."""

from __future__ import annotations

import time
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from goldsmith.host.deadline import Deadline
from goldsmith.verify.compare import Comparators, Finding, Strict, shown
from goldsmith.verify.subjects import COMMAND_SECONDS, TIMED_OUT, LiveGuest, Result

_RETRY_INTERVAL = 2.0
#: what is-enabled counts as enabled: started of its own accord (man 1 systemctl)
_ENABLED = {"enabled", "enabled-runtime", "alias", "generated"}

_Word = Annotated[str, Field(pattern=r"^\S+$")]


class CommandAssertion(Strict):
    """A shell command in the guest, as root."""

    run: str = Field(min_length=1)
    returncode: int = Field(default=0, ge=0, le=255)
    stdout: Comparators | None = None
    stderr: Comparators | None = None
    retry_seconds: float = Field(
        default=0, ge=0, le=600, description="Run it again until the check holds, this long on the reference host"
    )


class UnitAssertion(Strict):
    """State of a systemd unit."""

    name: str = Field(pattern=r"^[A-Za-z0-9:_.@\\-]+\.[a-z]+$", description="With its suffix, such as ssh.service")
    enabled: bool | None = None
    active: bool | None = None
    result: Literal["success", "exit-code", "signal", "timeout", "start-limit-hit", "core-dump"] | None = None

    @model_validator(mode="after")
    def _something_is_asked(self) -> Self:
        if self.enabled is None and self.active is None and self.result is None:
            raise ValueError("asks nothing: give enabled, active or result")
        return self


class KernelArgumentAssertion(Strict):
    """Words of /proc/cmdline, on a disk those of each entry of GRUB's menu.

    A word without "=" stands for itself and for itself with any value.
    """

    present: tuple[_Word, ...] = Field(default=(), description="Each stands there, and no word twice")
    absent: tuple[_Word, ...] = ()

    @model_validator(mode="after")
    def _something_is_named(self) -> Self:
        if not self.present and not self.absent:
            raise ValueError("names nothing: give present or absent")
        return self


class SysctlAssertion(Strict):
    """A value below /proc/sys, on a disk the one that sysctl.d(5) sets."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]+([./][a-zA-Z0-9_.-]+)+$", description="Such as net.ipv4.ip_forward")
    equals: str | int = Field(description="Space between several numbers does not count")


def command(assertion: CommandAssertion, guest: LiveGuest) -> list[Finding]:
    deadline = Deadline.after(assertion.retry_seconds * guest.scale)
    while True:
        findings = _command_once(assertion, guest.run(assertion.run))
        if not findings or deadline.passed:
            return findings
        time.sleep(min(_RETRY_INTERVAL, deadline.remaining()))


def _command_once(assertion: CommandAssertion, result: Result) -> list[Finding]:
    findings = []
    if result.returncode == TIMED_OUT and assertion.returncode != TIMED_OUT:
        return [Finding("the command ends", f"it still ran and was ended (after {COMMAND_SECONDS:.0f} s, scaled)")]
    if result.returncode != assertion.returncode:
        said = shown(result.stderr if result.stderr.strip() else result.stdout)
        findings.append(Finding(f"the command exits {assertion.returncode}", f"exits {result.returncode}: {said}"))
    if assertion.stdout is not None:
        findings += assertion.stdout.findings("stdout", result.stdout)
    if assertion.stderr is not None:
        findings += assertion.stderr.findings("stderr", result.stderr)
    return findings


def unit_state(name: str, guest: LiveGuest) -> dict[str, str]:
    """The properties of a unit that tell its state, by their names; aliases are followed."""
    wanted = "LoadState,UnitFileState,ActiveState,SubState,Result"
    text = guest.output(f"systemctl show --no-pager -p {wanted} -- '{name}'")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def unit(assertion: UnitAssertion, guest: LiveGuest) -> list[Finding]:
    state = unit_state(assertion.name, guest)
    seen = ", ".join(f"{key}={value}" for key, value in sorted(state.items()))
    loaded = state.get("LoadState") == "loaded"
    findings = []

    def that(holds: bool, expected: str) -> None:
        if not holds:
            findings.append(Finding(f"{assertion.name} {expected}", seen))

    if assertion.enabled is not None:
        enabled = loaded and state.get("UnitFileState") in _ENABLED
        that(enabled == assertion.enabled, "is enabled" if assertion.enabled else "is not enabled")
    if assertion.active is not None:
        active = state.get("ActiveState") in ("active", "reloading")
        # "activating" is neither: a unit that still starts must not pass as one that is off.
        idle = state.get("ActiveState") in ("inactive", "failed")
        that(active if assertion.active else idle, "is active" if assertion.active else "is not active")
    if assertion.result is not None:
        # A unit that does not exist shows Result=success.
        that(loaded and state.get("Result") == assertion.result, f"has the result {assertion.result}")
    return findings


def kernel_argument(assertion: KernelArgumentAssertion, guest: LiveGuest) -> list[Finding]:
    return arguments(assertion, guest.output("cat /proc/cmdline").strip(), "the kernel")


def arguments(assertion: KernelArgumentAssertion, line: str, who: str) -> list[Finding]:
    """What does not hold of a kernel's arguments; ``who`` has them."""
    words = line.split()
    findings = []
    for wanted in assertion.present:
        found = [word for word in words if _stands_for(wanted, word)]
        if not found:
            findings.append(Finding(f"{who} has {wanted}", line))
        elif len(found) != len(set(found)):
            findings.append(Finding(f"{who} has {wanted} once", line))
    for unwanted in assertion.absent:
        if any(_stands_for(unwanted, word) for word in words):
            findings.append(Finding(f"{who} does not have {unwanted}", line))
    return findings


def _stands_for(wanted: str, word: str) -> bool:
    return word == wanted or ("=" not in wanted and word.startswith(f"{wanted}="))


def sysctl(assertion: SysctlAssertion, guest: LiveGuest) -> list[Finding]:
    # As sysctl(8): with a slash in it the name is a path, else dots separate.
    name = assertion.name
    path = "/proc/sys/" + (name if "/" in name else name.replace(".", "/"))
    result = guest.run(f"cat '{path}'")
    if result.returncode != 0:
        return [Finding(f"{name} is {assertion.equals}", shown(result.stderr))]
    if result.stdout.split() != str(assertion.equals).split():
        return [Finding(f"{name} is {assertion.equals}", shown(result.stdout))]
    return []
