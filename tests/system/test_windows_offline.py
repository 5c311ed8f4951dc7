"""goldsmith run on a disk that looks like Windows: its registry, proven by a parser that has no code of ours."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from system_help import Result
from windows_disks import CLOUDBASE, CONFIG, WindowsDisks

from goldsmith.bake import registry_logs
from goldsmith.bake.registry_reader import Hive
from goldsmith.boot import guestfs
from goldsmith.host.files import file_digest
from windows_samples import dword, real

pytestmark = pytest.mark.system

#: of the real hive it is 1 already
POLICY = ("ControlSet001", "services", "partmgr", "Parameters")
CLOCK = "Control\\TimeZoneInformation"
CONF = b"[DEFAULT]\r\nusername=Admin\r\nreal_time_clock_utc=false\r\n"


@dataclass(frozen=True)
class Baked:
    """``base`` before, ``image`` after; ``before`` is the base's digest."""

    base: Path
    before: str
    image: Path
    result: Result


BESIDE = {"manifest": ".json", "properties": ".properties.json"}
ALL: tuple[Any, ...] = (
    {"windows-clock": {"hosts": "utc"}},
    "windows-disks-online",
    {"windows-drive-letters": {"free": ["D", "E"]}},
)


def _recipe(folder: Path, name: str, base: Path, elements: tuple[Any, ...] = ALL, **more: Any) -> Path:
    document = {
        "name": name,
        "base": {"image": str(base), "sha256": file_digest(base)},
        "elements": list(elements),
        "disk": {"firmware": ["bios"]},
        **more,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("windows-offline")


@pytest.fixture(scope="module")
def baked(workshop, folder: Path) -> Baked:
    base = WindowsDisks(folder).mbr("server", {CLOUDBASE: CONF}, edits={POLICY: {"SanPolicy": dword(2)}})
    before = file_digest(base)
    result = workshop.goldsmith("run", _recipe(folder, "windows-server", base))
    assert result.returncode == 0, result.stderr
    return Baked(base, before, Path(result.document["recipes"][0]["image"]), result)


def _downloaded(image: Path, image_format: str, path: str, target: Path, accelerator) -> bytes:
    with guestfs.launched([(image, image_format)], accelerator, readonly=True) as (handle, (device,)):
        handle.mount_ro(f"{device}1", "/")
        handle.download(handle.case_sensitive_path(path), str(target))
    return target.read_bytes()


@pytest.fixture(scope="module")
def hives(baked: Baked, folder: Path, accelerator) -> tuple[Path, Path]:
    """SYSTEM before and after."""
    before, after = folder / "SYSTEM.before", folder / "SYSTEM.after"
    _downloaded(baked.base, "raw", f"/{CONFIG}/SYSTEM", before, accelerator)
    _downloaded(baked.image, "qcow2", f"/{CONFIG}/SYSTEM", after, accelerator)
    return before, after


def test_the_value_is_in_the_current_control_set_and_in_no_other(hives: tuple[Path, Path]) -> None:
    from regipy.registry import RegistryHive

    seen = {}
    for number in ("001", "002"):
        key = RegistryHive(str(hives[1])).get_key(f"\\ControlSet{number}\\{CLOCK}")
        seen[number] = [(v.value_type, v.value) for v in key.iter_values() if v.name == "RealTimeIsUniversal"]
    assert seen == {"001": [("REG_DWORD", 1)], "002": []}


def test_all_else_is_as_it_was(hives: tuple[Path, Path]) -> None:
    before, after = (Hive(path.read_bytes()).everything() for path in hives)
    differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {"\\".join(key) for key in differing} == {
        f"ControlSet001\\{CLOCK}",
        "\\".join(POLICY),
        "MountedDevices",
    }
    mounted = ("MountedDevices",)
    gone = set(before[mounted]) - set(after[mounted])
    assert gone == {"\\DosDevices\\D:", "\\DosDevices\\E:"}


def test_libguestfs_sees_what_the_elements_say_and_properties_match(baked: Baked) -> None:
    (recipe,) = baked.result.document["recipes"]
    verdicts = recipe["report"]["verdicts"]
    assert {verdict["element"] for verdict in verdicts} >= {"windows-clock", "windows-drive-letters"}
    assert {verdict["status"] for verdict in verdicts} == {"pass"}
    assert recipe["report"]["firmware"] == []
    beside = {name: json.loads((baked.image.with_suffix(suffix)).read_text()) for name, suffix in BESIDE.items()}
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
    kept = baked.image.with_name(f"{baked.image.stem}.SYSTEM.before")
    assert kept.stat().st_size > 2**20


def test_cloudbase_init_will_not_take_it_back(baked: Baked, folder: Path, accelerator) -> None:
    text = _downloaded(baked.image, "qcow2", f"/{CLOUDBASE}", folder / "conf", accelerator)
    assert text == CONF.replace(b"=false", b"=true")


def test_the_base_is_as_it_was(baked: Baked) -> None:
    assert file_digest(baked.base) == baked.before


def test_the_checks_fail_on_the_base(workshop, baked: Baked, folder: Path) -> None:
    """The control: the same checks, on the image that nobody touched."""
    untouched = folder / "untouched.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", baked.base, untouched], check=True)
    recipe = _recipe(folder, "windows-server", baked.base)
    result = workshop.goldsmith("verify", untouched, "--recipe", recipe)
    assert result.returncode == 1, result.stderr
    failed = {verdict["element"] for verdict in result.document["verdicts"] if verdict["status"] == "fail"}
    assert failed == {"windows-clock", "windows-disks-online", "windows-drive-letters"}


