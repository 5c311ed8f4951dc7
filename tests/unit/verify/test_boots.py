"""A machine in its lab, with nothing on its disk."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import cast

import pytest

from goldsmith import settings as settings_module
from goldsmith.boot import guest, lab
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import Channel
from goldsmith.boot.instance import Instance, make_nics
from goldsmith.boot.lab import MetadataCount
from goldsmith.boot.machine import Machine
from goldsmith.boot.seed import Datasource
from goldsmith.errors import HarnessError
from goldsmith.verify import boots, machines, session
from goldsmith.verify.console_rules.patience import Patience
from goldsmith.verify.machines import BootPlan

CREDENTIAL = Channel("credential", "a test")


def test_a_boot_of_nothing_is_told_from_one_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boots.LabBoot, "_patience", Patience(boot=1, prompt=1, power_off=1))
    image = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "64M"], check=True)
    before = image.read_bytes()
    settings = settings_module.from_environment()
    folder = tmp_path / "bios"
    accelerator = Accelerator("tcg", "a test", {"tcg": 0.1}, 1.0)
    plan = BootPlan(image, "qcow2", "bios", folder, settings, accelerator, CREDENTIAL)
    with boots.lab_boot(plan) as boot:
        with pytest.raises(HarnessError):
            boot.wait_ready()
        assert not boot.ready
        assert not boot.login_prompt()
        assert boot.tally().requests == 0
        assert boot.screen.display.screen_text() is not None
        assert not boot.power_off()
    info = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", boot.overlay]))
    assert info["virtual-size"] == 64 * 2**20 + machines.GROWTH
    assert image.read_bytes() == before
    machines.discard(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "console.log",
        "metadata.json",
        "qemu.log",
        "screen-last.png",
        "screen.png",
    ]


def test_a_metadata_log_that_is_gone_is_the_harnesss_fault_and_not_no_requests(tmp_path: Path) -> None:
    class Lab:
        folder = tmp_path

        def metadata_log(self) -> MetadataCount:
            return MetadataCount(0, 0, {}, {})

    boot = boots.LabBoot(cast(Machine, None), cast(lab.Lab, Lab()), tmp_path)
    with pytest.raises(HarnessError, match="is gone"):
        boot.tally()
    (tmp_path / "metadata.jsonl").touch()
    assert boot.tally().requests == 0


def _empty(folder: Path) -> Path:
    image = folder / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "64M"], check=True)
    return image


@pytest.mark.parametrize("datasource", ["config-drive", "nocloud", "metadata"])
def test_a_disk_tells_what_the_service_beside_it_tells(tmp_path: Path, datasource: Datasource) -> None:
    instance = Instance(
        "6a1d0bb2-95f8-4b6c-8c1e-7d1f37f1b7c0", "guest", make_nics(machines.NETWORKS), user_data="#!/bin/sh\n"
    )
    folder = tmp_path / "bios"
    plan = BootPlan(
        _empty(tmp_path),
        "qcow2",
        "bios",
        folder,
        settings_module.from_environment(),
        Accelerator("tcg", "a test", {"tcg": 0.1}, 1.0),
        Channel("cloud-init", "a test"),
        datasource=datasource,
    )
    with machines.lab_machine(plan, machines.NETWORKS, instance) as (machine, lab):
        seed = folder / "seed.iso"
        assert seed.exists() is (datasource != "metadata")
        assert machine.hardware.seed == (seed if seed.exists() else None)
        told = json.loads((lab.folder / "documents.json").read_text())["/openstack/latest/user_data"]
        # The user-data that starts the channel is on the disk, too.
        assert guest.UNIT in told
        if seed.exists():
            assert told.encode() in seed.read_bytes()
    machines.discard(folder)
    assert not seed.exists()


def test_both_networks_offer_an_ipv6_default_route() -> None:
    prefixes = {network.prefix6 for network in machines.NETWORKS}
    assert None not in prefixes
    assert len(prefixes) == len(machines.NETWORKS)


def test_the_first_network_answers_last() -> None:
    delays = [network.reply_delay for network in machines.NETWORKS]
    assert delays[0] > max(delays[1:])


@pytest.mark.parametrize(
    ("available", "processors", "room"), [(8000, 2, True), (8000, 1, False), (3000, 2, False), (0, 2, False)]
)
def test_two_boots_at_once_need_memory_and_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int, processors: int, room: bool
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 99999999 kB\nMemAvailable: {available * 1024} kB\n" if available else "")
    monkeypatch.setattr(session, "_MEMINFO", meminfo)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(processors)))
    assert session._room_for_two() is room
