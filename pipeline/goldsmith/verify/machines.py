"""The machine of a verification: an overlay over the image, a little larger, on networks of a lab of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import NEEDS, Channel, GuestFile, unit_files, user_data
from goldsmith.boot.guest import credentials
from goldsmith.boot.hardware import Firmware, Hardware, Shape
from goldsmith.boot.instance import Instance, Network
from goldsmith.boot.lab import Lab
from goldsmith.boot.machine import Machine
from goldsmith.boot.overlay import make_overlay
from goldsmith.boot.seed import Datasource, make_seed
from goldsmith.boot.snapshot import Saved
from goldsmith.host.disk_format import DiskFormat
from goldsmith.settings import Settings
from goldsmith.verify import appliance

#: MiB of a guest's memory, and what QEMU takes beside it
MEMORY = 1024
MEMORY_BESIDE = 512
#: the disk between the image and the overlay
LARGER = "larger.qcow2"
#: what the disk of a boot is larger than the image, as a flavor's is, so that growing can be seen
GROWTH = 2**30

# The first NIC's server answers last: a guest that just takes the first default route it is offered is found out.
# Each advertises itself as an IPv6 router, too.
NETWORKS = (
    Network("primary", "10.20.0.0/24", "10.20.0.1", reply_delay=3, subnet6="fd20:20::/64"),
    Network("secondary", "10.30.0.0/24", "10.30.0.1", subnet6="fd20:30::/64"),
)


@dataclass(frozen=True)
class BootPlan:
    """What to boot, on what machine, and where: ``folder`` keeps the logs, and the overlay."""

    image: Path
    image_format: DiskFormat
    firmware: Firmware
    folder: Path
    settings: Settings
    accelerator: Accelerator
    #: how commands get into the guest
    channel: Channel
    shape: Shape = field(default_factory=Shape)
    #: what tells the guest about itself; the metadata service answers, and counts, beside a disk too
    datasource: Datasource = "metadata"


@contextlib.contextmanager
def lab_machine(
    plan: BootPlan,
    networks: Sequence[Network],
    instance: Instance,
    guest_files: Sequence[GuestFile] = (),
    *,
    base: Path | None = None,
    saved: Saved | None = None,
) -> Iterator[tuple[Machine, Lab]]:
    """A running machine on ``networks`` whose guest's end of the channel is started as the plan says.

    ``guest_files`` are written to its disk before; the image stays as it is.  ``base`` is a folder for what lies below
    the overlay, by default the plan's.  With ``saved`` it goes on from that state of a machine of the same plan.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    larger = (base or plan.folder) / LARGER
    if not saved:
        larger.unlink(missing_ok=True)
        make_overlay(plan.image, plan.image_format, larger, GROWTH)
        written = [*guest_files, *(unit_files() if plan.channel.kind == "unit" else ())]
        if written:
            appliance.write_files(larger, written, plan.accelerator)
    if plan.channel.kind == "cloud-init":
        instance = dataclasses.replace(instance, user_data=user_data(instance.user_data))
    by_agent = plan.channel.kind == "agent"
    with Lab(plan.settings, networks, instance) as lab:
        hardware = Hardware(
            disk=larger,
            disk_format="qcow2",
            seed=make_seed(instance, plan.datasource, plan.folder / "seed.iso"),
            firmware=plan.firmware,
            ports=lab.ports(),
            uuid=instance.uuid,
            memory=MEMORY,
            cx16=plan.channel.cx16,
            credentials=credentials() if plan.channel.kind == "credential" else {},
            channel_needs=NEEDS[plan.channel.kind],
            shape=dataclasses.replace(plan.shape, guest_agent=True) if by_agent else plan.shape,
            by_agent=by_agent,
            saved=saved,
            vnc=True,
        )
        with Machine(plan.settings, hardware, plan.folder, plan.accelerator, lab.jail) as machine:
            yield machine, lab


def discard(folder: Path) -> None:
    """Remove what a boot leaves that nobody wants to read."""
    for pattern in ("*.qcow2", "*.sock", "seed.iso", "screen.vga", "swtpm.log"):
        for path in folder.glob(pattern):
            path.unlink()
    shutil.rmtree(folder / "tpm", ignore_errors=True)
