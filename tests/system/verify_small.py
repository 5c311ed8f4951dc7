"""Verifies one image in a process of its own, as the command does, and ends with the command's exit code.

    python verify_small.py IMAGE ARTEFACTS RULES CHANNEL CHECKS

CHANNEL is how commands get into the guest, or "look" to look into the image for it, which takes a launch of
libguestfs's appliance.  CHECKS is a JSON list of checks.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from goldsmith.boot import accelerator
from goldsmith.boot.channel import Channel, Kind
from goldsmith.commands.verify import exit_code
from goldsmith.errors import ExitCode, GoldsmithError
from goldsmith.host.progress import Progress
from goldsmith.settings import from_environment
from goldsmith.verify.console_rules.rules import with_users
from goldsmith.verify.session import verify_image


@dataclass(frozen=True)
class Planned:
    element: str
    id: str
    spec: dict[str, Any]


def verify(image: str, artefacts: str, rules: str, kind: str, checks: str) -> ExitCode:
    settings = from_environment()
    report = verify_image(
        Path(image),
        [Planned("small", spec["id"], spec) for spec in json.loads(checks)],
        ("bios",),
        settings,
        Progress(),
        accelerator=accelerator.choose(settings),
        artefacts=Path(artefacts),
        target=image,
        channel=None if kind == "look" else Channel(cast(Kind, kind), "the test says so"),
        console_rules=with_users(Path(rules)),
    )
    return exit_code(report)


if __name__ == "__main__":
    try:
        sys.exit(verify(*sys.argv[1:]))
    except GoldsmithError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
