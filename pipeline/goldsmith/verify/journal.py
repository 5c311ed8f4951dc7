"""A guest's journal read outside of it, by this host's journalctl, which gets no rights and no room to speak of."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from goldsmith.errors import CommandFailedError, HarnessError
from goldsmith.host.run import run
from goldsmith.verify.tree import Tree

FOLDER = "/var/log/journal"
#: bytes of messages that are read
MESSAGES_LIMIT = 64 * 2**20
_MEMORY_LIMIT = 2**30
_SECONDS = 120.0
_NOBODY = 65534
#: a script that keeps what a command prints out of memory
_INTO_FILE = 'out=$1; shift; exec "$@" >"$out"'


def messages(tree: Tree, arguments: Sequence[str]) -> str:
    """The messages of the journal files on a disk, as ``journalctl -o cat`` prints them with ``arguments``.

    Raises HostError without journalctl, HarnessError where the disk keeps no journal or it cannot be read.
    """
    files = [path for path in tree.glob(f"{FOLDER}/*/*.journal") if tree.stat(path) is not None]
    if not files:
        raise HarnessError("no journal is kept on the disk", where=FOLDER, hint="give the check layers: [live]")
    with tempfile.TemporaryDirectory(prefix="goldsmith-journal-") as folder:
        Path(folder).chmod(0o755)
        copies = []
        for number, path in enumerate(files):
            # Only the names matter to journalctl, and they are the guest's.
            copies.append(Path(folder, f"{number}.journal"))
            copies[-1].write_bytes(tree.read(path))
            copies[-1].chmod(0o644)
        output = Path(folder, "messages")
        read = [*_bounds(), "journalctl", *(f"--file={copy}" for copy in copies), *arguments]
        try:
            done = run(["/bin/sh", "-c", _INTO_FILE, "sh", output, *read], deadline=_SECONDS)
        except CommandFailedError as error:
            raise HarnessError(f"this host's journalctl cannot read it: {error.tail}", where=FOLDER) from error
        if done.stderr.strip():
            # A file that it leaves out, it complains of and goes on.
            raise HarnessError(f"this host's journalctl cannot read all of it: {done.stderr.strip()}", where=FOLDER)
        return output.read_bytes().decode(errors="replace")


def _bounds() -> list[str]:
    """The files are the image's, and journalctl is a program of the host: as nobody, in little memory."""
    limits = ["prlimit", f"--as={_MEMORY_LIMIT}", f"--fsize={MESSAGES_LIMIT}", "--core=0"]
    user = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    return [*limits, "setpriv", "--no-new-privs", *user]
