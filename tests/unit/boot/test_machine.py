from __future__ import annotations

import contextlib
import hashlib
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldsmith.boot import firmware
from goldsmith.boot import screen as vga
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.hardware import Shape
from goldsmith.boot.instance import Instance, Network
from goldsmith.boot.lab import Lab
from goldsmith.boot.launcher import LocalLauncher
from goldsmith.boot.machine import Hardware, Machine, Port
from goldsmith.boot.topology import DISK_SLOT
from goldsmith.errors import DeadlineError, HarnessError, HostError, InputError
from goldsmith.host.deadline import Deadline
from goldsmith.host.jail import user_jail
from goldsmith.settings import Settings


@pytest.fixture
def tiny(settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path) -> Iterator[Machine]:
    """A running machine with the boot sector, outside any jail, in a folder too long for a Unix socket's path."""
    folder = tmp_path / ("long-" * 30) / "run"
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1, credentials={})
    with Machine(settings, hardware, folder, emulation, LocalLauncher()) as machine:
        machine.console.wait_for("hello", Deadline.after(60))
        yield machine


def test_the_console_shows_text_without_escapes_and_takes_input(tiny: Machine) -> None:
    assert tiny.console.tail() == "hello"
    tiny.console.send("answer", Deadline.after(5))
    assert tiny.console.wait_for("a(.)swer", Deadline.after(20)).group(1) == "n"
    with pytest.raises(DeadlineError, match="hello") as caught:
        tiny.console.wait_for("hello", Deadline.after(0.3))
    assert "answer" in str(caught.value)
    assert b"\x1b[1mhello" in tiny.console_log.read_bytes()


def test_the_screen_is_text_and_echoes_keys(tiny: Machine, tmp_path: Path) -> None:
    assert tiny.screendump(tmp_path / "shot.png") == (720, 400)
    screen = tiny.screen()
    assert screen.is_text
    assert any("Booting from Hard Disk" in line for line in tiny.screen_text() or ())
    tiny.type_and_see("Ab-9_:", Deadline.after(60))
    screen = tiny.screen()
    assert screen.text is not None
    assert screen.cursor is not None
    assert "Ab-9_:" in screen.text[screen.cursor[0]]


def test_a_key_that_is_not_echoed_is_an_error(tiny: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vga, "press", lambda monitor, keys: None)
    with pytest.raises(DeadlineError, match="did not echo 'x'"):
        tiny.type_and_see("x", Deadline.after(0.5))


def test_a_guest_that_ignores_the_button_is_named_with_its_console(tiny: Machine) -> None:
    with pytest.raises(DeadlineError, match="did not power off") as caught:
        tiny.powerdown(Deadline.after(1))
    assert "hello" in str(caught.value)
    assert "POWERDOWN" in [event.name for event in tiny.monitor.events]
    assert tiny.running
    tiny.quit()
    assert not tiny.running


def test_a_machine_that_ends_is_noticed_by_all_who_wait(tiny: Machine) -> None:
    with pytest.raises(HarnessError, match="QMP no-such"):
        tiny.monitor.execute("no-such")
    tiny.monitor.execute("quit")
    started = time.monotonic()
    with pytest.raises(HarnessError, match="the machine ended"):
        tiny.console.wait_for("never", Deadline.after(60))
    with pytest.raises(HarnessError, match="the machine ended"):
        tiny.guest.wait_ready(Deadline.after(60))
    tiny.wait_off(Deadline.after(20))
    assert time.monotonic() - started < 30
    with pytest.raises(HarnessError, match="QMP query-status"):
        tiny.monitor.execute("query-status")


def test_a_guest_without_the_probe_is_a_deadline_with_the_console(tiny: Machine) -> None:
    with pytest.raises(DeadlineError, match="systemd 256") as caught:
        tiny.guest.wait_ready(Deadline.after(0.3))
    assert "hello" in str(caught.value)


def test_the_image_is_not_written(settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path) -> None:
    before = hashlib.sha256(boot_disk.read_bytes()).hexdigest()
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1)
    with Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()) as machine:
        machine.monitor.execute("human-monitor-command", {"command-line": 'qemu-io disk "write -P 7 0 64k"'})
    assert hashlib.sha256(boot_disk.read_bytes()).hexdigest() == before
    assert machine.overlay.stat().st_size > 65536


def test_it_runs_in_a_jail_too_and_ends_with_it(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1)
    with user_jail(settings.base_environment) as jail:
        machine = Machine(settings, hardware, tmp_path / "run", emulation, jail)
        machine.start()
        machine.console.wait_for("hello", Deadline.after(60))
    with pytest.raises(HarnessError, match="the machine ended"):
        machine.console.wait_for("never", Deadline.after(20))
    assert not machine.running
    machine.quit()


