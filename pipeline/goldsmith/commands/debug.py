"""A failed boot left running, with its console in the user's terminal."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from goldsmith.boot.terminal import LEAVE_NAME, interact, require_terminal
from goldsmith.commands.context import Context
from goldsmith.errors import GoldsmithError
from goldsmith.store.manifest import Verdict
from goldsmith.verify.boots import Boot

#: descriptors of the terminal
KEYS, SCREEN = 0, 1
# A shell of root in place of the getty, which comes back after it: nobody may have a password in this image.
_SHELL = (
    "systemctl stop serial-getty@ttyS0.service 2>/dev/null; "
    "systemd-run --quiet --collect --unit=goldsmith-debug --property=StandardInput=tty-force "
    "--property=StandardOutput=tty --property=StandardError=tty --property=TTYPath=/dev/ttyS0 "
    "--property=ExecStopPost='-/bin/systemctl start serial-getty@ttyS0.service' "
    "--setenv=TERM=vt220 --setenv=HOME=/root --working-directory=/root /bin/sh -c "
    "'command -v bash >/dev/null && exec bash -l; exec sh -l'"
)


@dataclass
class Debugger:
    """Sits down at one boot at a time: two firmwares may fail side by side."""

    context: Context
    keys: int = KEYS
    screen: int = SCREEN

    def __post_init__(self) -> None:
        """Raises HostError where there is no terminal: nobody could sit there."""
        require_terminal(self.keys, self.screen)
        self._turn = threading.Lock()

    def __call__(self, boot: Boot, verdicts: Sequence[Verdict]) -> None:
        """Show what failed, and hand the console over until the user leaves."""
        with self._turn:
            note = self.context.progress.note
            for verdict in verdicts:
                if verdict.status != "pass":
                    note(f"{verdict.status:>6} {verdict.name} ({verdict.firmware}): {verdict.says}")
            note(f"the guest is left running: {boot.where}")
            note(f"{LEAVE_NAME} leaves and goes on{_shell(boot)}; here is its console:")
            with boot.console_socket() as serial:
                interact(serial, self.keys, self.screen)


def _shell(boot: Boot) -> str:
    """Put a root shell on the console, where the guest takes commands; what to say of it."""
    if boot.ready:
        with contextlib.suppress(GoldsmithError):
            if boot.guest.run(_SHELL).returncode == 0:
                return ", a root shell is on the console (press Enter)"
    return ""
