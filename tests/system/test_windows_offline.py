"""goldsmith run on a disk that looks like Windows: its registry, proven by a parser that has no code of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import windows_bakes
from early_jobs import EarlyJobs
from windows_bakes import CONF, LOGS, POLICY, Bake, Dirty, Server, recipe_for

from goldsmith.bake import registry_logs
from goldsmith.bake.registry_reader import Hive
from windows_samples import real

pytestmark = pytest.mark.system

CLOCK = "Control\\TimeZoneInformation"
BESIDE = {"manifest": ".json", "properties": ".properties.json"}


def begin_early(jobs: EarlyJobs) -> None:
    jobs.begin("windows-server", windows_bakes.server)
    jobs.begin("windows-dirty", windows_bakes.dirty)
    jobs.begin("windows-hibernated", windows_bakes.hibernated)


@pytest.fixture(scope="module")
def server(early: EarlyJobs) -> Server:
    return early.result("windows-server")


@pytest.fixture(scope="module")
def dirty(early: EarlyJobs) -> Dirty:
    return early.result("windows-dirty")


def test_the_value_is_in_the_current_control_set_and_in_no_other(server: Server, tmp_path: Path) -> None:
    from regipy.registry import RegistryHive

    hive = tmp_path / "SYSTEM"
    hive.write_bytes(server.hives[1])
    seen = {}
    for number in ("001", "002"):
        key = RegistryHive(str(hive)).get_key(f"\\ControlSet{number}\\{CLOCK}")
        seen[number] = [(v.value_type, v.value) for v in key.iter_values() if v.name == "RealTimeIsUniversal"]
    assert seen == {"001": [("REG_DWORD", 1)], "002": []}


def test_all_else_is_as_it_was(server: Server) -> None:
    before, after = (Hive(content).everything() for content in server.hives)
    differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {"\\".join(key) for key in differing} == {
        f"ControlSet001\\{CLOCK}",
        "\\".join(POLICY),
        "MountedDevices",
    }
    mounted = ("MountedDevices",)
    gone = set(before[mounted]) - set(after[mounted])
    assert gone == {"\\DosDevices\\D:", "\\DosDevices\\E:"}


def test_libguestfs_sees_what_the_elements_say_and_properties_match(server: Server) -> None:
    image = server.bake.image
    (recipe,) = server.bake.result.document["recipes"]
    verdicts = recipe["report"]["verdicts"]
    assert {verdict["element"] for verdict in verdicts} >= {"windows-clock", "windows-drive-letters"}
    assert {verdict["status"] for verdict in verdicts} == {"pass"}
    assert recipe["report"]["firmware"] == []
    beside = {name: json.loads(image.with_suffix(suffix).read_text()) for name, suffix in BESIDE.items()}
    assert beside["properties"] == beside["manifest"]["properties"]
    # The elements say os_type; the rest was found in the image, the processor by cmd.exe.
    assert beside["properties"] == {
        "architecture": "i686",
        "hw_disk_bus": "virtio",
        "hw_firmware_type": "bios",
        "hw_vif_model": "virtio",
        "os_distro": "windows",
        "os_type": "windows",
        "os_version": "10.0",
    }
    # What it was looked for, and is not there: properties that need it would be refused.
    assert beside["manifest"]["lacks"] == ["qemu-guest-agent", "vioscsi"]
    kept = image.with_name(f"{image.stem}.SYSTEM.before")
    assert kept.stat().st_size > 2**20


def test_cloudbase_init_will_not_take_it_back(server: Server) -> None:
    assert server.conf == CONF.replace(b"=false", b"=true")


def test_the_base_is_as_it_was(server: Server) -> None:
    assert server.bake.after == server.bake.before


def test_the_checks_fail_on_the_base(server: Server) -> None:
    """The control: the same checks, on the image that nobody touched."""
    result = server.control
    assert result.returncode == 1, result.stderr
    failed = {verdict["element"] for verdict in result.document["verdicts"] if verdict["status"] == "fail"}
    assert failed == {"windows-clock", "windows-disks-online", "windows-drive-letters"}


def test_a_dirty_hive_is_refused_and_nothing_is_left(dirty: Dirty) -> None:
    refused = dirty.refused
    assert refused.result.returncode == 2, refused.result.stderr
    assert "is dirty: its sequence numbers are 1622 and 1621" in refused.result.stderr
    assert "--recover-registry" in refused.result.stderr
    assert refused.after == refused.before
    assert not refused.left


def test_with_the_logs_replayed_their_changes_and_ours_are_there(dirty: Dirty, tmp_path: Path) -> None:
    from regipy.registry import RegistryHive

    content = dirty.files["SYSTEM"]
    after = tmp_path / "SYSTEM"
    after.write_bytes(content)
    replayed = tmp_path / "replayed"
    replayed.write_bytes(real("SYSTEM_B"))
    logs = [tmp_path / log for log in LOGS]
    for log in logs:
        log.write_bytes(real(f"SYSTEM_B.{log.name}"))
    registry_logs.recover(replayed, *logs)
    theirs, ours = Hive(replayed.read_bytes()).everything(), Hive(content).everything()
    assert {"\\".join(key) for key in theirs if theirs[key] != ours[key]} == {f"ControlSet001\\{CLOCK}"}
    # The hive was written to its logs alone: without them this parser finds another one.
    zone = RegistryHive(str(after)).get_key(f"\\ControlSet001\\{CLOCK}")
    assert zone.get_value("RealTimeIsUniversal") == 1
    assert zone.get_value("TimeZoneKeyName") == "Eastern Standard Time"
    assert real("SYSTEM_B")[4096:] not in (replayed.read_bytes()[4096:], content[4096:])
    # Where Windows looks for logs there is nothing to replay, and the hive as it was is kept beside the image.
    assert [dirty.files[f"SYSTEM.{log}"] for log in LOGS] == [b"", b""]
    assert (dirty.recovered.image.parent / "SYSTEM.before").read_bytes() == real("SYSTEM_B")
    assert dirty.recovered.after == dirty.recovered.before


def test_a_hibernated_windows_is_refused_and_stays_as_it_is(early: EarlyJobs) -> None:
    bake: Bake = early.result("windows-hibernated")
    assert bake.result.returncode == 2, bake.result.stderr
    assert "cannot be written" in bake.result.stderr
    assert "powercfg /h off" in bake.result.stderr
    assert bake.after == bake.before


@pytest.mark.parametrize(
    ("elements", "more", "said"),
    [
        (({"windows-clock": {"hosts": "local", "universal": True}},), {}, "the clock is wrong by H at boot"),
        (("windows-clock",), {"properties": {"os_type": "Windows"}}, "nova compares the raw string"),
    ],
    ids=["local-and-universal", "os_type"],
)
def test_a_clock_that_cannot_be_right_is_refused_with_the_reason(
    workshop, tmp_path: Path, elements: tuple[Any, ...], more: dict[str, Any], said: str
) -> None:
    # It comes to nothing before the base is looked at.
    base = tmp_path / "base.raw"
    base.write_bytes(bytes(512))
    result = workshop.goldsmith("build", recipe_for(tmp_path, "windows-wrong", base, elements, **more))
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
