"""A virtual machine shaped as Nova's libvirt driver shapes one, for one boot of one image.

The image itself is never written: an overlay in the caller's run folder is.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

from goldsmith.boot import guest as guest_channel
from goldsmith.boot import screen as vga
from goldsmith.boot import sockets
from goldsmith.boot.accelerator import QEMU, Accelerator
from goldsmith.boot.console import Console
from goldsmith.boot.guest import Guest
from goldsmith.boot.launcher import Launcher, LocalLauncher
from goldsmith.boot.monitor import Monitor
from goldsmith.errors import DeadlineError, HarnessError, HostError, InputError
from goldsmith.host.deadline import Deadline
from goldsmith.host.run import pasteable, run, tail
from goldsmith.settings import Settings

T = TypeVar("T")
Firmware = Literal["bios", "uefi"]

#: where distributions put the same build: Debian and Ubuntu, Fedora and EL, Arch, SUSE
OVMF = (
    (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    (Path("/usr/share/edk2/ovmf/OVMF_CODE.fd"), Path("/usr/share/edk2/ovmf/OVMF_VARS.fd")),
    (Path("/usr/share/edk2/x64/OVMF_CODE.4m.fd"), Path("/usr/share/edk2/x64/OVMF_VARS.4m.fd")),
    (Path("/usr/share/qemu/ovmf-x86_64-4m-code.bin"), Path("/usr/share/qemu/ovmf-x86_64-4m-vars.bin")),
)
#: name of a snapshot that lives for a moment
PASSING = "passing"
#: seconds for QEMU's monitor; the guest's own deadlines are the caller's
START = 30.0
FIRST_NIC_SLOT = 3
DISK_SLOT = 0x1D
#: the last place on the IDE bus, where Nova puts a config drive
SEED_PLACE = "bus=ide.1,unit=1"
RNG_SLOT = 0x1E


@dataclass(frozen=True)
class Port:
    """A NIC's other end: the tap it is plugged into (in the lab's jail), None for QEMU's own user network."""

    mac: str
    tap: str | None


@dataclass(frozen=True)
class Hardware:
    """What the machine is made of.  ``disk`` is the image's qcow2 or raw file, None for none; ``memory`` is in MiB."""

    disk: Path | None
    disk_format: Literal["qcow2", "raw"] = "qcow2"
    #: an ISO 9660 image with the instance's metadata (``goldsmith.boot.seed``), put in as a CD
    seed: Path | None = None
    firmware: Firmware = "bios"
    ports: Sequence[Port] = ()
    uuid: str = "00000000-0000-4000-8000-000000000001"
    memory: int = 1024
    cpus: int = 2
    #: systemd system credentials handed over by SMBIOS; by default those of the guest channel
    credentials: Mapping[str, bytes] = field(default_factory=guest_channel.credentials)
    #: what starts the guest channel where it is not the credentials, for the error about a silent guest
    channel_needs: str = guest_channel.NEEDS
    #: a BIOS image instead of QEMU's own
    rom: Path | None = None


def find_ovmf() -> tuple[Path, Path]:
    """OVMF's code and its variables' template.  Raises HostError where they are not installed."""
    for code, variables in OVMF:
        if code.exists() and variables.exists():
            return code, variables
    raise HostError("OVMF, the UEFI firmware of virtual machines, was not found", hint="install the package ovmf")


def make_overlay(image: Path, image_format: str, overlay: Path) -> None:
    """A throw-away qcow2 over ``image``; what it does not hold is read from there."""
    if not image.exists():
        raise InputError("no such image", where=str(image))
    run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", image_format, "-b", image.absolute(), overlay],
        deadline=60,
        hint="run: goldsmith doctor",
    )


def smbios_credentials(credentials: Mapping[str, bytes]) -> list[str]:
    """QEMU's arguments that hand systemd system credentials over (smbios-type-11(7))."""
    strings = [
        f"io.systemd.credential.binary:{name}={base64.b64encode(content).decode()}"
        for name, content in credentials.items()
    ]
    return [word for string in strings for word in ("-smbios", "type=11,value=" + string.replace(",", ",,"))]


