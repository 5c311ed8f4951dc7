"""What one boot costs the metadata service: nothing where the instance has a config drive.

The service runs and counts in both boots, and both instances are described by the same words.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.instance import Instance, make_nics
from goldsmith.boot.lab import MetadataCount
from goldsmith.boot.seed import Datasource
from goldsmith.host.deadline import Deadline
from goldsmith.host.files import file_digest
from goldsmith.settings import Settings
from goldsmith.verify import appliance, channels, settle
from goldsmith.verify.boots import BOOT_SECONDS
from goldsmith.verify.compare import Finding
from goldsmith.verify.machines import NETWORKS, BootPlan, discard, lab_machine
from goldsmith.verify.subjects import LiveGuest

pytestmark = [pytest.mark.system, pytest.mark.matrix]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdvbGRzbWl0aC1nb2xkc21pdGgtZ29sZHNtaXRoLWdv somebody"
NAME = "told-its-name"
#: of the EC2 tree, for an instance with a key: 3 listings and 16 values, and 2 for the key
EC2_TREE = 21
#: /openstack twice, and five files
OPENSTACK_TREE = 7
#: what to ask the guest, and how
QUESTIONS = {
    "datasource": "cloud-id",
    "source": "cloud-init query --format '{{ v1.subplatform }}'",
    "uuid": "cloud-init query --format '{{ v1.instance_id }}'",
    "name": "hostname",
    "keys": "cat /home/*/.ssh/authorized_keys",
}


@dataclass(frozen=True)
class Told:
    """What a boot asked of the service, and what the guest learned; ``again`` is the count after a reboot, too."""

    instance: Instance
    unsettled: list[Finding]
    count: MetadataCount
    again: MetadataCount
    answers: dict[str, str] = field(default_factory=dict)


def boot_and_ask(
    image: Path, datasource: Datasource, settings: Settings, accelerator: Accelerator, folder: Path
) -> Told:
    channel = channels.chosen(image, "qcow2", file_digest(image), settings, accelerator, appliance.launched)
    instance = Instance(str(uuid.uuid4()), NAME, make_nics(NETWORKS), key=("mine", KEY))
    try:
        plan = BootPlan(image, "qcow2", "bios", folder, settings, accelerator, channel, datasource=datasource)
        with lab_machine(plan, NETWORKS, instance) as (machine, lab):
            machine.guest.wait_ready(Deadline.after(BOOT_SECONDS * machine.scale))
            guest = LiveGuest(machine.guest, machine.scale)
            unsettled = settle.settled(guest)
            count = lab.metadata_log()
            answers = {name: guest.output(command).strip() for name, command in QUESTIONS.items()}
            machine.reboot(Deadline.after(BOOT_SECONDS * machine.scale))
            settle.settled(guest)
            return Told(instance, unsettled, count, lab.metadata_log(), answers)
    finally:
        discard(folder)


@pytest.fixture(scope="module")
def told(request, golden_image: Path, workshop, accelerator: Accelerator, whole_host: threading.Lock) -> Told:
    """What the golden image learned from the datasource that the test names: one boot for all who ask."""
    folder = workshop.settings.cache_dir / "reports" / f"told-by-{request.param}"
    with whole_host:
        return boot_and_ask(golden_image, request.param, workshop.settings, accelerator, folder)


by_drive = pytest.mark.parametrize("told", ["config-drive"], indirect=True)
by_service = pytest.mark.parametrize("told", ["metadata"], indirect=True)
by_each = pytest.mark.parametrize("told", ["config-drive", "metadata"], indirect=True)


@by_drive
def test_a_config_drive_costs_the_service_nothing(told: Told) -> None:
    assert not told.unsettled
    assert (told.count.requests, told.count.connections) == (0, 0), told.count
    assert (told.again.requests, told.again.connections) == (0, 0), told.again


@by_drive
def test_the_config_drive_was_believed(told: Told) -> None:
    assert told.answers["datasource"] == "configdrive"
    assert told.answers["source"].startswith("config-disk (/dev/sr")


@by_service
def test_the_same_count_without_a_config_drive(told: Told) -> None:
    """The control: without it zero could be a service that nobody can reach, or that does not count."""
    assert told.answers["datasource"] == "openstack"
    assert told.answers["source"] == "metadata (http://169.254.169.254)"
    assert told.count.requests == told.count.connections == EC2_TREE + OPENSTACK_TREE, told.count
    of_ec2 = sum(number for path, number in told.count.by_path.items() if path.startswith("/latest/"))
    assert of_ec2 == EC2_TREE


@by_service
def test_a_reboot_asks_nothing_again(told: Told) -> None:
    assert told.again.requests == told.count.requests


@by_each
def test_both_tell_the_guest_the_same(told: Told) -> None:
    assert told.answers["uuid"] == told.instance.uuid
    assert told.answers["name"] == NAME
    assert KEY in told.answers["keys"].splitlines()
