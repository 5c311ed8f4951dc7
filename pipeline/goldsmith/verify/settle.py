"""Waiting until a booted guest has done what it does at boot, and goldsmith's own checks of that."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from goldsmith.errors import HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.verify.compare import Finding, shown
from goldsmith.verify.kinds.network import nics
from goldsmith.verify.subjects import TIMED_OUT, LiveGuest

#: seconds on the reference host, from the first answered command on
SETTLE_SECONDS = 600.0
NETWORK_SECONDS = 60.0
_QUIET_POLLS = 3
_POLL_SECONDS = 2.0

#: the shell's exit status of a command that is not there
_NOT_FOUND = 127

# cloud-init writes the result when its last stage ends, with the errors of all (cloudinit/cmd/main.py, status_wrapper).
# Asking the program costs seconds under emulation, so it is asked only where that file does not say that all is well.
_CLOUD_INIT_DONE = """
! command -v cloud-init >/dev/null ||
tr -d '[:space:]' 2>/dev/null </run/cloud-init/result.json | grep -q '"errors":\\[\\]' ||
cloud-init status --wait --long
"""

# What still boots may write on behind the prompt, on the same line.
LOGIN_PROMPT = r"^\S+ login:( |$)"


class Stalled(Finding):
    """The guest does not come to rest."""


def settled(guest: LiveGuest, sleep: Callable[[float], None] = time.sleep) -> list[Finding]:
    """Wait for systemd's job queue, for cloud-init where it is, and for the network; what did not come to rest."""
    deadline = Deadline.after(SETTLE_SECONDS * guest.scale)
    while True:
        result = guest.run("systemctl is-system-running --wait", max(1.0, deadline.remaining() / guest.scale))
        state = result.stdout.strip()
        if result.returncode == _NOT_FOUND:
            # Not systemd's guest.  It answers, so it is up as far as can be told.
            break
        # "degraded" is at rest, too; which units failed is a check of its own.
        if state in ("running", "degraded"):
            break
        # Asked too early, systemctl does not wait: the manager's socket is not there yet.
        if deadline.passed or result.returncode == TIMED_OUT or state in ("maintenance", "stopping"):
            jobs = guest.run("systemctl list-jobs --no-legend --no-pager --full").stdout
            seen = f"{state or shown(result.stderr)}, waiting for:\n{shown(jobs)}"
            return [Stalled("systemd has started all there is to start", seen)]
        sleep(_POLL_SECONDS)
    result = guest.run(_CLOUD_INIT_DONE, SETTLE_SECONDS)
    if result.returncode == TIMED_OUT:
        return [Stalled("cloud-init is done", f"it still runs:\n{shown(result.stdout)}")]
    # cloud-init 23.4 and later: 1 is an error, 2 an error it recovered from (cloud-init status --help).
    # An error is at rest as well: what is asked next must still not come before the last DHCP answer.
    wait_for_quiet_network(guest, sleep)
    if result.returncode not in (0, 2):
        return [Finding("cloud-init is done without an error", shown(result.stdout))]
    return []


def wait_for_quiet_network(guest: LiveGuest, sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait until every NIC has an address and the routes rest; a network that never does is left to the checks.

    A late second DHCP answer changes the default route, so a check made before it could pass by luck.
    """
    deadline = Deadline.after(NETWORK_SECONDS * guest.scale)
    expected = len(nics(guest))
    previous, quiet = "", 0
    while not deadline.passed:
        # Lifetimes count down, so they are taken out.
        state = guest.run("ip -o address show; ip -4 route; ip -6 route").stdout
        state = re.sub(r"(valid_lft|preferred_lft|expires) \S+", "", state)
        addressed = len(set(re.findall(r"^\d+: (\S+)\s+inet (?!127\.|169\.254\.)", state, re.MULTILINE)))
        quiet = quiet + 1 if state == previous and addressed >= expected else 0
        if quiet >= _QUIET_POLLS:
            return
        previous = state
        sleep(_POLL_SECONDS)


def no_failed_units(guest: LiveGuest) -> list[Finding]:
    """Units that failed, with the end of what each logged."""
    result = guest.run("systemctl list-units --failed --plain --no-legend --no-pager --full")
    if result.returncode == _NOT_FOUND:
        # A guest without systemd has no units.
        return []
    if result.returncode != 0:
        raise HarnessError(f"systemctl list-units exited {result.returncode}: {result.stderr.strip()}")
    failed = result.stdout
    names = [line.split()[0] for line in failed.splitlines() if line.strip()]
    if not names:
        return []
    quoted = " ".join(f"-u '{name}'" for name in names)
    log = guest.run(f"journalctl -b --no-pager -o short-monotonic -n 20 {quoted}").stdout
    return [Finding("no unit failed", f"{', '.join(names)}\n{shown(log)}")]
