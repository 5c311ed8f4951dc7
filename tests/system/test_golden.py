"""The main job, end to end: recipe, diskimage-builder, disk, boot, proof, catalogue."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from system_help import boot_plainly, claim_all

from goldsmith.boot.accelerator import Accelerator
from goldsmith.host.files import file_digest

pytestmark = pytest.mark.system


def test_nothing_is_left_of_a_killed_build(killed):
    for remains in killed:
        assert not remains.processes, remains
        assert not remains.mounts, remains
        assert not remains.loop_devices, remains
        assert not remains.images, remains


def test_the_next_run_succeeds_and_sweeps(golden, workshop):
    assert golden.returncode == 0, golden.stderr
    assert "left by a build that was killed" in golden.stderr
    assert workshop.litter() == []


def test_every_check_passes_with_both_firmwares(golden, golden_plan, proves):
    claim_all(golden, proves)
    verdicts = golden.document["recipes"][0]["report"]["verdicts"]
    assert {v["status"] for v in verdicts} == {"pass"}
    proven = {
        (v["element"], v["check"], v["firmware"]) for v in verdicts if v["layer"] in ("live", "screen", "network")
    }
    for firmware in ("bios", "uefi"):
        for check in ("one-default", "metadata-route", "outside-through-first"):
            assert ("single-default-route", check, firmware) in proven
        for check in ("configured", "address-1"):
            assert ("networkd", check, firmware) in proven
    assert ("text-console", "no-framebuffer", "bios") in proven
    assert ("text-console", "echo", "bios") in proven
    ran = {(v["element"], v["check"]) for v in verdicts}
    assert {(check.element, check.id) for check in golden_plan.checks} <= ran


def test_the_catalogue_holds_image_manifest_and_properties(golden, golden_image, workshop):
    folder = workshop.settings.images_dir
    manifest = json.loads((folder / "debian-13.json").read_text())
    assert manifest["sha256"] == file_digest(golden_image)
    assert {v["status"] for v in manifest["verdicts"]} == {"pass"}
    assert "systemd" in {package["name"] for package in manifest["packages"]}
    assert json.loads((folder / "debian-13.spdx.json").read_text())["spdxVersion"] == "SPDX-2.3"
    properties = json.loads((folder / "debian-13.properties.json").read_text())
    assert properties["os_distro"] == "debian"
    info = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", golden_image]))
    assert info["format"] == "qcow2"
    assert "backing-filename" not in info
    assert info["format-specific"]["data"]["compression-type"] == "zstd"


def test_the_same_command_again_does_nothing(golden, golden_image, workshop):
    before = golden_image.stat()
    again = workshop.goldsmith("run", "recipes/debian-13.yaml")
    assert again.returncode == 0, again.stderr
    (document,) = again.document["recipes"]
    assert (document["built"], document["verified"], document["published"]) == (False, False, False)
    assert golden_image.stat().st_mtime_ns == before.st_mtime_ns
    assert "diskimage-builder" not in again.stderr


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_plain_qemu_boots_it_to_a_login_prompt_and_the_root_grows(
    golden_image: Path, accelerator: Accelerator, tmp_path: Path, firmware: str
):
    """Without the lab, without metadata, without anything of goldsmith's: what an operator types."""
    disk = boot_plainly(golden_image, firmware, accelerator, tmp_path, size="5G")
    table = subprocess.check_output(["sfdisk", "--json", disk])
    (root,) = [
        p for p in json.loads(table)["partitiontable"]["partitions"] if p["node"].endswith("1") and p["size"] > 2**20
    ]
    assert (root["start"] + root["size"]) * 512 > 5 * 2**30 - 2 * 2**20
    header = subprocess.check_output(["dumpe2fs", "-h", f"{disk}?offset={root['start'] * 512}"], text=True)
    facts = dict(line.split(":", 1) for line in header.splitlines() if ":" in line)
    assert int(facts["Block count"]) * int(facts["Block size"]) > 4.7 * 2**30
