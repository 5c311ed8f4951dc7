"""What one verification is about, as its parts hand it around."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import Channel
from goldsmith.boot.properties import firmware_from, shape_here
from goldsmith.boot.seed import Datasource
from goldsmith.host.disk_format import DiskFormat
from goldsmith.host.progress import Progress
from goldsmith.settings import Settings
from goldsmith.store.manifest import SETTLED, Firmware, Layer, Verdict
from goldsmith.verify import appliance, boots
from goldsmith.verify.boots import Boot
from goldsmith.verify.console_rules.rules import ConsoleRules, built_in
from goldsmith.verify.machines import BootPlan
from goldsmith.verify.model import BoundCheck
from goldsmith.verify.tree import Tree

CONSOLE = "console"
#: goldsmith's own checks and what each proves
BUILT_INS = {
    SETTLED: "the guest boots and comes to rest",
    "no-failed-units": "no unit failed",
    "login-prompt": "a login prompt stands on ttyS0",
    "powers-off": "the guest powers off when the button is pressed",
    CONSOLE: "the console shows nothing that is wrong",
    "image-unchanged": "the image's file was not written to",
}

#: makes a boot: ``boots.lab_boot``
BootMaker = Callable[[BootPlan], AbstractContextManager[Boot]]

_OF_FIRMWARE = ("hw_firmware_type", "os_secure_boot")
#: before anybody looked at the image
UNKNOWN = Channel("credential", "the image was not looked at")


class OpenDisks(Protocol):
    """Disks that can be read, one at a time: ``appliance.Appliance``."""

    def add(self, name: str, disk: Path, disk_format: str) -> None: ...
    def tree(self, name: str) -> AbstractContextManager[Tree]: ...


#: what may be done with a boot that failed
OnFailure = Callable[[Boot, Sequence[Verdict]], None]
#: opens disks, name to file and format: ``appliance.launched``
DiskOpener = Callable[[Mapping[str, tuple[Path, str]], Accelerator], AbstractContextManager[OpenDisks]]


@dataclass(frozen=True)
class Work:
    """One verification: what is verified, with what, and where it is kept."""

    image: Path
    image_format: DiskFormat
    checks: tuple[BoundCheck, ...]
    settings: Settings
    progress: Progress
    accelerator: Accelerator
    #: keeps logs and pictures, in a folder per firmware
    artefacts: Path
    #: RECIPE or IMAGE as the user named it
    target: str
    #: names of the checks that were asked for; all where it is empty
    only: frozenset[str] = frozenset()
    boot: BootMaker = boots.lab_boot
    open_disks: DiskOpener = appliance.launched
    #: how commands get into the guest
    channel: Channel = UNKNOWN
    #: of the image in Glance: they shape the machine
    properties: Mapping[str, str] = field(default_factory=dict)
    datasource: Datasource = "metadata"
    #: called with a boot that failed and its verdicts, before it is ended
    on_failure: OnFailure | None = None
    #: what the console of each boot is held against
    console_rules: ConsoleRules = field(default_factory=built_in)

    def wanted(self, name: str) -> bool:
        return not self.only or name in self.only

    def boot_plan(self, firmware: Firmware) -> BootPlan:
        """What to boot with a firmware.  Raises InputError where the properties make no machine that this host has."""
        properties = self.properties
        if firmware_from(properties) not in (None, firmware):
            # The disk boots with more than Nova is told to use; that is proven on the machine without these.
            properties = {name: value for name, value in properties.items() if name not in _OF_FIRMWARE}
        return BootPlan(
            self.image,
            self.image_format,
            firmware,
            self.artefacts / firmware,
            self.settings,
            self.accelerator,
            self.channel,
            shape_here(properties, firmware),
            self.datasource,
        )

    def repeat(self, firmware: Firmware | None) -> Callable[[str], str]:
        """Gives the command that runs one check again."""
        chosen = f" --firmware {firmware}" if firmware else ""
        source = self.console_rules.source
        rules = f" --console-rules {shlex.quote(str(source))}" if source else ""
        return lambda name: f"goldsmith verify {shlex.quote(self.target)}{chosen}{rules} --check {name}"

    def checks_in(self, layer: Layer, firmware: Firmware | None) -> list[BoundCheck]:
        """The checks that were asked for in a layer; the image as baked has no firmware."""
        return [
            bound
            for bound in self.checks
            if self.wanted(bound.name)
            and layer in bound.check.where
            and (firmware is None or firmware in bound.check.firmware)
        ]
