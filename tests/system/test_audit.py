"""The audit on a real Keystone and Glance: what it finds, what it mends, and that it touches nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cloud_images import image
from cloud_services import Cloud
from fault_proxy import Fault, proxy

from goldsmith import cli
from goldsmith.errors import ExitCode
from goldsmith.publish.glance.service import Glance, connect
from goldsmith.store import manifest as manifests

Image = dict[str, Any]
GOOD = {"os_type": "linux", "hw_disk_bus": "virtio", "os_distro": "debian"}
MAPPING = json.dumps([{"source_type": "snapshot", "snapshot_id": "0f2a", "boot_index": 0}])


@pytest.fixture
def images(member: Glance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Names to ids: one image for each thing that others break, and some that are right."""
    monkeypatch.setenv("GOLDSMITH_IMAGES", str(tmp_path / "images"))
    # What the local catalogue knows of a golden image: what it was published with.
    (tmp_path / "images").mkdir()
    _, manifest = image(tmp_path / "made", "golden")
    manifest = manifest.model_copy(update={"properties": GOOD})
    manifests.write(tmp_path / "images/golden.json", manifest)
    made: dict[str, str] = {}

    def add(name: str, **properties: str) -> None:
        volume = "block_device_mapping" in properties
        record = member.create({"name": name, "disk_format": "raw", "container_format": "bare", **properties})
        made[name] = record["id"]
        headers = {"Content-Type": "application/octet-stream"}
        member.request("PUT", f"/images/{record['id']}/file", data=b"" if volume else b"x" * 64, headers=headers)

    add("good", **GOOD)
    add("removed", hw_disk_bus="virtio", os_distro="debian")
    add("windows", os_type="Windows", os_distro="windows")
    add("drifted", **{**GOOD, "hw_disk_bus": "ide", "goldsmith_build": manifest.sha256})
    add("snapshot", image_type="snapshot", base_image_ref=made["good"], hw_disk_bus="virtio")
    add("volume-snapshot", block_device_mapping=MAPPING, bdm_v2="True", os_distro="windows")
    add("unsure", **{**GOOD, "hw_disk_bus": "virtoi"})
    add("other", department="physics", os_type="windows")
    return made


def _all(cloud: str) -> dict[str, Image]:
    return {image["id"]: image for image in connect(cloud).images()}


def _audit(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = cli.main(["--json", "audit", *words])
    return code, json.loads(capsys.readouterr().out)


def test_audit_finds_and_mends_and_touches_nothing_else(
    images: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = _all("member")

    code, found = _audit(capsys, "--cloud", "member")
    assert code == ExitCode.CHECK_FAILED
    wrong = {each["name"]: each for each in found["wrong"] if each["id"] in images.values()}
    assert set(wrong) == {"removed", "windows", "drifted", "snapshot", "volume-snapshot", "unsure"}
    assert (wrong["snapshot"]["kind"], wrong["volume-snapshot"]["kind"]) == ("snapshot", "volume-snapshot")
    assert _all("member") == before

    assert cli.main(["audit", "--cloud", "reader", "--fix"]) == ExitCode.BAD_INPUT
    assert "may not" in capsys.readouterr().err
    assert _all("member") == before

    code = cli.main(["audit", "--cloud", "member", "--fix"])
    shown = capsys.readouterr()
    assert f"{len(found['wrong'])} with findings" in shown.out, shown.err
    assert code == ExitCode.CHECK_FAILED
    after = _all("member")
    repaired = {
        "removed": {"os_type": "linux"},
        "windows": {"os_type": "windows"},
        "drifted": {"hw_disk_bus": "virtio"},
        "snapshot": {"os_type": "linux"},
        "volume-snapshot": {"os_type": "windows"},
    }
    by_id = {images[name]: change for name, change in repaired.items()}
    for image_id, was in before.items():
        stamp = {"updated_at": after[image_id]["updated_at"]} if image_id in by_id else {}
        assert after[image_id] == was | by_id.get(image_id, {}) | stamp

    _, found = _audit(capsys, "--cloud", "admin", "--all-projects")
    assert [each["name"] for each in found["wrong"] if each["id"] in images.values()] == ["unsure"]


def test_one_repair_that_is_refused_does_not_hold_up_the_others(
    cloud: Cloud,
    images: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = images["removed"]
    with proxy(cloud.glance.port) as server:
        spoiled = cloud.entry("member", image_endpoint_override=server.url)
        path = cloud.write_clouds(tmp_path / "clouds.yaml", spoiled=spoiled)
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
        server.faults = [Fault(f"PATCH .*/{broken}", status=500, times=9)]
        code, found = _audit(capsys, "--cloud", "spoiled", "--fix")
    assert code == ExitCode.HOST
    by_name = {each["name"]: each for each in found["wrong"]}
    assert "500" in by_name["removed"]["failed"]
    assert [each["fixed"] for each in by_name["removed"]["findings"]] == [False]
    assert all(by_name[name]["failed"] is None for name in by_name if name != "removed")
    assert _all("member")[images["windows"]]["os_type"] == "windows"
    # The next run does what is missing.
    assert cli.main(["audit", "--cloud", "member", "--fix"]) == ExitCode.CHECK_FAILED
    assert _all("member")[broken]["os_type"] == "linux"


def test_all_projects_without_the_role_is_said(images: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["audit", "--cloud", "member", "--all-projects"])
    assert "without the role admin" in capsys.readouterr().err
    cli.main(["audit", "--cloud", "admin", "--all-projects"])
    assert "without the role admin" not in capsys.readouterr().err
