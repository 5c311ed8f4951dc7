"""The ways to start the guest channel's probe in an image that does not have it.

From the one that changes the guest least: a systemd credential, for systemd 256 and later; cloud-init's user-data; a
unit written into the overlay that is thrown away.  All three start the same probe.sh in a unit of the same name.  In a
guest without systemd QEMU's guest agent is asked, if it is there; else the guest can only be looked at.
"""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Literal

from goldsmith.boot import agent, guest

Kind = Literal["credential", "cloud-init", "unit", "agent", "passive"]

#: the first systemd that makes units of credentials (systemd-debug-generator(8))
CREDENTIAL_SYSTEMD = 256
#: what a guest needs for each, for the error about one that stays silent
NEEDS: dict[Kind, str] = {
    "credential": guest.NEEDS,
    "cloud-init": "cloud-init must read the user-data of OpenStack's metadata service",
    "unit": "systemd must start the unit that was written to its disk",
    "agent": agent.NEEDS,
    "passive": "nothing in it could start it",
}
_SCRIPT_IN_RUN = "/run/goldsmith.probe"
_SCRIPT_ON_DISK = "/etc/systemd/goldsmith.probe"


@dataclass(frozen=True)
class Channel:
    """How commands get into a guest, and why so; what is known of it otherwise before it boots."""

    kind: Kind
    reason: str
    #: whether its programs may be built for x86-64-v2, and not start without cmpxchg16b
    cx16: bool = True

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


@dataclass(frozen=True)
class GuestFile:
    """A file to be written to a guest's disk; ``path`` is absolute in it."""

    path: str
    content: bytes
    mode: int = 0o644


def boothook() -> str:
    """User-data that starts the probe at every boot, in cloud-init's network stage.

    A boothook runs as soon as user-data is there, before and apart from all modules, so that it stands beside any
    cloud-config of the user's.
    """
    properties = " ".join(f"-p {setting}" for setting in guest.UNIT_SETTINGS)
    return f"""\
#cloud-boothook
#!/bin/sh
set -eu
systemctl --quiet is-active {guest.UNIT} && exit 0
umask 077
cat > {_SCRIPT_IN_RUN} <<'goldsmith'
{guest.probe().decode()}goldsmith
systemd-run --unit={guest.UNIT} {properties} /bin/sh {_SCRIPT_IN_RUN}
"""


def user_data(own: str | None) -> str:
    """User-data that starts the probe, and is ``own`` beside that."""
    if own is None:
        return boothook()
    parts = MIMEMultipart()
    parts.attach(MIMEText(boothook(), "cloud-boothook", "us-ascii"))
    if own.lower().startswith(("content-type:", "mime-version:")):
        parts.attach(email.message_from_string(own))
    else:
        # cloud-init looks at the first line of plain text.
        parts.attach(MIMEText(own, "plain", "utf-8"))
    return parts.as_string()


def unit_files() -> tuple[GuestFile, ...]:
    """The files of a guest's disk that start the probe."""
    return (
        GuestFile(_SCRIPT_ON_DISK, guest.probe(), 0o600),
        GuestFile(f"/etc/systemd/system/{guest.UNIT}", guest.unit_text(_SCRIPT_ON_DISK).encode()),
        GuestFile("/etc/systemd/system/sysinit.target.d/goldsmith-probe.conf", guest.DROPIN_TEXT.encode()),
    )
