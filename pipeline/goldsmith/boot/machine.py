"""A virtual machine shaped as Nova's libvirt driver shapes one, for one boot of one image.

The image itself is never written: an overlay in the caller's run folder is.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from goldsmith.boot import snapshot, sockets, topology
from goldsmith.boot.accelerator import QEMU, Accelerator
from goldsmith.boot.agent import AgentGuest
from goldsmith.boot.arguments import AGENT_SOCKET, command, nic_device
from goldsmith.boot.console import Console
from goldsmith.boot.firmware import find_ovmf, find_secure_ovmf
from goldsmith.boot.guest import Guest, GuestShell
from goldsmith.boot.hardware import Hardware, Port
from goldsmith.boot.launcher import Launcher, LocalLauncher
from goldsmith.boot.monitor import Monitor
from goldsmith.boot.overlay import make_overlay
from goldsmith.boot.seat import Seat
from goldsmith.boot.snapshot import Saved
from goldsmith.boot.tpm import Tpm
from goldsmith.errors import DeadlineError, HarnessError, InputError, MachineLostError
from goldsmith.host import starved
from goldsmith.host.deadline import Deadline
from goldsmith.host.run import pasteable, run, tail
from goldsmith.settings import Settings

__all__ = ["Hardware", "Machine", "Port"]

T = TypeVar("T")

#: a snapshot that lives for a moment
_PASSING = "passing"
#: seconds for QEMU's monitor; the guest's own deadlines are the caller's
START = 30.0
#: QEMU's run states (qapi/run-state.json) of a guest that was stopped and is not to blame
_STOPPED = {
    "io-error": "QEMU stopped the guest, whose disk it could not read or write; is the host's disk full?",
    "internal-error": "QEMU stopped the guest: the accelerator cannot go on",
}


class Machine(Seat):
    """One QEMU process.  As a context manager it starts the machine, and kills whatever still runs at the end.

    ``folder`` takes the overlay, the logs console.log and qemu.log, screen dumps and sockets.  After it ended the
    overlay can be read as the guest left it.  With ``own_console`` ttyS0 is the caller's: ``serial`` instead of
    ``console``, and no ``guest``.
    """

    def __init__(
        self,
        settings: Settings,
        hardware: Hardware,
        folder: Path,
        accelerator: Accelerator,
        launcher: Launcher,
        *,
        own_console: bool = False,
    ) -> None:
        self.hardware = hardware
        self.folder = folder.absolute()
        self.overlay = self.folder / snapshot.DISK
        self.console_log = self.folder / "console.log"
        self._log = self.folder / "qemu.log"
        self._settings = settings
        self._accelerator = accelerator
        self._launcher = launcher
        self._name = f"qemu {self.folder}"
        self._running = False
        #: QEMU's exit status
        self._status: int | None = None
        self._pid: int | None = None
        self._nics = len(hardware.ports)
        #: NICs that were there, by snapshot
        self._saved: dict[str, int] = {hardware.saved.name: self._nics} if hardware.saved else {}
        self._closers = contextlib.ExitStack()
        self._console: Console | None = None
        self._guest: GuestShell | None = None
        self._monitor: Monitor | None = None
        self._own_console = own_console
        self._serial: socket.socket | None = None
        self._tpm: Tpm | None = None
        if version := hardware.shape.tpm_version:
            self._tpm = Tpm(self.folder, version, launcher, settings.base_environment.get("PATH", ""))

    @property
    def scale(self) -> float:
        """What deadlines for this machine are to be multiplied by."""
        return self._accelerator.scale

    @property
    def serial(self) -> socket.socket:
        """ttyS0 as it comes, where the machine was made with ``own_console``; closed with the machine."""
        return _there(self._serial)

    @property
    def console(self) -> Console:
        return _there(self._console)

    @property
    def guest(self) -> GuestShell:
        return _there(self._guest)

    @property
    def monitor(self) -> Monitor:
        return _there(self._monitor)

    def command(self) -> list[str]:
        """QEMU's command line; it runs in ``folder``, so its sockets have short relative paths."""
        return command(self.hardware, self._accelerator)

    def prepare(self) -> None:
        """Make the folder, the overlay and the copy of the firmware's variables."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.hardware.seed and not self.hardware.seed.is_file():
            raise InputError("no such seed", where=str(self.hardware.seed))
        if self.hardware.saved:
            snapshot.copy_drives(self.hardware.saved.folder, self.folder)
            return
        if self.hardware.disk:
            make_overlay(self.hardware.disk, self.hardware.disk_format, self.overlay, self.hardware.growth)
        if self.hardware.firmware == "uefi" and not self.hardware.rom:
            _, template = find_secure_ovmf() if self.hardware.shape.secure_boot else find_ovmf()
            variables = self.folder / snapshot.VARIABLES
            # qcow2, because only that can hold a snapshot.
            run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", template, variables], deadline=60)

    def start(self) -> None:
        """Power on.  Raises HarnessError with QEMU's own words where it ends at once."""
        self._require_reachable(self.hardware.ports)
        self.prepare()
        try:
            deadline = Deadline.after(START * self.scale)
            if self._tpm:
                self._closers.callback(self._tpm.stop)
                self._tpm.start(deadline)
            self._launcher.spawn(self._name, self.command(), log_file=self._log, cwd=self.folder)
            self._running = True
            if self._own_console:
                self._serial = self._connect("ttyS0.sock", deadline)
                self._closers.callback(self._serial.close)
            else:
                self._attach(deadline)
            self._monitor = Monitor(self._connect("qmp.sock", deadline), seconds=START * self.scale)
            self._closers.callback(self._monitor.close)
            # It was stopped until now, so not a byte of the consoles is lost.
            self._monitor.execute("cont")
        except HarnessError as error:
            # QEMU opens its sockets before it looks at its devices: a broken session is how its death shows first.
            try:
                if self._running:
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

    def _attach(self, deadline: Deadline) -> None:
        saved = self.hardware.saved
        self._console = Console(
            self._connect("ttyS0.sock", deadline), log=self.console_log, earlier=saved.console if saved else b""
        )
        self._closers.callback(self._console.close)
        if self.hardware.by_agent:
            agent = self._connect(AGENT_SOCKET, deadline)
            self._guest = AgentGuest(agent, last_words=self._console.shown, scale=self.scale)
        else:
            self._guest = Guest(
                self._connect("ttyS1.sock", deadline),
                last_words=self._console.shown,
                scale=self.scale,
                needs=self.hardware.channel_needs,
                boot=saved.boot if saved else None,
            )
        self._closers.callback(self._guest.close)

    def _require_reachable(self, ports: Sequence[Port]) -> None:
        if isinstance(self._launcher, LocalLauncher) and any(port.tap for port in ports):
            # Run by root, QEMU would make the tap on the host.
            raise HarnessError("a tap is in the lab's jail, and this machine is outside", where=str(self.folder))

    def plug(self, port: Port) -> None:
        """Plug a NIC into the running machine, in the slot behind its last.  Raises HarnessError where QEMU refuses."""
        self._require_reachable([port])
        index = self._nics
        back = {"type": "tap", "ifname": port.tap, "script": "no", "downscript": "no"} if port.tap else {"type": "user"}
        device = {"driver": nic_device(self.hardware.shape), "id": f"nic{index}", "netdev": f"net{index}"}
        self.monitor.execute("netdev_add", {"id": f"net{index}", **back})
        try:
            where = topology.nic_place(self.hardware.shape, index)
            place = {"bus": where.bus, "addr": f"{where.slot:#x}", "romfile": ""}
            self.monitor.execute("device_add", {**device, "mac": port.mac, **place})
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
        resets = self.resets()
        deadline.wait_for(lambda: self.resets() > resets, "the guest did not reboot", interval=0.1)
        if self._accelerator.name == "tcg":
            self._forget_translations()
        return self.guest.wait_ready(deadline, after=before)

    def resets(self) -> int:
        """How often the machine started over since power-on."""
        return self.monitor.resets()

    def _forget_translations(self) -> None:
        """Throw away the code that was translated before a reboot, which QEMU does when it loads a snapshot.

        It keeps up to 1 GiB of it, and each byte that GRUB then copies onto a page that held a shared library goes
        through the list of all translations of that page: hundreds of bytes a second were seen, and a guest that did
        not come back (1.7 million translations, 200 000 of one page).  A smaller buffer (tb-size) is no way out: with
        128 MiB it is emptied 36 times in a boot, which then takes twice as long.
        """
        with snapshot.stopped(self.monitor):
            snapshot.take(self.monitor, _PASSING, self.scale)
            snapshot.load(self.monitor, _PASSING, self.scale)
            snapshot.delete(self.monitor, _PASSING, self.scale)

    def save(self, name: str) -> None:
        """Keep the guest's state, to come back to; it goes on.  Raises HarnessError where QEMU cannot."""
        with snapshot.stopped(self.monitor):
            snapshot.take(self.monitor, name, self.scale)
        self._saved[name] = self._nics

    def restore(self, name: str, deadline: Deadline) -> None:
        """Go back to a state that was saved while no command ran, its clock too.

        Raises InputError where there is none of this name, HarnessError where a NIC was plugged in since.
        """
        if name not in self._saved:
            raise InputError(f"no state was saved as {name!r}", hint=f"saved: {', '.join(self._saved) or 'none'}")
        if self._saved[name] != self._nics:
            raise HarnessError(f"a NIC was plugged in since {name!r} was saved", where=str(self.folder))
        with snapshot.stopped(self.monitor):
            snapshot.load(self.monitor, name, self.scale)
        self.guest.wait_ready(deadline)

    def keep(self, name: str, folder: Path, deadline: Deadline) -> Saved:
        """Save the state for other processes: the drives are copied to ``folder``.  The guest goes on."""
        boot = self.guest.wait_ready(deadline)
        with snapshot.stopped(self.monitor):
            snapshot.take(self.monitor, name, self.scale)
            snapshot.copy_drives(self.folder, folder)
        self._saved[name] = self._nics
        return Saved(folder, name, boot, self.console_log.read_bytes())

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
                self._status = self._launcher.poll(self._name)
                self._running = self._status is None
            except HarnessError:
                # The jail is gone, and has taken all that ran in it along.
                self._running = False
        return self._running

    @property
    def powered_off(self) -> bool:
        """Whether QEMU ended as it does when its guest powers off, or is asked to."""
        return not self.running and self._status == 0

    def loss(self, patience: float = 0.0) -> MachineLostError | None:
        """Why the machine cannot go on, where that is not its guest's doing; None as long as it can.

        A QEMU that is about to end is given ``patience`` seconds for it: its sockets are closed a moment before.
        """
        with contextlib.suppress(DeadlineError):
            Deadline.after(patience).wait_for(lambda: not self.running, "QEMU's end", interval=0.02)
        if self.running:
            with contextlib.suppress(HarnessError):
                state = str(self.monitor.execute("query-status")["status"])
                return MachineLostError(_STOPPED[state], where=str(self.folder)) if state in _STOPPED else None
        if self.running or self._status == 0:
            return None
        how = "with its lab" if self._status is None else f"with {_status(self._status)}"
        return MachineLostError(f"QEMU ended {how} while the guest ran", where=str(self.folder), hint=self._words())

    def starved(self) -> float:
        """Seconds since power-on for which the guest could have gone on, had the host let it."""
        self._pid = self._pid or starved.find(QEMU, self.folder.resolve())
        return starved.seconds(self._pid) if self._pid else 0.0

    def disk_operations(self) -> int:
        """Reads, writes and flushes of all disks since power-on."""
        kinds = ("rd_operations", "wr_operations", "flush_operations")
        disks = self.monitor.execute("query-blockstats")
        return sum(int(disk["stats"].get(kind, 0)) for disk in disks for kind in kinds)

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

    def __enter__(self) -> Machine:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.quit()


def _status(number: int) -> str:
    try:
        return signal.Signals(-number).name if number < 0 else str(number)
    except ValueError:
        return str(number)


def _there(part: T | None) -> T:
    if part is None:
        raise HarnessError("the machine was not started")
    return part
