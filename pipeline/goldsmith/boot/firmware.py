"""UEFI firmware for QEMU: OVMF, plain, and with Secure Boot."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from goldsmith.errors import HostError

#: where distributions put the same build: Debian and Ubuntu, Fedora and EL, Arch, SUSE
OVMF = (
    (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    (Path("/usr/share/edk2/ovmf/OVMF_CODE.fd"), Path("/usr/share/edk2/ovmf/OVMF_VARS.fd")),
    (Path("/usr/share/edk2/x64/OVMF_CODE.4m.fd"), Path("/usr/share/edk2/x64/OVMF_VARS.4m.fd")),
    (Path("/usr/share/qemu/ovmf-x86_64-4m-code.bin"), Path("/usr/share/qemu/ovmf-x86_64-4m-vars.bin")),
)
#: where distributions describe their firmware (QEMU's docs/interop/firmware.json); a name in the first hides the others
DESCRIPTIONS = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))
#: what Secure Boot is: the firmware checks signatures, with Microsoft's keys enrolled, and guests cannot write past it
_SECURE = {"secure-boot", "enrolled-keys", "requires-smm"}
_HINT = "install the package ovmf"


def find_ovmf() -> tuple[Path, Path]:
    """OVMF's code and its variables' template.  Raises HostError where they are not installed."""
    for code, variables in OVMF:
        if code.exists() and variables.exists():
            return code, variables
    raise HostError("OVMF, the UEFI firmware of virtual machines, was not found", hint=_HINT)


def find_secure_ovmf() -> tuple[Path, Path]:
    """The same of a build with Secure Boot for q35, with Microsoft's keys in its variables.

    libvirt, and so Nova, chooses by the same descriptions.  Raises HostError where none is installed.
    """
    for document in _descriptions(DESCRIPTIONS):
        try:
            fits = (
                "uefi" in document["interface-types"]
                and document["mapping"]["device"] == "flash"
                and set(document["features"]) >= _SECURE
                and any(
                    target["architecture"] == "x86_64"
                    and any(fnmatchcase("pc-q35-1", machine) for machine in target["machines"])
                    for target in document["targets"]
                )
            )
            mapping = document["mapping"]
            code, variables = (Path(mapping[part]["filename"]) for part in ("executable", "nvram-template"))
            raw = all(mapping[part]["format"] == "raw" for part in ("executable", "nvram-template"))
        except (KeyError, TypeError):
            continue
        if fits and raw and code.exists() and variables.exists():
            return code, variables
    raise HostError("no OVMF with Secure Boot and Microsoft's keys was found", hint=_HINT)


def _descriptions(folders: Iterable[Path]) -> Iterator[Any]:
    """The descriptions in order of their names; a file that is empty or no JSON hides its namesakes all the same."""
    files: dict[str, Path] = {}
    for folder in folders:
        for file in sorted(folder.glob("*.json")):
            files.setdefault(file.name, file)
    for _, file in sorted(files.items()):
        try:
            yield json.loads(file.read_text())
        except (OSError, ValueError):
            continue
