"""One boot for a person: the machine and the lab of verify, a console in the terminal, ways in, and no trace."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from goldsmith.boot import accelerator
from goldsmith.boot.arguments import VNC_SOCKET
from goldsmith.boot.console_log import BoundedLog
from goldsmith.boot.forward import LOOPBACK, forward
from goldsmith.boot.hardware import Firmware, Hardware, Shape
from goldsmith.boot.instance import Instance, Network, make_nics
from goldsmith.boot.lab import Lab
from goldsmith.boot.machine import Machine
from goldsmith.boot.seed import Datasource, make_seed
from goldsmith.boot.terminal import LEAVE_NAME, End, interact
from goldsmith.commands.context import Context
from goldsmith.errors import InputError
from goldsmith.host.disk_format import DiskFormat
from goldsmith.host.files import locked
from goldsmith.verify import machines

#: descriptors of the terminal
KEYS, SCREEN = 0, 1
ENDS: dict[End, str] = {"left": "left", "ended": "the machine ended", "hung up": "the terminal is gone"}
_VNC_PORTS = range(5900, 6000)
_SSH_SOCKET = "ssh.sock"
_LOCK = ".lock"
#: folders that go when their owner is gone, and those that stay
_PASSING, _KEPT = "boot-", "kept-"


@dataclass(frozen=True)
class Vnc:
    """Where the screen is served: a Unix socket, or an address with a port, by default the first that is free."""

    socket: Path | None = None
    address: str = LOOPBACK
    port: int | None = None


@dataclass(frozen=True)
class Wanted:
    """What to boot, and how."""

    image: Path
    image_format: DiskFormat
    firmware: Firmware
    shape: Shape
    datasource: Datasource = "metadata"
    user_data: str | None = None
    #: name and public key
    key: tuple[str, str] | None = None
    nics: int = 2
    vnc: Vnc | None = None
    ssh_port: int | None = None
    keep: bool = False
    #: whether this terminal is the guest's console
    console: bool = True


@dataclass(frozen=True)
class Done:
    """How a boot ended; ``kept`` is the folder with the overlay."""

    end: End
    seconds: float
    kept: Path | None


def networks(count: int) -> tuple[Network, ...]:
    """The networks of verify, and more like them."""
    more = (
        Network(f"network{n}", f"10.{20 + 10 * n}.0.0/24", f"10.{20 + 10 * n}.0.1", subnet6=f"fd20:{20 + 10 * n}::/64")
        for n in range(len(machines.NETWORKS), count)
    )
    return (*machines.NETWORKS, *more)[:count]


def run(wanted: Wanted, context: Context) -> Done:
    """Boot and stay until the user leaves or the machine ends.  Raises HostError, InputError as the parts do."""
    chosen = accelerator.choose(context.settings)
    nets = networks(wanted.nics)
    instance = Instance(
        str(uuid.uuid4()),
        f"goldsmith-{wanted.firmware}",
        make_nics(nets),
        user_data=wanted.user_data,
        key=wanted.key,
    )
    note = context.progress.note
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_folder(context.settings.cache_dir / "boots", wanted.keep, note))
        seed = make_seed(instance, wanted.datasource, folder / "seed.iso")
        with context.progress.step("boot: networks"):
            lab = stack.enter_context(Lab(context.settings, nets, instance, folder=folder / "lab"))
            ways = [stack.enter_context(_ssh(lab, instance, wanted))] if wanted.ssh_port is not None else []
            ways += [stack.enter_context(_screen(folder, wanted.vnc))] if wanted.vnc else []
        hardware = Hardware(
            disk=wanted.image,
            disk_format=wanted.image_format,
            seed=seed,
            firmware=wanted.firmware,
            ports=lab.ports(),
            uuid=instance.uuid,
            memory=machines.MEMORY,
            credentials={},
            shape=wanted.shape,
            growth=machines.GROWTH,
            vnc=wanted.vnc is not None,
        )
        machine = Machine(context.settings, hardware, folder, chosen, lab.jail, own_console=wanted.console)
        for line in [*described(wanted, chosen, instance), *ways, *_how_to_leave(wanted)]:
            note(line)
        started = time.monotonic()
        with machine:
            end = _sit(machine) if wanted.console else _wait(machine)
        return Done(end, time.monotonic() - started, folder if wanted.keep else None)


def _sit(machine: Machine) -> End:
    with contextlib.closing(BoundedLog(machine.console_log)) as log:
        return interact(machine.serial, KEYS, SCREEN, log)


def _wait(machine: Machine) -> End:
    while machine.running:
        threading.Event().wait(0.3)
    return "ended"


@contextlib.contextmanager
def _folder(parent: Path, keep: bool, note: Callable[[str], None]) -> Iterator[Path]:
    """A folder for the machine; where it is not kept it goes at the end, or with the next boot if we were killed."""
    parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with locked(parent / _LOCK):
            for old in parent.glob(f"{_PASSING}*"):
                _remove_forgotten(old)
            folder = Path(tempfile.mkdtemp(prefix=_KEPT if keep else _PASSING, dir=parent))
            if not keep:
                lock = stack.enter_context((folder / _LOCK).open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            if keep and (folder / "overlay.qcow2").exists():
                for path in folder.rglob("*.sock"):
                    path.unlink()
                # Said here, so that it is said after Ctrl-C too; a terminal that is gone does not hear it.
                with contextlib.suppress(OSError):
                    note(f"kept: {folder / 'overlay.qcow2'}, which needs the image's file to stay as and where it is")
            else:
                shutil.rmtree(folder, ignore_errors=True)


def _remove_forgotten(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _ssh(lab: Lab, instance: Instance, wanted: Wanted) -> Iterator[str]:
    """A way in for ssh, in words."""
    address = instance.nics[0].address
    socket = lab.relay(_SSH_SOCKET, address, 22)
    with forward([wanted.ssh_port or 0], socket.parent, socket.name) as port:
        options = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no"
        yield f"ssh      ssh -p {port} {options} USER@{LOOPBACK}   ({address}; USER is the image's own, such as debian)"


@contextlib.contextmanager
def _screen(folder: Path, vnc: Vnc) -> Iterator[str]:
    """The screen's address, in words."""
    if vnc.socket is None:
        with forward([vnc.port] if vnc.port else _VNC_PORTS, folder, VNC_SOCKET, vnc.address) as port:
            yield f"screen   VNC at {vnc.address}:{port} (display {port - 5900}), for every user of this host"
        return
    try:
        vnc.socket.symlink_to(folder / VNC_SOCKET)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", where=f"--vnc {vnc.socket}") from error
    try:
        yield f"screen   VNC at the Unix socket {vnc.socket}"
    finally:
        vnc.socket.unlink(missing_ok=True)