class Machine:
    """One QEMU process.  As a context manager it starts the machine, and kills whatever still runs at the end.

    ``folder`` takes the overlay, the logs console.log and qemu.log, screen dumps and sockets.  After it ended the
    overlay can be read as the guest left it.
    """

    def __init__(
        self, settings: Settings, hardware: Hardware, folder: Path, accelerator: Accelerator, launcher: Launcher
    ) -> None:
        self.hardware = hardware
        self.folder = folder.absolute()
        self.overlay = self.folder / "overlay.qcow2"
        self.console_log = self.folder / "console.log"
        self._log = self.folder / "qemu.log"
        self._settings = settings
        self._accelerator = accelerator
        self._launcher = launcher
        self._name = f"qemu {self.folder}"
        self._running = False
        self._nics = len(hardware.ports)
        self._closers = contextlib.ExitStack()
        self._console: Console | None = None
        self._guest: Guest | None = None
        self._monitor: Monitor | None = None

    @property
    def scale(self) -> float:
        """What deadlines for this machine are to be multiplied by."""
        return self._accelerator.scale

    @property
    def console(self) -> Console:
        return _there(self._console)

    @property
    def guest(self) -> Guest:
        return _there(self._guest)

    @property
    def monitor(self) -> Monitor:
        return _there(self._monitor)

    def command(self) -> list[str]:
        """QEMU's command line; it runs in ``folder``, so its sockets have short relative paths."""
        hardware = self.hardware
        argv = [QEMU, "-name", "goldsmith", "-nodefaults", "-no-user-config", "-display", "none", "-S"]
        argv += ["-machine", f"pc,accel={self._accelerator.name}", "-cpu", "max"]
        argv += ["-smp", str(hardware.cpus), "-m", str(hardware.memory), "-vga", "std"]
        argv += ["-smbios", f"type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova,uuid={hardware.uuid}"]
        argv += smbios_credentials(hardware.credentials)
        argv += ["-chardev", "socket,id=qmp,path=qmp.sock,server=on,wait=off", "-mon", "chardev=qmp,mode=control"]
        argv += ["-chardev", "socket,id=console,path=ttyS0.sock,server=on,wait=off,logfile=console.log"]
        argv += ["-device", "isa-serial,chardev=console,index=0"]
        argv += ["-chardev", "socket,id=guest,path=ttyS1.sock,server=on,wait=off"]
        argv += ["-device", "isa-serial,chardev=guest,index=1"]
        if hardware.rom:
            argv += ["-bios", str(hardware.rom.absolute())]
        elif hardware.firmware == "uefi":
            code, _ = find_ovmf()
            argv += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_escaped(code)}"]
            argv += ["-drive", "if=pflash,unit=1,format=raw,file=vars.fd"]
        for index, port in enumerate(hardware.ports):
            back = f"tap,ifname={port.tap},script=no,downscript=no" if port.tap else "user"
            argv += ["-netdev", f"{back},id=net{index}"]
            slot = f"addr={FIRST_NIC_SLOT + index:#x}"
            argv += ["-device", f"virtio-net-pci,netdev=net{index},mac={port.mac},romfile=,{slot}"]
        if hardware.disk:
            # The guest's writes are thrown away, so they need not reach the host's disk; not so a discard's zeroes.
            argv += ["-drive", "if=none,id=disk,file=overlay.qcow2,format=qcow2,cache=unsafe,discard=unmap"]
            argv += ["-device", f"virtio-blk-pci,drive=disk,bootindex=1,addr={DISK_SLOT:#x}"]
        if hardware.seed:
            file = _escaped(hardware.seed.absolute())
            argv += ["-drive", f"if=none,id=seed,media=cdrom,format=raw,readonly=on,file={file}"]
            argv += ["-device", f"ide-cd,drive=seed,{SEED_PLACE}"]
        argv += ["-object", "rng-random,id=rng,filename=/dev/urandom"]
        argv += ["-device", f"virtio-rng-pci,rng=rng,addr={RNG_SLOT:#x}"]
        return argv

    def prepare(self) -> None:
        """Make the folder, the overlay and the copy of the firmware's variables."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.hardware.seed and not self.hardware.seed.is_file():
            raise InputError("no such seed", where=str(self.hardware.seed))
        if self.hardware.disk:
            make_overlay(self.hardware.disk, self.hardware.disk_format, self.overlay)
        if self.hardware.firmware == "uefi" and not self.hardware.rom:
            shutil.copyfile(find_ovmf()[1], self.folder / "vars.fd")

    def start(self) -> None:
        """Power on.  Raises HarnessError with QEMU's own words where it ends at once."""
        self._require_reachable(self.hardware.ports)
        self.prepare()
        self._launcher.spawn(self._name, self.command(), log_file=self._log, cwd=self.folder)
        self._running = True
        try:
            deadline = Deadline.after(START * self.scale)
            self._console = Console(self._connect("ttyS0.sock", deadline))
            self._closers.callback(self._console.close)
            self._guest = Guest(
                self._connect("ttyS1.sock", deadline),
                last_words=self._console.shown,
                scale=self.scale,
                needs=self.hardware.channel_needs,
            )
            self._closers.callback(self._guest.close)
            self._monitor = Monitor(self._connect("qmp.sock", deadline), seconds=START * self.scale)
            self._closers.callback(self._monitor.close)
            # It was stopped until now, so not a byte of the consoles is lost.
            self._monitor.execute("cont")
        except HarnessError as error:
            # QEMU opens its sockets before it looks at its devices: a broken session is how its death shows first.
            try:
                Deadline.after(2).wait_for(lambda: self._launcher.poll(self._name) is not None, "", interval=0.02)
                self._require_running()
            except DeadlineError:
                raise error from None
            finally:
                self.quit()
            raise
        except BaseException:
            self.quit()
            raise

    def _require_reachable(self, ports: Sequence[Port]) -> None:
        if isinstance(self._launcher, LocalLauncher) and any(port.tap for port in ports):
            # Run by root, QEMU would make the tap on the host.
            raise HarnessError("a tap is in the lab's jail, and this machine is outside", where=str(self.folder))

    def plug(self, port: Port) -> None:
        """Plug a NIC into the running machine, in the slot behind its last.  Raises HarnessError where QEMU refuses."""
        self._require_reachable([port])
        index = self._nics
        back = {"type": "tap", "ifname": port.tap, "script": "no", "downscript": "no"} if port.tap else {"type": "user"}
        front = {"driver": "virtio-net-pci", "id": f"nic{index}", "netdev": f"net{index}", "mac": port.mac}
        self.monitor.execute("netdev_add", {"id": f"net{index}", **back})
        try:
            place = {"bus": "pci.0", "addr": f"{FIRST_NIC_SLOT + index:#x}", "romfile": ""}
            self.monitor.execute("device_add", {**front, **place})
        except HarnessError:
            self.monitor.execute("netdev_del", {"id": f"net{index}"})
            raise
        self._nics += 1

    def reset(self) -> None:
        """Press the reset button; NICs that were plugged in stay."""
        self.monitor.execute("system_reset")

    def reboot(self, deadline: Deadline) -> str:
        """Let the guest reboot itself, and wait until it takes commands again; the new boot's id."""
        before = self.guest.wait_ready(deadline)
        # Later, in the background: the answer must get out before the channel is shut down.
        self.guest.run("(sleep 1; systemctl reboot) >/dev/null 2>&1 &", deadline)
        resets = self._resets()
        deadline.wait_for(lambda: self._resets() > resets, "the guest did not reboot", interval=0.1)
        if self._accelerator.name == "tcg":
            self._forget_translations()
        return self.guest.wait_ready(deadline, after=before)

    def _resets(self) -> int:
        return sum(name == "RESET" for name, _ in self.monitor.events)

    def _forget_translations(self) -> None:
        """Throw away the code that was translated before a reboot, which QEMU does when it loads a snapshot.

        It keeps up to 1 GiB of it, and each byte that GRUB then copies onto a page that held a shared library goes
        through the list of all translations of that page: hundreds of bytes a second were seen, and a guest that did
        not come back (1.7 million translations, 200 000 of one page).  A smaller buffer (tb-size) is no way out: with
        128 MiB it is emptied 36 times in a boot, which then takes twice as long.
        """
        self.monitor.execute("stop")
        try:
            # With UEFI its variables cannot be in a snapshot: "savevm" says so, and nothing is changed.
            if not self.monitor.human(f"savevm {PASSING}"):
                refused = self.monitor.human(f"loadvm {PASSING}")
                self.monitor.human(f"delvm {PASSING}")
                if refused:
                    raise HarnessError(f"QEMU cannot load its own snapshot: {refused.strip()}", where=str(self.folder))
        finally:
            self.monitor.execute("cont")

    def _connect(self, name: str, deadline: Deadline) -> socket.socket:
        def attempt() -> socket.socket | None:
            self._require_running()
            try:
                return sockets.connect(self.folder, name)
            except (FileNotFoundError, ConnectionRefusedError):
                return None

        return deadline.wait_for(attempt, f"QEMU did not open {name}", interval=0.02)

    def _words(self) -> str | None:
        text = tail(self._log.read_text(errors="replace")) if self._log.exists() else ""
        return "\n  | ".join(["QEMU's last words:", *text.splitlines()]) if text else None

    def _require_running(self) -> None:
        if (status := self._launcher.poll(self._name)) is not None:
            self._running = False
            raise HarnessError(
                f"QEMU ended with {status}: {pasteable(self.command())}", where=str(self.folder), hint=self._words()
            )

    @property
    def running(self) -> bool:
        """Whether QEMU still runs; it ends when the guest powers off, and with its jail."""
        if self._running:
            try:
                self._running = self._launcher.poll(self._name) is None
            except HarnessError:
                # The jail is gone, and has taken all that ran in it along.
                self._running = False
        return self._running

    def wait_off(self, deadline: Deadline) -> None:
        """Wait until the guest has powered itself off.  Raises DeadlineError with the console's last lines."""
        try:
            deadline.wait_for(lambda: not self.running, "the guest did not power off", interval=0.2)
        except DeadlineError as error:
            raise DeadlineError("the guest did not power off", error.seconds, hint=self.console.shown()) from None
        self._closers.close()

    def powerdown(self, deadline: Deadline) -> None:
        """Press the power button and wait for the guest to end; the button is pressed again every half minute.

        A guest that is still starting ignores it.  Raises DeadlineError with the console's last lines.
        """
        while self.running:
            with contextlib.suppress(HarnessError):
                self.monitor.execute("system_powerdown")
            turn = min(30.0 * self.scale, deadline.remaining())
            try:
                Deadline.after(turn).wait_for(lambda: not self.running, "power off", interval=0.2)
            except DeadlineError:
                if deadline.passed:
                    self.wait_off(deadline)
        self._closers.close()

    def quit(self) -> None:
        """End QEMU at once, whatever the guest does; safe to call twice."""
        if self.running:
            self._launcher.signal(self._name, signal.SIGTERM)
            try:
                Deadline.after(10).wait_for(lambda: not self.running, "QEMU did not quit", interval=0.02)
            except DeadlineError:
                self._launcher.signal(self._name, signal.SIGKILL)
                Deadline.after(10).wait_for(lambda: not self.running, "QEMU did not die", interval=0.02)
        self._closers.close()

    def screendump(self, path: Path) -> tuple[int, int]:
        """Write the screen as PNG; (width, height) in pixels."""
        return vga.dump(self.monitor, path.absolute())

    def screen(self) -> vga.Screen:
        """The screen's mode and, in text mode, its text."""
        return vga.read(self.monitor, self.folder)

    def screen_text(self) -> tuple[str, ...] | None:
        """The lines of a text screen, None in a graphics mode."""
        return self.screen().text

    def send_keys(self, text: str) -> None:
        """Type without looking; keys can be lost."""
        for keys in vga.keys_of(text):
            vga.press(self.monitor, keys)

    def type_and_see(self, text: str, deadline: Deadline) -> None:
        """Type on a text screen and see each character echoed."""
        vga.type_and_see(self.monitor, self.screen, text, deadline)

    def __enter__(self) -> Machine:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.quit()


def _there(part: T | None) -> T:
    if part is None:
        raise HarnessError("the machine was not started")
    return part


def _escaped(path: Path) -> str:
    """A path inside one of QEMU's comma-separated options."""
    return str(path).replace(",", ",,")