def test_qemu_that_dies_at_once_shows_its_words(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, rom=tmp_path / "missing.rom")
    started = time.monotonic()
    machine = Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher())
    with pytest.raises(HarnessError, match="QEMU ended with 1: qemu-system-x86_64") as caught:
        machine.start()
    assert "could not load PC BIOS" in str(caught.value.hint)
    assert time.monotonic() - started < 20
    assert not machine.running


def test_a_tap_outside_the_lab_is_refused(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    hardware = Hardware(boot_disk, disk_format="raw", ports=[Port("fa:16:3e:00:00:01", "tap0")])
    with pytest.raises(HarnessError, match="outside"):
        Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()).start()


def test_a_killed_owner_takes_a_machine_outside_a_jail_along(boot_disk: Path, tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.launcher import LocalLauncher
from goldsmith.boot.machine import Hardware, Machine
from goldsmith.settings import from_environment
hardware = Hardware(Path({str(boot_disk)!r}), disk_format="raw", memory=64, cpus=1)
run = Path({str(tmp_path / "run")!r})
machine = Machine(from_environment(), hardware, run, Accelerator("tcg", "", {{}}, 1.0), LocalLauncher())
machine.start()
print("started", flush=True)
time.sleep(60)
"""
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    assert owner.stdout.readline() == "started\n"
    folder = str(tmp_path / "run")

    def running() -> bool:
        found = False
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                found |= str((process / "cwd").readlink()) == folder
        return found

    assert running()
    owner.kill()
    owner.wait()
    owner.stdout.close()
    Deadline.after(10).wait_for(lambda: not running(), "QEMU is gone")


def test_a_missing_image_is_the_callers_fault(settings: Settings, emulation: Accelerator, tmp_path: Path) -> None:
    machine = Machine(settings, Hardware(tmp_path / "none.qcow2"), tmp_path / "run", emulation, LocalLauncher())
    with pytest.raises(InputError, match="no such image"):
        machine.start()


def test_a_seed_is_a_cd_at_the_end_of_the_ide_bus(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    # A comma separates QEMU's options.
    seed = tmp_path / "seed,1.iso"
    seed.write_bytes(bytes(2048))
    hardware = Hardware(boot_disk, disk_format="raw", seed=seed, memory=64, cpus=1)
    with Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()) as machine:
        (drive,) = [block for block in machine.monitor.execute("query-block") if block.get("device") == "seed"]
        assert drive["removable"]
        assert drive["inserted"]["ro"]
        assert drive["inserted"]["file"] == str(seed)

        def of_device(name: str) -> object:
            return machine.monitor.execute("qom-get", {"path": drive["qdev"], "property": name})

        assert (of_device("type"), of_device("unit")) == ("ide-cd", 1)
        assert str(of_device("parent_bus")).endswith("/ide.1")
        machine.console.wait_for("hello", Deadline.after(60))


def test_a_missing_seed_is_the_callers_fault(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    hardware = Hardware(boot_disk, disk_format="raw", seed=tmp_path / "none.iso")
    with pytest.raises(InputError, match="no such seed"):
        Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()).start()


def test_without_ovmf_the_remedy_is_named(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firmware, "OVMF", ())
    hardware = Hardware(boot_disk, disk_format="raw", firmware="uefi")
    with pytest.raises(HostError, match="package ovmf"):
        Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()).start()


def _variables(machine: Machine) -> bytes:
    raw = machine.folder / "vars.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", machine.folder / "vars.qcow2", raw], check=True)
    return raw.read_bytes()


def test_uefi_starts_on_a_copy_of_its_variables(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    _, template = firmware.find_ovmf()
    hardware = Hardware(boot_disk, disk_format="raw", firmware="uefi", memory=256, cpus=1)
    with Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()) as machine:
        sizes: set[tuple[int, int]] = set()
        deadline = Deadline.after(60)
        while not any(size not in vga.TEXT_MODES for size in sizes) and not deadline.passed:
            sizes.add(machine.screendump(tmp_path / "shot.png"))
            time.sleep(0.5)
        assert any(width >= 640 and height >= 480 for width, height in sizes)
    assert len(_variables(machine)) == template.stat().st_size


def test_secure_boot_starts_on_a_copy_of_the_variables_with_the_keys(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    _, template = firmware.find_secure_ovmf()
    shape = Shape("q35", secure_boot=True)
    hardware = Hardware(boot_disk, disk_format="raw", firmware="uefi", memory=256, cpus=1, shape=shape)
    machine = Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher())
    machine.prepare()
    assert _variables(machine) == template.read_bytes() != firmware.find_ovmf()[1].read_bytes()
    with machine:
        tree = machine.monitor.human("info qtree")
        assert tree.count("secure = true") == 2
        assert machine.monitor.execute("qom-get", {"path": "/machine", "property": "smm"}) == "on"


def test_nics_stand_in_slots_from_three_on_and_the_disk_beyond(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    ports = [Port("fa:16:3e:00:00:01", None), Port("fa:16:3e:00:01:01", None)]
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1, ports=ports)
    with Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()) as machine:
        buses = machine.monitor.execute("query-pci")
        slots = {device["slot"]: device["class_info"].get("desc") for device in buses[0]["devices"]}
    assert slots[3] == slots[4] == "Ethernet controller"
    assert slots[DISK_SLOT] == "SCSI controller"


def ethernet_slots(machine: Machine) -> list[int]:
    devices = machine.monitor.execute("query-pci")[0]["devices"]
    return [device["slot"] for device in devices if device["class_info"].get("desc") == "Ethernet controller"]


def test_nics_are_plugged_into_the_slots_behind_and_outlive_a_reset(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1, ports=[Port("fa:16:3e:00:00:01", None)])
    with Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()) as machine:
        machine.console.wait_for("hello", Deadline.after(60))
        machine.plug(Port("fa:16:3e:00:01:01", None))
        machine.plug(Port("fa:16:3e:00:02:01", None))
        assert "mac=fa:16:3e:00:02:01" not in " ".join(machine.command())
        assert "52:54" not in machine.monitor.human("info network")
        machine.reset()
        machine.console.wait_for("hello", Deadline.after(60))
        assert "host-qmp-system-reset" in [event.data.get("reason") for event in machine.monitor.events]
        # What was plugged in shows as a device once the firmware has seen it.
        assert ethernet_slots(machine) == [3, 4, 5]


def test_a_nic_that_qemu_refuses_leaves_nothing_and_takes_no_slot(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1)
    with Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher()) as machine:
        with pytest.raises(HarnessError, match="device_add"):
            machine.plug(Port("no MAC", None))
        with pytest.raises(HarnessError, match="outside"):
            machine.plug(Port("fa:16:3e:00:00:01", "tap0"))
        machine.plug(Port("fa:16:3e:00:00:01", None))
        assert machine.monitor.human("info network").count("fa:16:3e:00:00:01") == 1


def test_a_nic_is_plugged_into_a_tap_of_the_lab(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    network = Network("front", "10.20.0.0/24", "10.20.0.1")
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1)
    with (
        Lab(settings, [network], Instance("6a1d0bb2-95f8-4b6c-8c1e-7d1f37f1b7c0", "guest")) as lab,
        Machine(settings, hardware, tmp_path / "run", emulation, lab.jail) as machine,
    ):
        tap = lab.tap(network)
        machine.plug(Port("fa:16:3e:00:00:01", tap))
        assert f"ifname={tap}" in machine.monitor.human("info network")


def test_the_caller_can_have_the_console_as_it_comes_on_a_larger_disk(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    hardware = Hardware(boot_disk, disk_format="raw", memory=64, cpus=1, growth=1 << 30)
    with Machine(settings, hardware, tmp_path / "run", emulation, LocalLauncher(), own_console=True) as machine:
        machine.serial.settimeout(60)
        heard = b""
        while b"hello\x1b[0m" not in heard:
            heard += machine.serial.recv(4096)
        assert b"\x1b[1mhello\x1b[0m" in heard
        with pytest.raises(HarnessError, match="not started"):
            _ = machine.console
        (drive,) = [block for block in machine.monitor.execute("query-block") if block["device"] == "disk"]
        assert drive["inserted"]["image"]["virtual-size"] == boot_disk.stat().st_size + (1 << 30)
    assert machine.serial.fileno() == -1


def test_a_machine_that_was_not_started_says_so(
    settings: Settings, emulation: Accelerator, boot_disk: Path, tmp_path: Path
) -> None:
    machine = Machine(settings, Hardware(boot_disk), tmp_path / "run", emulation, LocalLauncher())
    with pytest.raises(HarnessError, match="not started"):
        _ = machine.console
    machine.quit()


def test_keys_of_the_whole_keyboard_are_known_to_qemu(tiny: Machine) -> None:
    typed = "".join(chr(code) for code in range(32, 127))
    keys = set(itertools.chain.from_iterable(vga.keys_of(typed)))
    schema = tiny.monitor.execute("query-qmp-schema")
    known: set[str] = set()
    for entry in schema:
        if entry["meta-type"] == "enum" and "bracket_left" in entry.get("values", ()):
            known |= set(entry["values"])
    assert keys <= known
    with pytest.raises(InputError, match="keyboard"):
        tiny.send_keys("é")
