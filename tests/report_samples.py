"""A report made of objects, without a boot, and what its boots would have left in their folders."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

from goldsmith.store.manifest import Firmware, Layer, Status, Verdict
from goldsmith.verify.left import left
from goldsmith.verify.report import Report
from goldsmith.verify.timeline import Mark, Phase, Timeline

#: what a hostile guest might say, in every field that takes its words
HOSTILE = (
    "</title></style></pre><script>alert(1)</script><img src=x onerror=alert(1)>"
    "\"'&amp; ]]> \x00\x07\x1b[31m\x85\u202eevil"
)

LAYERS: tuple[Layer, ...] = ("offline", "live", "screen", "network", "shutdown")
PHASES = ("firmware", "GRUB", "kernel", "initrd", "systemd", "cloud-init-local", "cloud-init-config", "login")
#: the line that is marked in the console
MARKED = 200


def verdict(check: str, status: Status = "pass", layer: Layer = "live", firmware: Firmware | None = "bios") -> Verdict:
    bad = status != "pass"
    return Verdict(
        layer=layer,
        element="text-console",
        check=check,
        says=f"the guest does what {check} promises",
        firmware=firmware,
        status=status,
        expected="/etc/default/grub matches '^GRUB_TERMINAL=.*serial'" if status == "fail" else "",
        seen="GRUB_TERMINAL=console\n(and nothing else)" if bad else "",
        seconds=4.25,
        console=("Debian GNU/Linux 13 goldsmith ttyS0", "goldsmith login:") if bad else (),
        repeat=f"goldsmith verify recipes/debian-13.yaml --check text-console/{check}" if bad else "",
    )


UNCHANGED = verdict("image-unchanged", layer="offline", firmware=None).model_copy(update={"element": "goldsmith"})


def verdicts() -> tuple[Verdict, ...]:
    """Every layer; each status at least once."""
    found = [UNCHANGED, verdict("baked", layer="offline", firmware=None)]
    for firmware in ("bios", "uefi"):
        for layer in LAYERS[1:]:
            found.append(verdict(f"{layer}-good", "pass", layer, firmware))
    found.append(verdict("live-bad", "fail"))
    found.append(verdict("screen-odd", "broken", "screen", "uefi"))
    return tuple(found)


def timeline(firmware: Firmware = "bios", stalled: str = "") -> Timeline:
    phases, began = [], 0.0
    for number, name in enumerate(PHASES):
        seconds = 3.0 + 7 * number
        phases.append(Phase(name=name, began=began, seconds=None if name == stalled else seconds))
        if name == stalled:
            break
        began += seconds
    mark = Mark(rule="failed-unit", line=MARKED, text="[FAILED] Failed to start x", reason="a unit did not start")
    return Timeline(firmware=firmware, phases=tuple(phases), stalled=stalled, marks=(mark,) if stalled else ())


def report(**changes: Any) -> Report:
    made = Report(
        name="debian-13",
        image="/images/debian-13.qcow2",
        sha256="a" * 64,
        accelerator="tcg: /dev/kvm is broken: not within 5 s what emulation does in 0.08 s",
        channel="credential: systemd 257 makes a unit of a credential",
        firmware=("bios", "uefi"),
        complete=True,
        verdicts=verdicts(),
        timelines=(timeline("bios"), timeline("uefi", "systemd")),
        left=(left("bios", ["/etc/old"], ["/var/log/journal", "/var/log/journal/a", "/var/lib/dhcp/leases"]),),
        seconds=524.2,
        finished="2026-01-31T12:00:00Z",
        properties={"architecture": "x86_64", "hw_firmware_type": "uefi"},
    )
    return made.model_copy(update=changes)


def hostile() -> Report:
    """The same with a hostile text wherever a text can be."""
    bad = dict.fromkeys(("element", "check", "says", "expected", "seen", "repeat"), HOSTILE)
    found = [
        each.model_copy(update={**bad, "console": (HOSTILE, HOSTILE)}) if each.status != "pass" else each
        for each in verdicts()
    ]
    found[2] = found[2].model_copy(update=bad)
    course = timeline("uefi", "systemd")
    phases = tuple(phase.model_copy(update={"name": HOSTILE}) for phase in course.phases)
    marks = tuple(
        mark.model_copy(update={"rule": HOSTILE, "text": HOSTILE, "reason": HOSTILE}) for mark in course.marks
    )
    odd = course.model_copy(update={"phases": phases, "stalled": HOSTILE, "marks": marks})
    texts = dict.fromkeys(("name", "image", "sha256", "accelerator", "channel", "finished"), HOSTILE)
    return report(
        **texts,
        verdicts=tuple(found),
        timelines=(odd,),
        left=(left("uefi", [], [HOSTILE]),),
        properties={HOSTILE: HOSTILE},
    )


def png(width: int = 720, height: int = 400, shade: int = 0) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes([shade]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def artefacts(folder: Path, said: str = "said") -> Path:
    """Folders as boots leave them: 400 lines of console, two pictures."""
    for firmware in ("bios", "uefi"):
        place = folder / firmware
        place.mkdir(parents=True, exist_ok=True)
        lines = [f"[{number:12.6f}] {firmware} {said} {'x' * (number % 160)}" for number in range(1, 401)]
        lines[MARKED - 1] = "[FAILED] Failed to start x"
        (place / "console.log").write_bytes("\r\n".join(lines).encode() + b"\r\n")
        (place / "screen.png").write_bytes(png())
        (place / "screen-last.png").write_bytes(png(1280, 800, 90))
    return folder
