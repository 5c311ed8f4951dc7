"""What checks will ask of a guest, asked at once: under emulation a round trip costs more than most commands do.

The checks are rehearsed: each runs until it asks what is not known yet, and what all of them want is run in the guest
by one script, on two processors.  Then they are rehearsed again, because what is asked next may depend on an answer; in
the end each is evaluated as ever, and finds its answers there.  What is not foreseen is asked as it comes.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import shlex
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from goldsmith.errors import GoldsmithError
from goldsmith.host.deadline import Deadline
from goldsmith.verify.evaluate import findings
from goldsmith.verify.model import BoundCheck
from goldsmith.verify.subjects import LiveGuest, Result, Shell

#: rehearsals; a check that asks for more in a row asks the rest by itself
_REHEARSALS = 3
#: commands at a time, and bytes of an output that is carried with the others
_LANES = 2
_OUTPUT = 64 * 1024
#: seconds for all commands of one script, before scaling
_SECONDS = 600.0
#: bytes of the answers; a guest may say anything
_UNPACKED = 16 * 2**20
_PACKED = 768 * 1024
#: no answer is worth having twice: such a check waits for something to change
_WAITING = "command"


class _UnforeseenError(Exception):
    """The rehearsal ends here: the answer to this is not known."""


@dataclass(frozen=True)
class _Answer:
    returncode: int
    stdout: str
    stderr: str


@dataclass
class _Rehearsal:
    """A shell that knows some answers and notes what else it is asked."""

    known: dict[str, Result]
    wanted: Counter[str]

    def run(self, command: str, deadline: Deadline) -> Result:
        if command not in self.known:
            self.wanted[command] += 1
            raise _UnforeseenError
        return self.known[command]


@dataclass
class _Prepared:
    """A shell that answers each command it knows once, and has the others, and those asked again, run."""

    shell: Shell
    known: dict[str, Result]

    def run(self, command: str, deadline: Deadline) -> Result:
        found = self.known.pop(command, None)
        return self.shell.run(command, deadline) if found is None else found


@dataclass
class Foresight:
    """The guest with answers that are known in advance."""

    guest: LiveGuest
    _known: dict[str, Result] = field(default_factory=dict)

    def prepare(self, checks: Sequence[BoundCheck]) -> None:
        """Ask at once what the checks will ask.  What cannot be had so is left to them."""
        for number in range(_REHEARSALS):
            wanted: Counter[str] = Counter()
            for bound in checks:
                if number == 0 or bound.check.kind != _WAITING:
                    self._rehearse(bound, wanted)
            # One command that many ask for is worth it, one for a single check is not.
            if wanted.total() < 2:
                return
            answers = together(self.guest, wanted)
            if not answers:
                return
            self._known.update(answers)

    def _rehearse(self, bound: BoundCheck, wanted: Counter[str]) -> None:
        # What is wrong with an answer is said when the check is evaluated.
        with contextlib.suppress(_UnforeseenError, GoldsmithError):
            findings(bound.check.assertion, LiveGuest(_Rehearsal(self._known, wanted), self.guest.scale))

    def subject(self) -> LiveGuest:
        """The guest for one check."""
        return LiveGuest(_Prepared(self.guest.shell, dict(self._known)), self.guest.scale)


def together(guest: LiveGuest, commands: Iterable[str]) -> dict[str, Result]:
    """Run commands side by side in the guest; the answers that came back whole, by command."""
    asked = list(commands)
    try:
        result = guest.run(_script(asked), _SECONDS)
        if result.returncode != 0:
            return {}
        files = _unpacked(result.stdout)
    except (GoldsmithError, binascii.Error, zlib.error, tarfile.TarError, UnicodeError, ValueError):
        return {}
    found: dict[str, Result] = {}
    for number, command in enumerate(asked):
        status, out, err = (files.get(f"{number}.{part}") for part in ("status", "out", "err"))
        if status is not None and status.strip().isdigit() and out is not None and err is not None:
            found[command] = _Answer(int(status), out.decode(errors="replace"), err.decode(errors="replace"))
    return found


def _script(commands: Sequence[str]) -> str:
    """POSIX sh with tar and gzip.  An output that is too long to be carried is left out, and asked for by itself."""
    lanes = []
    for lane in range(_LANES):
        calls = [f"one {number} {shlex.quote(commands[number])}" for number in range(lane, len(commands), _LANES)]
        if calls:
            lanes.append("(\n" + "\n".join(calls) + "\n) &")
    return "\n".join(
        [
            "d=$(mktemp -d) || exit 1",
            'one() { eval "$2" </dev/null >"$d/$1.out" 2>"$d/$1.err"; echo $? >"$d/$1.status"; }',
            *lanes,
            "wait",
            f'find "$d" -type f -size +{_OUTPUT}c -exec rm -f {{}} +',
            f'tar -C "$d" -cf - . | gzip -1 | base64 | head -c {_PACKED}',
            'rm -rf "$d"',
        ]
    )


def _unpacked(text: str) -> dict[str, bytes]:
    """The files of a base64 text of a gzipped tar.  Raises as its parts do, and ValueError where it is huge."""
    # 16 + 15: with gzip's header (zlib's inflateInit2).
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    content = inflater.decompress(base64.b64decode("".join(text.split()), validate=True), _UNPACKED)
    if inflater.unconsumed_tail:
        raise ValueError("the answers are too long")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as members:
        for member in members:
            file = members.extractfile(member) if member.isreg() else None
            if file is not None:
                found[member.name.removeprefix("./")] = file.read()
    return found
