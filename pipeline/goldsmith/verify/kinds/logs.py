"""The kind log_line: what stands in a log file or in the journal."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
import zlib
from typing import Literal, Self

from pydantic import Field, model_validator

from goldsmith.errors import HarnessError
from goldsmith.verify import journal
from goldsmith.verify.compare import Finding, Regex, Strict, shown
from goldsmith.verify.kinds.files import AbsolutePath, listed
from goldsmith.verify.subjects import TIMED_OUT, LiveGuest
from goldsmith.verify.tree import Tree

#: characters of the packed log that the guest's channel brings, and bytes that may come of it
_PACKED_LIMIT = 1_000_000
_LOG_LIMIT = 64 * 2**20
_LONGEST_SHOWN = 300
_END = "end"


class Journal(Strict):
    """A part of the journal; all of it where nothing is given."""

    unit: str | None = Field(default=None, pattern=r"^[A-Za-z0-9:_.@\\-]+$", description="Only what this unit said")
    kernel: bool = Field(default=False, description="Only what the kernel said")
    boot: Literal["current", "all"] = Field(default="current", description="current: the last boot that is in it")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.unit is not None and self.kernel:
            raise ValueError("unit and kernel cannot stand together")
        return self

    @property
    def arguments(self) -> list[str]:
        """For journalctl: the messages, one after another, and nothing else."""
        chosen = ["-q", "--no-pager", "-a", "-o", "cat"]
        chosen += ["-b"] if self.boot == "current" else []
        chosen += [f"--unit={self.unit}"] if self.unit else []
        # Not -k, which means this boot, too.
        return [*chosen, *(["_TRANSPORT=kernel"] if self.kernel else [])]


class LogLineAssertion(Strict):
    """Lines of a log in which a regular expression is found."""

    file: AbsolutePath | None = None
    journal: Journal | None = Field(default=None, description="{} is all of this boot")
    pattern: Regex = Field(description="Searched in each line; in the journal, of the messages alone")
    found: bool = Field(default=True, description="false: in no line")
    count: int | None = Field(default=None, ge=0, description="In exactly so many lines")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.file is None) == (self.journal is None):
            raise ValueError("give file or journal")
        if self.count is not None and not self.found:
            raise ValueError("count cannot stand with found: false")
        return self


def log_line(assertion: LogLineAssertion, tree: Tree) -> list[Finding]:
    if assertion.journal is not None:
        return _compared(assertion, journal.messages(tree, assertion.journal.arguments))
    assert assertion.file is not None
    if tree.stat(assertion.file) is None:
        return _no_file(assertion)
    return _compared(assertion, tree.read(assertion.file).decode(errors="replace"))


def log_line_live(assertion: LogLineAssertion, guest: LiveGuest) -> list[Finding]:
    if assertion.file is not None:
        path = shlex.quote(assertion.file)
        read, test = f"cat -- {path}", f"[ -f {path} ]"
    else:
        assert assertion.journal is not None
        read, test = shlex.join(["journalctl", *assertion.journal.arguments]), "true"
    # Packed, because the channel is a serial line; what follows tells whether it was read and is whole.
    script = f"{test} || {{ echo absent; exit 0; }}; {{ {{ {read}; echo $? >&2; }} | gzip -c | base64 -w0; echo; "
    result = guest.run(f"{script}echo {_END}; }} | head -c {_PACKED_LIMIT}")
    if result.stdout == "absent\n":
        return _no_file(assertion)
    packed, _, end = result.stdout.partition("\n")
    where = assertion.file or "the journal"
    if result.returncode == TIMED_OUT:
        raise HarnessError("took too long to read in the guest, and was ended", where=where)
    if end != f"{_END}\n":
        hint = "name a unit" if assertion.journal else "look at it in layer shutdown, on the disk"
        raise HarnessError("is too long to be brought out of the guest", where=where, hint=hint)
    if result.stderr.split()[-1:] != ["0"]:
        raise HarnessError(f"cannot be read in the guest: {shown(result.stderr)}", where=where)
    return _compared(assertion, _unpacked(packed, where))


def _unpacked(packed: str, where: str) -> str:
    # What the guest says may unfold to any length.
    unpack = zlib.decompressobj(wbits=31)
    try:
        text = unpack.decompress(base64.b64decode(packed.encode(), validate=True), _LOG_LIMIT)
    except (binascii.Error, UnicodeEncodeError, zlib.error) as error:
        raise HarnessError(f"came damaged out of the guest: {error}", where=where) from error
    if not unpack.eof:
        raise HarnessError(f"is larger than {_LOG_LIMIT // 2**20} MiB, or not whole", where=where)
    return text.decode(errors="replace")


def _no_file(assertion: LogLineAssertion) -> list[Finding]:
    """A log that is not there has no lines; for a check that wants none, that is still no proof."""
    return [Finding(f"{assertion.file} is there", "no file of this name")]


def _compared(assertion: LogLineAssertion, text: str) -> list[Finding]:
    regex = re.compile(assertion.pattern)
    where = assertion.file or "the journal"
    # Only newlines part lines: splitlines would part them at a form feed, too.
    lines = text.split("\n")
    hits = [line[:_LONGEST_SHOWN] for line in lines if regex.search(line)]
    seen = listed(hits) or f"in none of {sum(map(bool, lines))} lines"
    if assertion.count is not None:
        if len(hits) == assertion.count:
            return []
        return [Finding(f"{assertion.count} lines of {where} match {assertion.pattern!r}", f"{len(hits)}:\n{seen}")]
    if bool(hits) == assertion.found:
        return []
    expected = "a line" if assertion.found else "no line"
    return [Finding(f"{expected} of {where} matches {assertion.pattern!r}", seen)]
