"""The kind port: whether somebody in the guest listens, as ss(8) or the kernel's own tables have it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from goldsmith.errors import HarnessError
from goldsmith.verify.compare import Finding, Strict
from goldsmith.verify.kinds.files import listed
from goldsmith.verify.subjects import LiveGuest

#: states of a socket that takes what comes: TCP_LISTEN, and TCP_CLOSE for UDP (include/net/tcp_states.h)
_STATES = {"tcp": "0A", "udp": "07"}
_PROCESS = re.compile(r'\("((?:[^"\\]|\\.)*)",pid=')
#: whose sockets they are, in two processes: a guest may have thousands of open files; some vanish meanwhile
_OWNERS = (
    "echo owners; find /proc/[0-9]*/fd -lname 'socket:*' -printf '%p %l\\n' 2>/dev/null; "
    "grep -H '' /proc/[0-9]*/comm 2>/dev/null; true"
)
_OWNER = re.compile(r"^/proc/(\d+)/fd/\d+ socket:\[(\d+)\]$", re.MULTILINE)
_NAME = re.compile(r"^/proc/(\d+)/comm:(.*)$", re.MULTILINE)
_ANY = {"0.0.0.0", "::"}


def _is_address(text: str) -> str:
    return str(ipaddress.ip_address(text))


class PortAssertion(Strict):
    """Whether a TCP or UDP port listens."""

    port: int = Field(ge=1, le=65535)
    protocol: Literal["tcp", "udp"] = "tcp"
    listening: bool = True
    address: Annotated[str, AfterValidator(_is_address)] | None = Field(
        default=None, description="Bound to exactly this; 0.0.0.0 and :: are all addresses of the family"
    )
    process: str | None = Field(
        default=None, pattern=r"^[^\s\"/]{1,15}$", description="Name of the program that listens, at most 15 characters"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.listening and self.process is not None and self.address is not None:
            raise ValueError("listening: false goes with address or process, not with both")
        return self


@dataclass(frozen=True)
class _Socket:
    #: without the zone; "*" is every address of both families
    address: str
    port: int
    processes: tuple[str, ...]

    def __str__(self) -> str:
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{shown}:{self.port} {', '.join(self.processes)}".rstrip()


def port(assertion: PortAssertion, guest: LiveGuest) -> list[Finding]:
    table = "-t" if assertion.protocol == "tcp" else "-u"
    tables = f"/proc/net/{assertion.protocol}"
    # Whose they are takes a look at every open file of the guest.
    flag, owners = ("-p", f"; {_OWNERS}") if assertion.process else ("", "")
    text = guest.output(
        f"if command -v ss >/dev/null; then echo ss; ss -H -l -n {flag} {table}; "
        f"else echo proc; for f in {tables} {tables}6; do [ ! -r $f ] || {{ echo table; cat $f; }}; done{owners}; fi"
    )
    tool, _, rest = text.partition("\n")
    if tool not in ("ss", "proc"):
        raise HarnessError(f"the guest's answer cannot be read: {text[:200]!r}", where=f"port {assertion.port}")
    read = _from_ss if tool == "ss" else _from_proc
    try:
        sockets = [each for each in read(rest, assertion.protocol) if each.port == assertion.port]
    except (ValueError, IndexError) as error:
        raise HarnessError(f"the guest's table of sockets cannot be read: {error}", where=text[:300]) from error
    found = [each for each in sockets if _fits(assertion, each, told_apart=tool == "ss")]
    if bool(found) == assertion.listening:
        return []
    seen = listed([str(each) for each in sockets]) or f"nobody listens on {assertion.protocol} port {assertion.port}"
    return [Finding(_sentence(assertion), seen)]


def _sentence(assertion: PortAssertion) -> str:
    verb = "listens" if assertion.listening else "does not listen"
    where = f" on {assertion.address}" if assertion.address else ""
    by = f"{assertion.process} " if assertion.process else ""
    return (
        f"{by}{verb} on {assertion.protocol} port {assertion.port}{where}"
        if by
        else (f"{assertion.protocol} port {assertion.port} {verb}{where}")
    )


def _fits(assertion: PortAssertion, socket: _Socket, *, told_apart: bool) -> bool:
    if assertion.process is not None and assertion.process not in socket.processes:
        return False
    if assertion.address is None or assertion.address == socket.address:
        return True
    if assertion.address == "0.0.0.0" and socket.address == "::" and not told_apart:
        raise HarnessError(
            "the kernel's table does not tell whether a socket of all IPv6 addresses takes IPv4, too",
            where=str(socket),
            hint="ask for :: or for no address, or install iproute2 in the image",
        )
    return socket.address == "*" and assertion.address in _ANY


def _from_ss(text: str, protocol: str) -> Iterator[_Socket]:
    for line in text.splitlines():
        if not line.strip():
            continue
        _, _, _, local, *_ = line.split()
        address, _, number = local.rpartition(":")
        address = address.strip("[]").partition("%")[0].strip("[]")
        names = tuple(dict.fromkeys(_PROCESS.findall(line)))
        yield _Socket(address if address == "*" else str(ipaddress.ip_address(address)), int(number), names)


def _from_proc(text: str, protocol: str) -> Iterator[_Socket]:
    """Tables of proc_net_tcp (Documentation/networking) and whose sockets they are."""
    head, _, rest = text.partition("\nowners\n")
    names = dict(_NAME.findall(rest))
    owners: dict[str, list[str]] = {}
    for pid, inode in _OWNER.findall(rest):
        owners.setdefault(inode, []).append(names.get(pid, "?"))
    for line in head.splitlines():
        fields = line.split()
        if len(fields) < 10 or fields[3] != _STATES[protocol]:
            continue
        address, _, number = fields[1].partition(":")
        yield _Socket(_address(address), int(number, 16), tuple(dict.fromkeys(owners.get(fields[9], ()))))


def _address(text: str) -> str:
    """An address as the kernel prints it: words of 32 bits in the machine's byte order, little endian here."""
    raw = b"".join(bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8))
    return str(ipaddress.ip_address(raw))