@pytest.fixture(scope="module")
def dirty(folder: Path) -> Path:
    """A hive that its computer did not close, with its logs: what is in force lies in them."""
    logs = {f"{CONFIG}/SYSTEM.{log}": real(f"SYSTEM_B.{log}") for log in ("LOG1", "LOG2")}
    return WindowsDisks(folder).mbr("dirty", logs, hive=real("SYSTEM_B"))


def test_a_dirty_hive_is_refused_and_nothing_is_left(workshop, folder: Path, dirty: Path) -> None:
    before = file_digest(dirty)
    result = workshop.goldsmith("build", _recipe(folder, "windows-dirty", dirty, ("windows-clock",)))
    assert result.returncode == 2, result.stderr
    assert "is dirty: its sequence numbers are 1622 and 1621" in result.stderr
    assert "--recover-registry" in result.stderr
    assert file_digest(dirty) == before
    assert not list(workshop.settings.work_dir.glob("build-*"))


def test_with_the_logs_replayed_their_changes_and_ours_are_there(
    workshop, folder: Path, dirty: Path, accelerator, tmp_path: Path
) -> None:
    from regipy.registry import RegistryHive

    before = file_digest(dirty)
    recipe = _recipe(folder, "windows-recovered", dirty, ("windows-clock",))
    result = workshop.goldsmith("build", "--recover-registry", recipe)
    assert result.returncode == 0, result.stderr
    image = Path(result.document["recipes"][0]["image"])
    after = tmp_path / "SYSTEM"
    content = _downloaded(image, "qcow2", f"/{CONFIG}/SYSTEM", after, accelerator)

    replayed = tmp_path / "replayed"
    replayed.write_bytes(real("SYSTEM_B"))
    logs = [tmp_path / "LOG1", tmp_path / "LOG2"]
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
    for log in ("LOG1", "LOG2"):
        assert _downloaded(image, "qcow2", f"/{CONFIG}/SYSTEM.{log}", tmp_path / "log", accelerator) == b""
    assert (image.parent / "SYSTEM.before").read_bytes() == real("SYSTEM_B")
    assert file_digest(dirty) == before


def test_a_hibernated_windows_is_refused_and_stays_as_it_is(workshop, folder: Path) -> None:
    base = WindowsDisks(folder).gpt("hibernated")
    before = file_digest(base)
    result = workshop.goldsmith("build", _recipe(folder, "windows-hibernated", base, ("windows-clock",)))
    assert result.returncode == 2, result.stderr
    assert "cannot be written" in result.stderr
    assert "powercfg /h off" in result.stderr
    assert file_digest(base) == before


@pytest.mark.parametrize(
    ("elements", "more", "said"),
    [
        (({"windows-clock": {"hosts": "local", "universal": True}},), {}, "the clock is wrong by H at boot"),
        (("windows-clock",), {"properties": {"os_type": "Windows"}}, "nova compares the raw string"),
    ],
    ids=["local-and-universal", "os_type"],
)
def test_a_clock_that_cannot_be_right_is_refused_with_the_reason(
    workshop, folder: Path, baked: Baked, elements: tuple[Any, ...], more: dict[str, Any], said: str
) -> None:
    result = workshop.goldsmith("build", _recipe(folder, "windows-wrong", baked.base, elements, **more))
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
