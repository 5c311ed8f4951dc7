"""One boot for verification: a machine with two NICs in its own lab, and what a session asks of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, Protocol

from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import NEEDS, Channel, GuestFile, unit_files, user_data
from goldsmith.boot.guest import credentials
from goldsmith.boot.instance import Instance, Network, make_nics
from goldsmith.boot.lab import Lab
from goldsmith.boot.machine import Hardware, Machine
from goldsmith.boot.seed import Datasource, make_seed
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.host.files import write_json
from goldsmith.host.run import run
from goldsmith.settings import Settings
from goldsmith.store.manifest import Firmware
from goldsmith.verify import appliance
from goldsmith.verify.settle import LOGIN_PROMPT
from goldsmith.verify.subjects import LiveGuest, MetadataTally, Screen

#: seconds on the reference host; a boot takes 150-240 s there, and two may share the processors
BOOT_SECONDS = 900.0
LOGIN_SECONDS = 60.0
POWER_OFF_SECONDS = 240.0
#: MiB of a guest's memory, and what QEMU takes beside it
MEMORY = 1024
MEMORY_BESIDE = 512
#: what the disk of a boot is larger than the image, as a flavor's is, so that growing can be seen
GROWTH = 2**30
#: last lines of the console in a verdict
CONSOLE_LINES = 15

# The first NIC's server answers last: a guest that just takes the first default route it is offered is found out.
# Each advertises itself as an IPv6 router, too.
NETWORKS = (
    Network("primary", "10.20.0.0/24", "10.20.0.1", reply_delay=3, subnet6="fd20:20::/64"),
    Network("secondary", "10.30.0.0/24", "10.30.0.1", subnet6="fd20:30::/64"),
)


class Boot(Protocol):
    """A machine that was powered on."""

    @property
    def guest(self) -> LiveGuest: ...
    @property
    def screen(self) -> Screen: ...
    @property
    def overlay(self) -> Path: ...
    @property
    def ready(self) -> bool:
        """Whether the guest took commands."""

    def wait_ready(self) -> None:
        """Wait until the guest takes commands; raises HarnessError."""

    def login_prompt(self) -> bool:
        """Whether a login prompt stands, or soon does, on ttyS0."""

    def prompt_seen(self) -> bool:
        """The same, without waiting."""

    def tally(self) -> MetadataTally: ...
    def console(self) -> tuple[str, ...]:
        """The last lines of ttyS0."""

    def power_off(self) -> bool:
        """Press the power button; False where the guest did not go and was killed."""

    def kill(self) -> None: ...


class LabBoot:
    """A Boot by goldsmith.boot.  ``folder`` keeps console.log, qemu.log, screen.png and metadata.json."""

    def __init__(self, machine: Machine, lab: Lab, folder: Path) -> None:
        self._machine = machine
        self._lab = lab
        self._folder = folder
        self.ready = False

    @property
    def guest(self) -> LiveGuest:
        return LiveGuest(self._machine.guest, self._machine.scale)

    @property
    def screen(self) -> Screen:
        return Screen(self._machine, self._folder, self._machine.scale)

    @property
    def overlay(self) -> Path:
        return self._machine.overlay

    def wait_ready(self) -> None:
        self._machine.guest.wait_ready(Deadline.after(BOOT_SECONDS * self._machine.scale))
        self.ready = True

    def prompt_seen(self) -> bool:
        return re.search(LOGIN_PROMPT, self._machine.console.text(), re.MULTILINE) is not None

    def login_prompt(self) -> bool:
        deadline = Deadline.after(LOGIN_SECONDS * self._machine.scale)
        with contextlib.suppress(DeadlineError):
            deadline.wait_for(self.prompt_seen, "a login prompt on ttyS0", interval=1.0)
        return self.prompt_seen()

    def tally(self) -> MetadataTally:
        log = self._lab.folder / "metadata.jsonl"
        if not log.exists():
            # The lab counts a log that is gone as no requests, which would be held against the image.
            raise HarnessError("the log of the metadata service is gone", where=str(log))
        count = self._lab.metadata_log()
        write_json(self._folder / "metadata.json", asdict(count))
        return MetadataTally(count.requests, count.connections)

    def console(self) -> tuple[str, ...]:
        return tuple(self._machine.console.tail(CONSOLE_LINES).splitlines())

    def power_off(self) -> bool:
        with contextlib.suppress(HarnessError):  # a picture of the end is welcome, not needed
            self._machine.screendump(self._folder / "screen-last.png")
        try:
            self._machine.powerdown(Deadline.after(POWER_OFF_SECONDS * self._machine.scale))
        except DeadlineError:
            self._machine.quit()
            return False
        return True

    def kill(self) -> None:
        self._machine.quit()


@contextlib.contextmanager
def lab_boot(
    image: Path,
    image_format: Literal["qcow2", "raw"],
    firmware: Firmware,
    folder: Path,
    settings: Settings,
    accelerator: Accelerator,
    channel: Channel,
) -> Iterator[Boot]:
    """Power a machine on.  The overlay stays in ``folder`` after the end."""
    instance = Instance(str(uuid.uuid4()), f"goldsmith-{firmware}", make_nics(NETWORKS))
    with lab_machine(image, image_format, firmware, folder, settings, accelerator, channel, NETWORKS, instance) as (
        machine,
        lab,
    ):
        yield LabBoot(machine, lab, folder)


@contextlib.contextmanager
def lab_machine(
    image: Path,
    image_format: Literal["qcow2", "raw"],
    firmware: Firmware,
    folder: Path,
    settings: Settings,
    accelerator: Accelerator,
    channel: Channel,
    networks: Sequence[Network],
    instance: Instance,
    guest_files: Sequence[GuestFile] = (),
    datasource: Datasource = "metadata",
    cpus: int = 2,
) -> Iterator[tuple[Machine, Lab]]:
    """A running machine on ``networks`` whose guest's end of the channel is started as ``channel`` says.

    ``guest_files`` are written to its disk before; the image stays as it is.  ``datasource`` is what tells the guest
    about itself; the metadata service answers, and counts, beside a disk too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    larger = folder / "larger.qcow2"
    _grow(image, image_format, larger)
    written = [*guest_files, *(unit_files() if channel.kind == "unit" else ())]
    if written:
        appliance.write_files(larger, written, accelerator)
    if channel.kind == "cloud-init":
        instance = dataclasses.replace(instance, user_data=user_data(instance.user_data))
    with Lab(settings, networks, instance) as lab:
        hardware = Hardware(
            disk=larger,
            disk_format="qcow2",
            seed=make_seed(instance, datasource, folder / "seed.iso"),
            firmware=firmware,
            ports=lab.ports(),
            uuid=instance.uuid,
            memory=MEMORY,
            cpus=cpus,
            credentials=credentials() if channel.kind == "credential" else {},
            channel_needs=NEEDS[channel.kind],
        )
        with Machine(settings, hardware, folder, accelerator, lab.jail) as machine:
            yield machine, lab


def _grow(image: Path, image_format: str, larger: Path) -> None:
    """A disk over the image, larger by GROWTH."""
    larger.unlink(missing_ok=True)
    info = run(["qemu-img", "info", "--output=json", "-f", image_format, image], deadline=60).stdout
    size = int(json.loads(info)["virtual-size"]) + GROWTH
    backing = ["-F", image_format, "-b", str(image.absolute())]
    run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(larger), str(size)], deadline=60)


def discard(folder: Path) -> None:
    """Remove what a boot leaves that nobody wants to read."""
    for pattern in ("*.qcow2", "*.sock", "seed.iso", "vars.fd", "screen.vga"):
        for path in folder.glob(pattern):
            path.unlink()
