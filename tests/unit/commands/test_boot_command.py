"""goldsmith boot, as it is typed: in a pty, with a boot sector for a guest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from goldsmith import cli
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.hardware import Shape
from goldsmith.boot.instance import Instance, make_nics
from goldsmith.commands import boot as command
from goldsmith.commands import boot_session, proofs, work
from goldsmith.commands.boot_session import Vnc, Wanted
from goldsmith.errors import InputError
from goldsmith.host.deadline import Deadline
from goldsmith.verify import machines

Captured = pytest.CaptureFixture[str]

#: writes "hello" to ttyS0, then echoes its bytes; a "!" powers the machine off (port 604h of QEMU's pc)
GUEST = (
    b"\xba\xf8\x03"  # mov dx, 0x3f8
    + b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in b"hello\r\n")  # mov al, c; out dx, al
    + b"\xba\xfd\x03\xec\xa8\x01"  # look: mov dx, 0x3fd; in al, dx; test al, 1
    + b"\x74\xf8"  # jz look
    + b"\xba\xf8\x03\xec\xee"  # mov dx, 0x3f8; in al, dx; out dx, al
    + b"\x3c\x21\x75\xef"  # cmp al, '!'; jne look
    + b"\xba\x04\x06\xb8\x00\x20\xef"  # mov dx, 0x604; mov ax, 0x2000; out dx, ax
    + b"\xeb\xe6"  # jmp look
)
#: one partition, so that it is a disk: bootable, Linux, from sector 1
PARTITION = bytes([0x80, 0, 2, 0, 0x83, 0, 2, 0]) + (1).to_bytes(4, "little") + (64).to_bytes(4, "little")

SCRIPT = """
import signal, sys
from goldsmith import cli
from goldsmith.boot import accelerator
from goldsmith.verify import machines
signal.signal(signal.SIGINT, signal.default_int_handler)
machines.MEMORY = 64
accelerator.choose = lambda settings: accelerator.Accelerator("tcg", "a test", {}, 1.0)
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A raw disk with GUEST."""
    path = tmp_path / "guest.raw"
    sector = GUEST.ljust(446, b"\x00") + PARTITION.ljust(64, b"\x00") + b"\x55\xaa"
    path.write_bytes(sector + bytes(1 << 20))
    return path


class Terminal:
    """A person at a terminal in which goldsmith runs."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.cache = folder / "cache"
        self.master, terminal = pty.openpty()
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        environment = {"HOME": str(folder), "GOLDSMITH_CACHE": str(self.cache), "PATH": path, "CI": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-c", SCRIPT, "boot", *words],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
        )
        os.close(terminal)
        self.shown = ""

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """All that was shown up to ``text``, and what came with it."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            assert self._read(0.2) or self.process.poll() is None, self.shown
        return self.shown

    def _read(self, seconds: float) -> bool:
        if select.select([self.master], [], [], seconds)[0]:
            with contextlib.suppress(OSError):
                data = os.read(self.master, 65536)
                self.shown += data.decode(errors="replace")
                return bool(data)
        return False

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def status(self) -> int:
        """The exit status, once it ended."""
        end = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.1)
        while self._read(0):
            pass
        return self.process.wait(timeout=1)

    def left(self) -> list[str]:
        """Processes that work in the cache, or know its name."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().decode(errors="replace")
                if str(self.cache) in words or str(self.cache) in str((process / "cwd").readlink()):
                    found.append(words)
        return found

    def folders(self) -> list[str]:
        return sorted(path.name for path in (self.cache / "boots").glob("*-*"))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self.master)


@pytest.fixture
def run(tmp_path: Path, disk: Path) -> Iterator[list[Terminal]]:
    terminals: list[Terminal] = []
    yield terminals
    for terminal in terminals:
        terminal.close()


def started(terminals: list[Terminal], tmp_path: Path, disk: Path, *words: str) -> Terminal:
    terminals.append(Terminal(tmp_path, str(disk), *words))
    terminals[-1].wait_for("hello\r\n")
    assert terminals[-1].left()
    return terminals[-1]