def described(wanted: Wanted, chosen: accelerator.Accelerator, instance: Instance) -> Iterator[str]:
    """The machine, its networks, and who can log in, in lines."""
    shape = wanted.shape
    yield f"image    {wanted.image} ({wanted.image_format}); it is not written to"
    parts = [
        f"{shape.machine}, {wanted.firmware}{' with Secure Boot' if shape.secure_boot else ''}",
        f"disk on {shape.disk_bus}{f' ({shape.scsi_model})' if shape.disk_bus == 'scsi' else ''}",
        f"NICs {shape.nic}",
        f"video {shape.video}",
        *([f"TPM {shape.tpm_version} ({shape.tpm_model})"] if shape.tpm_version else []),
        *(["clock in local time, Hyper-V"] if shape.windows else []),
    ]
    yield f"machine  {', '.join(parts)}; {machines.MEMORY} MiB"
    yield f"runs on  {chosen.name}: {chosen.reason}"
    for index, nic in enumerate(instance.nics):
        six = f", {nic.address6}" if nic.address6 else ""
        yield f"NIC {index}    {nic.mac} on {nic.network.name}: {nic.address}{six}, gateway {nic.network.gateway}"
    yield f"metadata by {wanted.datasource}, host name {instance.hostname}"
    if wanted.key is None and wanted.user_data is None:
        yield "login    no --ssh-key and no --user-data: only users and passwords that are in the image let anybody in"


def _how_to_leave(wanted: Wanted) -> Iterator[str]:
    if not wanted.console:
        yield "ends when the guest powers off, or with Ctrl-C here"
        return
    size = shutil.get_terminal_size()
    yield f"the console does not know this terminal's size; in the guest: stty rows {size.lines} cols {size.columns}"
    yield f"{LEAVE_NAME} leaves and switches the machine off; here is the guest's console:"
