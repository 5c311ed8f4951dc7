"""The guest channel against the real probe.sh on a pseudo-terminal instead of a serial port."""

from __future__ import annotations

import base64
import os
import pty
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from goldsmith.boot import guest as guest_module
from goldsmith.boot.guest import PART, Guest, credentials
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline


class Line:
    """A serial line: bytes between a pseudo-terminal's master and a socket, with a place to lose some."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.master, slave = pty.openpty()
        self.port = os.ttyname(slave)
        self._slave = slave
        self.to_guest: Callable[[bytes], bytes] = lambda data: data
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        while True:
            ready, _, _ = select.select([self.master, self.theirs], [], [])
            if self.master in ready:
                self.theirs.sendall(os.read(self.master, 65536))
            if self.theirs in ready:
                data = self.theirs.recv(65536)
                if not data:
                    return
                os.write(self.master, self.to_guest(data))

    def unplug(self) -> None:
        """What the host sees when QEMU ends."""
        self.theirs.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line() -> Line:
    return Line()


def start_probe(line: Line, folder: Path) -> subprocess.Popen[bytes]:
    text = credentials()["goldsmith.probe"].decode()
    changed = text.replace("tty=/dev/ttyS1", f"tty={line.port}").replace("/run/goldsmith-probe", str(folder / "run"))
    assert changed.count(line.port) == 1
    script = folder / "probe.sh"
    script.write_text(changed)
    return subprocess.Popen(["/bin/sh", script], stdin=subprocess.DEVNULL, start_new_session=True, cwd="/")


@pytest.fixture
def guest(line: Line, tmp_path: Path) -> Iterator[Guest]:
    with closing(Guest(line.ours, last_words=lambda: "the last console line", scale=0.05)) as guest:
        process = start_probe(line, tmp_path)
        yield guest
        process.kill()
        process.wait()


def soon(seconds: float = 20) -> Deadline:
    return Deadline.after(seconds)


def test_ready_names_the_boot(guest: Guest) -> None:
    assert guest.wait_ready(soon()) == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.mark.parametrize(
    ("command", "returncode", "stdout", "stderr"),
    [
        ("true", 0, "", ""),
        ("exit 7", 7, "", ""),
        ("echo out; echo err >&2; false", 1, "out\n", "err\n"),
        ("printf 'no newline'", 0, "no newline", ""),
        ("printf '%s' \"it's \\$5 50% ü\"", 0, "it's $5 50% ü", ""),
        ("echo '@goldsmith X 1 9 0 0'", 0, "@goldsmith X 1 9 0 0\n", ""),
        ("cat", 0, "", ""),
        ("for n in 1 2; do\n  echo $n\ndone", 0, "1\n2\n", ""),
        ("kill -9 $$", 137, "", ""),
        ("pwd", 0, "/\n", ""),
    ],
)
def test_a_commands_end_comes_back_whole(guest: Guest, command: str, returncode: int, stdout: str, stderr: str) -> None:
    guest.wait_ready(soon())
    result = guest.run(command, soon())
    assert (result.returncode, result.stdout) == (returncode, stdout)
    assert stderr in result.stderr
    assert not result.cut


def test_a_long_command_goes_in_parts(guest: Guest, tmp_path: Path) -> None:
    guest.wait_ready(soon())
    text = "x" * (10 * PART)
    assert guest.run(f"echo {text} | wc -c", soon()).stdout.strip() == str(len(text) + 1)


def test_bulky_output_comes_back_and_too_much_is_cut(guest: Guest) -> None:
    guest.wait_ready(soon())
    whole = guest.run("seq 1 100000", soon())
    assert whole.stdout == "".join(f"{n}\n" for n in range(1, 100001))
    assert not whole.cut
    cut = guest.run("head -c 2000000 /dev/zero | tr '\\0' x", soon())
    assert cut.cut
    assert len(cut.stdout) == 1 << 20


def test_binary_output_is_replaced_not_fatal(guest: Guest) -> None:
    guest.wait_ready(soon())
    assert guest.run("printf '\\377ok'", soon()).stdout == "\ufffdok"


def test_a_command_past_its_deadline_is_killed_and_the_next_one_works(guest: Guest) -> None:
    guest.wait_ready(soon())
    with pytest.raises(DeadlineError, match="sleep 60") as caught:
        guest.run("sleep 60", soon(1))
    assert "the last console line" in str(caught.value)
    assert guest.run("echo still here", soon()).stdout == "still here\n"


def test_a_background_job_does_not_hold_the_channel(guest: Guest) -> None:
    guest.wait_ready(soon())
    started = time.monotonic()
    assert guest.run("sleep 30 & echo started", soon()).stdout == "started\n"
    assert guest.run("echo next", soon()).stdout == "next\n"
    assert time.monotonic() - started < 15


def test_nothing_stays_in_the_guest(guest: Guest, tmp_path: Path) -> None:
    guest.wait_ready(soon())
    guest.run("echo", soon())
    deadline = soon()
    deadline.wait_for(lambda: not (tmp_path / "run").exists(), "the scratch folder is gone")


def test_a_lost_part_is_sent_again(guest: Guest, line: Line) -> None:
    guest.wait_ready(soon())
    lost: list[bytes] = []

    def lose_first(data: bytes) -> bytes:
        if data.startswith(b"C ") and not lost:
            lost.append(data)
            return b""
        return data

    line.to_guest = lose_first
    assert guest.run("echo arrived", soon()).stdout == "arrived\n"
    assert lost


def test_a_damaged_number_of_parts_starts_over(guest: Guest, line: Line) -> None:
    guest.wait_ready(soon())
    seen: list[bytes] = []

    def damage_first(data: bytes) -> bytes:
        if data.startswith(b"R ") and not seen:
            seen.append(data)
            return data.replace(b"R 1 1 ", b"R 1 2 ")
        return data

    line.to_guest = damage_first
    assert guest.run("echo again", soon()).stdout == "again\n"


def test_noise_on_the_line_is_ignored(guest: Guest, line: Line) -> None:
    guest.wait_ready(soon())
    line.theirs.sendall(b"noise\n\xff@goldsmith\n@goldsmith X\n@goldsmith A 1 x\n@goldsmith X 99 0 0 0\n")
    os.write(line.master, b"\nnoise\nR 99 1 5\nC\n")
    assert guest.run("echo fine", soon()).stdout == "fine\n"


def test_silence_before_ready_is_an_error_with_the_console(line: Line) -> None:
    with closing(Guest(line.ours, last_words=lambda: "Kernel panic")) as guest:
        with pytest.raises(DeadlineError, match="did not start it") as caught:
            guest.wait_ready(soon(0.2))
        assert "Kernel panic" in str(caught.value)


def test_what_the_guest_lacks_is_named(line: Line) -> None:
    with (
        closing(Guest(line.ours, last_words=lambda: "", needs="cloud-init must read user-data")) as guest,
        pytest.raises(DeadlineError, match="cloud-init must read"),
    ):
        guest.wait_ready(soon(0.2))


def test_a_boot_that_is_about_to_end_does_not_count(guest: Guest, line: Line) -> None:
    before = guest.wait_ready(soon())
    with pytest.raises(DeadlineError, match="did not come back"):
        guest.wait_ready(soon(0.2), after=before)
    line.theirs.sendall(b"\n@goldsmith READY the-next\n")
    assert guest.wait_ready(soon(), after=before) == "the-next"


def test_silence_after_ready_is_an_error_with_the_console(guest: Guest, line: Line) -> None:
    guest.wait_ready(soon())
    line.to_guest = lambda data: b""
    with pytest.raises(HarnessError, match="did not take a command") as caught:
        guest.run("true", soon(1))
    assert "the last console line" in str(caught.value)


def test_a_machine_that_goes_is_noticed_at_once(guest: Guest, line: Line) -> None:
    guest.wait_ready(soon())
    threading.Timer(0.5, line.unplug).start()
    started = time.monotonic()
    with pytest.raises(HarnessError, match="the machine ended"):
        guest.run("sleep 30", soon(60))
    assert time.monotonic() - started < 10


def test_the_unit_waits_for_its_script_and_stays_out_of_an_initrd() -> None:
    unit = guest_module.unit_text("/some/script")
    head, service = unit.split("[Service]\n")
    assert "ConditionPathExists=/some/script\n" in head
    assert "ConditionPathExists=!/etc/initrd-release\n" in head
    assert "ExecStart=/bin/sh /some/script\n" in service
    assert "StandardOutput=null\n" in service
    assert "Conflicts=shutdown.target\n" in head


def test_the_unit_changes_nothing_in_the_boots_order() -> None:
    found = credentials()
    unit = found["systemd.extra-unit.goldsmith-probe.service"].decode()
    assert "DefaultDependencies=no" in unit
    assert "Before=" not in unit
    assert "After=" not in unit
    assert found["systemd.unit-dropin.sysinit.target"] == b"[Unit]\nWants=goldsmith-probe.service\n"
    assert set(found) == {
        guest_module._SCRIPT,
        "systemd.extra-unit.goldsmith-probe.service",
        "systemd.unit-dropin.sysinit.target",
    }


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_the_probe_is_clean_posix_shell() -> None:
    with resources.as_file(resources.files("goldsmith.boot") / "probe.sh") as script:
        done = subprocess.run(["shellcheck", "-s", "sh", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_handed_over_probe_is_still_a_script() -> None:
    text = credentials()["goldsmith.probe"]
    subprocess.run(["/bin/sh", "-n"], input=text, check=True)
    assert len(base64.b64encode(text)) < 4096
