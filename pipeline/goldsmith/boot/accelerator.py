"""Which accelerator QEMU and libguestfs get, decided by throughput.

/dev/kvm can exist, open and answer every query and still never boot a kernel; a program of a few instructions
passes there.  So a ROM that spins ten million times is timed under each: a broken KVM needs tens of seconds
for what TCG does in a tenth of one, and a healthy KVM is faster than TCG.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from goldsmith.errors import CommandFailedError, HarnessError
from goldsmith.host import files
from goldsmith.host.run import run
from goldsmith.settings import Settings

log = logging.getLogger(__name__)

Name = Literal["kvm", "tcg"]

QEMU = "qemu-system-x86_64"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
KVM_DEVICE = Path("/dev/kvm")

SPINS = 10_000_000
#: TCG's time for SPINS on the host for which all deadlines were written
REFERENCE_SECONDS = 0.10
#: past this the canary is killed; a broken KVM needs 24 s for SPINS
SPIN_DEADLINE = 5.0
#: two measurements of the same differ by less; what is broken is slower by seconds
NOISE = 0.25
#: KVM's share of TCG's time for a whole boot, and the least a deadline may shrink to
KVM_SCALE = 0.2
MOST_SCALE = 8.0

_ROM_SIZE = 64 * 1024
#: isa-debug-exit ends QEMU with (value << 1) | 1
_EXIT_PORT = 0xF4
_EXIT_VALUE = 0x10
_EXIT_STATUS = _EXIT_VALUE << 1 | 1


#: what a kernel uses where a processor has it, and emulation pays for: strings are copied byte by byte (erms), and each
#: miss of the TLB looks through five tables (la57).  Debian 11 took 44 s of processor time to its login without the
#: first and 58 with it; Debian 13 took 72 and 74 without the second, 79 and 86 with it.
_SLOW_EMULATED = ("erms", "la57")
#: what QEMU before 8.0 emulates wrongly: cmpxchg16b leaves garbage in EFLAGS where the flags of what went before were
#: not computed yet (its translate.c; helper_cmpxchg16b reads env->cc_op), and an interrupt right after it stores them.
#: A kernel's kmalloc uses it where a processor has it.  Seen once, with 7.2.22: "double fault"
#: in __kmalloc, EFLAGS f77aab42.
_WRONG_EMULATED = "cx16"


@dataclass(frozen=True)
class Accelerator:
    """The accelerator in use; ``scale`` multiplies every deadline, 1.0 being TCG on the reference host."""

    name: Name
    #: why, in words for the user
    reason: str
    #: seconds the canary span, by accelerator; one that did not finish is absent
    spin_seconds: dict[str, float]
    scale: float

    @property
    def processors(self) -> int:
        """Of a guest.

        An emulated one has nobody beside it: QEMU's emulation can let a processor run what another has just patched,
        and now and then a boot ends with "Oops: int3" in a kernel that patches itself while it starts
        (https://bugzilla.redhat.com/show_bug.cgi?id=2216496; seen with QEMU 7.2.22).
        """
        return 1 if self.name == "tcg" else 2

    def cpu(self, *, cx16: bool = True) -> str:
        """QEMU's model of a guest's processor, and the appliance's.

        Without ``cx16`` an emulated one has no cmpxchg16b, which programs built for x86-64-v2 do not start without.
        """
        if self.name == "kvm":
            return "max"
        left_out = (*_SLOW_EMULATED, *(() if cx16 else (_WRONG_EMULATED,)))
        return ",".join(["max", *(f"-{name}" for name in left_out)])

    @property
    def libguestfs_environment(self) -> dict[str, str]:
        """What libguestfs needs so that its appliance runs on the same accelerator."""
        environment = {"LIBGUESTFS_BACKEND": "direct"}
        if self.name == "tcg":
            environment["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
        return environment


def canary_rom(spins: int) -> bytes:
    """A 64 KiB BIOS image that spins in real mode and then leaves through isa-debug-exit.

    The processor starts at the last 16 bytes of the image, F000:FFF0.
    """
    program = b"".join(
        (
            b"\xfa",  # cli
            b"\x66\xb9" + struct.pack("<I", spins),  # mov ecx, spins
            b"\x66\x49",  # 1: dec ecx
            b"\x75\xfc",  # jnz 1b
            b"\xb0" + bytes([_EXIT_VALUE]),  # mov al, value
            b"\xe6" + bytes([_EXIT_PORT]),  # out port, al
            b"\xf4",  # hlt
            b"\xeb\xfd",  # jmp back to hlt
        )
    )
    start = b"\xea" + struct.pack("<HH", 0, 0xF000)  # jmp far F000:0000
    return program.ljust(_ROM_SIZE - 16, b"\x90") + start.ljust(16, b"\x90")


def spin(name: Name, spins: int, deadline: float) -> float | None:
    """Seconds of wall time for the canary under one accelerator, None where it did not end in time.

    QEMU's own start is part of it.  Raises HostError without QEMU and HarnessError where it refuses to run.
    """
    with tempfile.TemporaryDirectory(prefix="goldsmith-canary-") as folder:
        rom = Path(folder, "canary.rom")
        rom.write_bytes(canary_rom(spins))
        argv: list[str | os.PathLike[str]] = [QEMU, "-nodefaults", "-no-user-config", "-display", "none"]
        argv += ["-machine", f"pc,accel={name}", "-m", "16", "-bios", rom]
        argv += ["-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=1"]
        try:
            done = run(argv, deadline=deadline, check=False, hint="install qemu-system-x86")
        except CommandFailedError:
            return None
    if done.returncode != _EXIT_STATUS:
        raise HarnessError(
            f"QEMU ended with {done.returncode} under {name}: {done.stderr.strip() or 'it said nothing'}",
            hint="run: goldsmith doctor",
        )
    return done.seconds


def _net_spin(name: Name) -> float | None:
    """Time of the spinning alone: QEMU's start, measured with one spin, is taken off.  The better of two each."""

    def best(spins: int) -> float | None:
        times = [spin(name, spins, SPIN_DEADLINE)]
        if times[0] is not None:
            times.append(spin(name, spins, SPIN_DEADLINE))
        return min((seconds for seconds in times if seconds is not None), default=None)

    # The first start reads QEMU from the disk, so it must not be the base alone.
    base = best(1)
    whole = None if base is None else best(SPINS)
    return None if base is None or whole is None else max(whole - base, 0.001)


def decide(kvm_refusal: str | None, measure: Callable[[Name], float | None] = _net_spin) -> Accelerator:
    """Measure and choose.  ``kvm_refusal`` says why KVM cannot even be tried, None where it can.

    Raises HarnessError where TCG, which needs nothing of the host, does not finish either.
    """
    tcg = measure("tcg")
    if tcg is None:
        raise HarnessError(
            f"QEMU's emulation did not finish {SPINS} spins within {SPIN_DEADLINE:.0f} s",
            hint="the host is overloaded; try again, or run: goldsmith doctor",
        )
    # A loop in cache says little of a fast host's speed at booting, so the scale only ever grows.
    slow = min(max(tcg / REFERENCE_SECONDS, 1.0), MOST_SCALE)
    seconds = {"tcg": tcg}
    if kvm_refusal is not None:
        return Accelerator("tcg", kvm_refusal, seconds, slow)
    kvm: float | None
    try:
        kvm = measure("kvm")
    except HarnessError as error:
        return Accelerator("tcg", f"KVM refused: {error.message}", seconds, slow)
    if kvm is None:
        reason = f"/dev/kvm is broken: not within {SPIN_DEADLINE:.0f} s what emulation does in {tcg:.2f} s"
        return Accelerator("tcg", reason, seconds, slow)
    seconds["kvm"] = kvm
    if kvm > tcg + NOISE:
        return Accelerator("tcg", f"KVM is slower ({kvm:.2f} s) than emulation ({tcg:.2f} s)", seconds, slow)
    return Accelerator("kvm", f"KVM took {kvm:.3f} s, emulation {tcg:.2f} s", seconds, max(KVM_SCALE, KVM_SCALE * slow))


def kvm_refusal() -> str | None:
    """Why /dev/kvm cannot be used at all, None where it opens."""
    try:
        os.close(os.open(KVM_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{KVM_DEVICE} cannot be opened: {error.strerror}"
    return None


def _remembered(path: Path, key: Mapping[str, Any]) -> Accelerator | None:
    """The stored answer, None where there is none for this boot or the file cannot be trusted."""
    try:
        document = json.loads(path.read_text())
        if document["key"] != dict(key):
            return None
        stored = document["accelerator"]
        name, scale = stored["name"], float(stored["scale"])
        spins = {str(accelerator): float(seconds) for accelerator, seconds in stored["spin_seconds"].items()}
        if name not in ("kvm", "tcg") or not KVM_SCALE <= scale <= MOST_SCALE:
            raise ValueError("implausible")
        return Accelerator(name, str(stored["reason"]), spins, scale)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s cannot be read (%s): the accelerator is measured again", path, error)
        return None


def choose(settings: Settings, *, again: bool = False) -> Accelerator:
    """The accelerator of this host, measured once per host boot and remembered; ``again`` measures anew.

    Raises HostError where QEMU is missing and HarnessError where it cannot run at all.
    """
    path = settings.cache_dir / "accelerator.json"
    with files.locked(settings.cache_dir / "accelerator.lock"):
        refusal = kvm_refusal()
        # Someone who is given /dev/kvm must not wait for the next boot, so whether it opens is in the key.
        key = {"boot_id": BOOT_ID.read_text().strip(), "kvm_refusal": refusal, "spins": SPINS}
        if not again and (known := _remembered(path, key)):
            return known
        started = time.monotonic()
        chosen = decide(refusal)
        log.debug("accelerator measured in %.1f s: %s", time.monotonic() - started, chosen)
        files.write_json(path, {"key": key, "accelerator": asdict(chosen)})
        return chosen