def test_a_console_in_the_terminal_until_it_is_left(run: list[Terminal], tmp_path: Path, disk: Path) -> None:
    before = hashlib.sha256(disk.read_bytes()).hexdigest()
    terminal = started(run, tmp_path, disk, "--nics", "3", "--datasource", "config-drive", "--vnc", "--ssh-port", "0")
    shown = terminal.shown
    for said in (
        "machine  pc, bios, disk on virtio, NICs virtio, video vga",
        "runs on  tcg: a test",
        "NIC 0    fa:16:3e:00:00:01 on primary: 10.20.0.10",
        "NIC 2    fa:16:3e:00:02:01 on network2: 10.40.0.10",
        "metadata by config-drive",
        "only users and passwords that are in the image",
        "Ctrl-] leaves and switches the machine off",
        "-o StrictHostKeyChecking=no USER@127.0.0.1",
    ):
        assert said in shown
    screen = int(shown.partition("VNC at 127.0.0.1:")[2].split()[0])
    with socket.create_connection(("127.0.0.1", screen), timeout=20) as viewer:
        assert viewer.recv(3) == b"RFB"
    # Ctrl-C is the guest's, which echoes it.
    terminal.type(b"ok\x03")
    terminal.wait_for("ok\x03")
    terminal.type(b"\x1d")
    assert terminal.status() == 0
    assert f"{disk}: left after" in terminal.shown
    assert terminal.left() == []
    assert terminal.folders() == []
    assert hashlib.sha256(disk.read_bytes()).hexdigest() == before


def test_a_guest_that_powers_off_ends_it_and_its_overlay_can_be_kept(
    run: list[Terminal], tmp_path: Path, disk: Path
) -> None:
    terminal = started(run, tmp_path, disk, "--keep")
    terminal.type(b"!")
    assert terminal.status() == 0
    assert "the machine ended after" in terminal.shown
    (kept,) = terminal.folders()
    overlay = terminal.cache / "boots" / kept / "overlay.qcow2"
    assert f"kept: {overlay}" in terminal.shown.replace("\r\n", "")
    info = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", overlay]))
    assert info["virtual-size"] == disk.stat().st_size + machines.GROWTH
    assert (overlay.parent / "console.log").read_bytes() == b"hello\r\n!"
    assert list(overlay.parent.rglob("*.sock")) == []
    assert terminal.left() == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (None, None)]
)
def test_signals_and_a_closed_terminal_leave_nothing(
    run: list[Terminal], tmp_path: Path, disk: Path, number: signal.Signals | None, status: int | None
) -> None:
    terminal = started(run, tmp_path, disk)
    if number is None:
        os.close(terminal.master)
        terminal.process.wait(timeout=60)
    else:
        terminal.process.send_signal(number)
        assert terminal.status() == status
        assert "nothing half-made was left" in terminal.shown
    Deadline.after(10).wait_for(lambda: terminal.left() == [], "all is gone", interval=0.1)
    assert terminal.folders() == []


def test_a_killed_one_leaves_no_process_and_its_folder_goes_with_the_next(
    run: list[Terminal], tmp_path: Path, disk: Path
) -> None:
    terminal = started(run, tmp_path, disk)
    terminal.process.kill()
    terminal.process.wait()
    Deadline.after(10).wait_for(lambda: terminal.left() == [], "all is gone", interval=0.1)
    (old,) = terminal.folders()
    following = started(run, tmp_path, disk)
    (new,) = following.folders()
    assert new != old
    # One that lives is left alone.
    with boot_session._folder(following.cache / "boots", False, print) as other:
        assert sorted(following.folders()) == sorted([new, other.name])
    following.type(b"\x1d")
    assert following.status() == 0


def test_without_a_terminal_it_must_be_said(disk: Path, tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", SCRIPT, "boot", str(disk)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode == 3
    assert "no terminal" in done.stderr
    assert "--no-console" in done.stderr
    running = subprocess.Popen(
        [*argv, "--no-console", "--json", "--vnc", str(tmp_path / "screen")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    Deadline.after(60).wait_for((tmp_path / "screen").exists, "the screen's socket", interval=0.1)
    with socket.socket(socket.AF_UNIX) as viewer:
        viewer.settimeout(20)
        viewer.connect(str(tmp_path / "screen"))
        assert viewer.recv(3) == b"RFB"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert json.loads(out)["exit_code"] == 130
    assert "ends when the guest powers off" in err
    assert not (tmp_path / "screen").is_symlink()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "required: RECIPE|IMAGE"),
        (["/nonexistent.qcow2"], "no such file"),
        (["/nonexistent.yaml"], "no such file"),
        (["DISK", "--property", "hw_disk_bus"], "is not of the form K=V"),
        (["DISK", "--property", "a=1", "--property", "a=2"], "is given twice"),
        (["DISK", "--property", "hw_disk_bus=scis"], "did you mean `scsi`"),
        (["DISK", "--property", "hw_vif_model=igb9", "--property", "hw_scsi_model=lsilogic"], "2 problems"),
        (["DISK", "--firmware", "bios", "--property", "hw_firmware_type=uefi"], "to boot with 'bios'"),
        (["DISK", "--nics", "0"], "1 to 8 NICs"),
        (["DISK", "--ssh-port", "65536"], "is no port"),
        (["DISK", "--vnc", "0.0.0.0:5901"], "loopback only"),
        (["DISK", "--vnc", "here"], "is no address"),
        (["DISK", "--vnc", "127.0.0.1:x"], "is no port"),
        (["DISK", "--user-data", "/nonexistent"], "cannot be read"),
        (["DISK", "--user-data", "/usr/bin/true"], "is not UTF-8"),
        (["DISK", "--ssh-key", "/etc/hostname"], "is not one public key"),
        (["/etc/passwd"], "is no disk image"),
    ],
)
def test_wrong_input_starts_nothing(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, disk: Path, words: list[str], said: str
) -> None:
    monkeypatch.setenv("GOLDSMITH_CACHE", str(tmp_path / "cache"))
    assert cli.main(["boot", *(str(disk) if word == "DISK" else word for word in words), "--no-console"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "cache/boots").exists()


def test_an_image_that_names_other_files_is_not_opened(capsys: Captured, tmp_path: Path, disk: Path) -> None:
    image = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk, image], check=True)
    assert cli.main(["boot", str(image), "--no-console"]) == 2
    assert "is not safe to open" in capsys.readouterr().err


