"""States of a machine whose guest is one boot sector that speaks the guest channel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldsmith.boot import snapshot
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.launcher import LocalLauncher
from goldsmith.boot.machine import Hardware, Machine, Port
from goldsmith.errors import HarnessError, InputError
from goldsmith.host.deadline import Deadline
from goldsmith.settings import Settings


def _said(text: bytes) -> bytes:
    return b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in text)  # mov al, c; out dx, al


def talking_sector() -> bytes:
    """Says READY on ttyS1, answers each line with the same line, and counts them in the screen's first cell.

    Real mode at 0000:7C00; 2F8h is the second UART.
    """
    start = (
        b"\xb8\x00\xb8\x8e\xc0"  # mov ax, 0xb800; mov es, ax
        b"\x26\xc6\x06\x00\x00\x2f"  # mov byte [es:0], '0' - 1
        b"\xba\xf8\x02" + _said(b"@goldsmith READY b\n")  # mov dx, 0x2f8
    )
    each = b"\x26\xfe\x06\x00\x00\xba\xf8\x02" + _said(b"@goldsmith ")  # inc byte [es:0]; mov dx, 0x2f8
    look = b"\xba\xfd\x02\xec\xa8\x01\x74\xf8"  # mov dx, 0x2fd; in al, dx; test al, 1; jz look
    take = b"\xba\xf8\x02\xec\xee\x3c\x0a"  # mov dx, 0x2f8; in al, dx; out dx, al; cmp al, '\n'
    after = len(look) + len(take) + 2
    return start + each + look + take + b"\x74" + bytes([256 - after - len(each)]) + b"\xeb" + bytes([256 - after - 2])


@pytest.fixture
def talking_disk(tmp_path: Path) -> Path:
    disk = tmp_path / "talking.raw"
    disk.write_bytes(talking_sector().ljust(510, b"\x00") + b"\x55\xaa" + bytes(1 << 20))
    return disk


def hardware(disk: Path, **more: object) -> Hardware:
    return Hardware(disk, disk_format="raw", memory=64, cpus=1, credentials={}, **more)  # type: ignore[arg-type]


@pytest.fixture
def talking(settings: Settings, emulation: Accelerator, talking_disk: Path, tmp_path: Path) -> Iterator[Machine]:
    folder = tmp_path / "run"
    with Machine(settings, hardware(talking_disk), folder, emulation, LocalLauncher()) as machine:
        machine.guest.wait_ready(Deadline.after(60))
        settle(machine, 1)
        yield machine


def lines(machine: Machine) -> int:
    """How many lines the guest has heard."""
    return int(machine.monitor.human("xp /1xb 0xb8000").split()[-1], 16) - ord("0")


def hear(machine: Machine, number: int) -> int:
    """Say ``number`` lines to the guest; how many it has heard in all."""
    before = lines(machine)
    for _ in range(number):
        machine.guest.wait_ready(Deadline.after(30))
    settle(machine, before + number)
    return before + number


def settle(machine: Machine, *numbers: int) -> None:
    """Wait until the guest has counted; it answers a line before it counts it."""
    Deadline.after(30).wait_for(lambda: lines(machine) in numbers, f"it has heard {lines(machine)}", interval=0.02)


def settle_again(machine: Machine, before: int) -> None:
    """The same where it went back: the line that asks whether it is there was heard, and once more where the head of
    the first answer was said before the state was saved.
    """
    settle(machine, before + 1, before + 2)


def test_a_guest_goes_back_to_where_it_was(talking: Machine) -> None:
    before = hear(talking, 2)
    talking.save("settled")
    assert hear(talking, 3) == before + 3
    for _ in range(2):
        talking.restore("settled", Deadline.after(30))
        # The answer that proves that it is there is a line, too.
        settle_again(talking, before)


def test_a_state_is_saved_over_an_older_one(talking: Machine) -> None:
    talking.save("settled")
    now = hear(talking, 2)
    talking.save("settled")
    talking.restore("settled", Deadline.after(30))
    settle_again(talking, now)
    assert talking.monitor.human("info snapshots").count("settled") == 1


def test_another_machine_goes_on_from_a_kept_state(
    talking: Machine, settings: Settings, emulation: Accelerator, talking_disk: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    hear(talking, 2)
    settle(talking, 3)
    saved = talking.keep("settled", kept, Deadline.after(30))
    settle(talking, before := 4)
    assert hear(talking, 1) > before, "the guest goes on"
    talking.quit()
    saved = snapshot.Saved(saved.folder, saved.name, saved.boot, b"what was shown\r\n")
    for number in range(2):
        folder = tmp_path / f"again-{number}"
        with Machine(settings, hardware(talking_disk, saved=saved), folder, emulation, LocalLauncher()) as machine:
            assert machine.guest.wait_ready(Deadline.after(30)) == "b"
            settle_again(machine, before)
            assert machine.console.tail() == "what was shown"
            assert machine.console_log.read_bytes() == b"what was shown\r\n"
            # The state came along with the drive.
            hear(machine, 2)
            machine.restore("settled", Deadline.after(30))
            settle_again(machine, before)


def test_uefis_variables_are_in_it_too(
    settings: Settings, emulation: Accelerator, talking_disk: Path, tmp_path: Path
) -> None:
    made = Hardware(talking_disk, disk_format="raw", firmware="uefi", memory=256, cpus=1)
    with Machine(settings, made, tmp_path / "run", emulation, LocalLauncher()) as machine:
        time.sleep(1)
        machine.save("early")
        snapshot.load(machine.monitor, "early")
        listed = machine.monitor.human("info snapshots")
        assert "early" in listed
        assert machine.monitor.execute("query-status")["status"] == "running"


@pytest.mark.parametrize("name", ["", "1", "a b", "Settled", "-x", "a\nquit"])
def test_a_bad_name_is_refused(talking: Machine, name: str) -> None:
    with pytest.raises(InputError, match="no name of a snapshot"):
        talking.save(name)
    assert talking.running
    hear(talking, 1)


def test_there_is_no_way_back_to_nowhere(talking: Machine) -> None:
    with pytest.raises(InputError, match="saved: none"):
        talking.restore("settled", Deadline.after(5))
    talking.save("settled")
    talking.plug(Port("fa:16:3e:00:00:07", None))
    with pytest.raises(HarnessError, match="plugged in since"):
        talking.restore("settled", Deadline.after(5))


def test_a_machine_without_a_disk_has_nowhere_to_keep_it(
    settings: Settings, emulation: Accelerator, tmp_path: Path
) -> None:
    made = Hardware(None, memory=64, cpus=1)
    with (
        Machine(settings, made, tmp_path / "run", emulation, LocalLauncher()) as machine,
        pytest.raises(HarnessError, match="savevm settled"),
    ):
        machine.save("settled")


def test_a_kept_state_that_is_damaged_is_said_by_qemu(
    talking: Machine, settings: Settings, emulation: Accelerator, talking_disk: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    saved = talking.keep("settled", kept, Deadline.after(30))
    talking.quit()
    absent = snapshot.Saved(saved.folder, "other", saved.boot)
    with pytest.raises(HarnessError, match="other"):
        Machine(settings, hardware(talking_disk, saved=absent), tmp_path / "a", emulation, LocalLauncher()).start()
    (kept / snapshot.DISK).write_bytes(b"\0" * 4096)
    with pytest.raises(HarnessError, match="qcow2"):
        Machine(settings, hardware(talking_disk, saved=saved), tmp_path / "b", emulation, LocalLauncher()).start()