def test_a_document_and_a_console_do_not_share_stdout(capsys: Captured, disk: Path) -> None:
    assert cli.main(["boot", str(disk), "--json"]) == 2
    assert "add --no-console" in capsys.readouterr().err


def test_keys_are_public(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk a@b\n")
    assert command._key(file) == ("goldsmith", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk a@b")
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(InputError, match="private") as caught:
        command._key(file)
    assert f"{file}.pub" in str(caught.value)
    file.write_text("ssh-rsa AAAA= a\nssh-rsa AAAA= b\n")
    with pytest.raises(InputError, match="not one public key"):
        command._key(file)


@pytest.mark.parametrize(
    ("text", "vnc"),
    [
        (None, None),
        ("", Vnc()),
        ("127.0.0.1", Vnc()),
        ("127.0.0.2:5901", Vnc(address="127.0.0.2", port=5901)),
        ("localhost:5901", Vnc(port=5901)),
        (":5901", Vnc(port=5901)),
        ("/run/screen", Vnc(socket=Path("/run/screen"))),
    ],
)
def test_where_the_screen_is(text: str | None, vnc: Vnc | None) -> None:
    assert command.vnc_of(text) == vnc


def test_a_recipe_brings_its_image_its_properties_and_its_firmware(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, disk: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    plan = SimpleNamespace(recipe=SimpleNamespace(disk=SimpleNamespace(firmware=("uefi", "bios"))))
    made = SimpleNamespace()
    found = {"hw_vif_model": "e1000", "hw_video_model": "cirrus", "hw_watchdog_action": "reset", "os_type": "linux"}
    monkeypatch.setattr(work, "planned", lambda paths, settings: [plan] if list(paths) == [recipe] else [])
    monkeypatch.setattr(proofs, "properties", lambda of, manifest: found if (of, manifest) == (plan, made) else {})
    monkeypatch.setattr(work, "existing", lambda of, context: SimpleNamespace(image=disk, manifest=made))
    booted: list[Wanted] = []

    def run(wanted: Wanted, context: object) -> boot_session.Done:
        booted.append(wanted)
        return boot_session.Done("ended", 1.0, None)

    monkeypatch.setattr(boot_session, "run", run)
    words = ["boot", str(recipe), "--no-console", "--json"]
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["shape"]["nic"] == "e1000"
    assert "not applied to the machine: hw_watchdog_action" in said.err
    assert cli.main([*words, "--property", "hw_vif_model=rtl8139"]) == 0
    found["hw_firmware_type"] = "bios"
    assert cli.main([*words]) == 0
    assert cli.main([*words, "--firmware", "uefi"]) == 2
    first, second, third = booted
    assert (first.image, first.image_format, first.firmware) == (disk, "raw", "uefi")
    assert first.shape == Shape(nic="e1000", video="cirrus")
    assert second.shape == Shape(nic="rtl8139", video="cirrus")
    assert third.firmware == "bios"


def test_what_is_said_of_the_machine() -> None:
    shape = Shape("q35", disk_bus="scsi", scsi_model="virtio-scsi", secure_boot=True, tpm_version="2.0", windows=True)
    wanted = Wanted(Path("/i.qcow2"), "qcow2", "uefi", shape, key=("k", "ssh-ed25519 AAAA"))
    nets = boot_session.networks(8)
    assert nets[:2] == machines.NETWORKS
    assert len({network.subnet for network in nets}) == 8
    instance = Instance("u", "name", make_nics(nets))
    said = "\n".join(boot_session.described(wanted, Accelerator("kvm", "fast", {}, 1.0), instance))
    assert "q35, uefi with Secure Boot, disk on scsi (virtio-scsi)" in said
    assert "TPM 2.0 (tpm-tis), clock in local time, Hyper-V" in said
    assert "passwords that are in the image" not in said
