"""A recipe of Windows elements as user-data for cloudbase-init: a PowerShell script that sets the same values.

Its header and exit codes are cloudbase-init's (doc/source/userdata.rst and tutorial.rst): ``#ps1_sysnative``, the
system's own PowerShell; 1001 restarts and is done, 1002 is run again at the next start.
"""

from __future__ import annotations

import re
import struct
import uuid
from importlib import resources

from goldsmith.errors import InputError
from goldsmith.host.files import document_digest
from goldsmith.recipe.plan import Plan
from goldsmith.recipe.registry import Entry, IniOption, Volume, VolumeData

_KINDS = {
    "REG_SZ": "String",
    "REG_EXPAND_SZ": "ExpandString",
    "REG_BINARY": "Binary",
    "REG_DWORD": "DWord",
    "REG_MULTI_SZ": "MultiString",
    "REG_QWORD": "QWord",
}


def concerned(plan: Plan) -> bool:
    """Whether this is a recipe for Windows."""
    return any(planned.element.windows for planned in plan.elements)


def script(plan: Plan) -> tuple[str, str]:
    """The script and the digest of what it sets; the same plan gives the same text.

    Raises InputError where there is nothing to set.
    """
    calls = [entry_call(each.entry) for each in plan.registry]
    calls += [call for each in plan.ini for call in ini_calls(each.option)]
    if not calls:
        raise InputError("nothing of this recipe is set at boot", where=str(plan.recipe.source or plan.recipe.name))
    digest = document_digest(calls)
    values = {
        "NAME": plan.recipe.name,
        "DIGEST": digest[:16],
        "CALLS": "\n".join(f"    {call}" for call in calls),
    }
    template = resources.files("goldsmith.render").joinpath("windows.ps1").read_text(encoding="utf-8")
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], template), digest


def entry_call(entry: Entry) -> str:
    """One value as a call of the script's own functions."""
    key = quoted("\\".join((entry.hive, *entry.names)))
    if entry.type is None or entry.data is None:
        return f"Remove-Value {key} {quoted(entry.name)}"
    return f"Set-Value {key} {quoted(entry.name)} {_KINDS[entry.type]} {_data(entry)}"


def ini_calls(option: IniOption) -> list[str]:
    """One option of some files, a call for each."""
    rest = " ".join(quoted(text) for text in (option.section, option.option, option.value))
    return [f"Set-IniOption {quoted(file)} {rest}" for file in option.files]


def _data(entry: Entry) -> str:
    match entry.data:
        case VolumeData(volume=volume):
            return _volume(volume)
        case int(number):
            # .NET has them with a sign.
            form, back = ("<I", "<i") if entry.type == "REG_DWORD" else ("<Q", "<q")
            (signed,) = struct.unpack(back, struct.pack(form, number))
            return f"([{'int' if entry.type == 'REG_DWORD' else 'long'}]{signed})"
        case str(text):
            return _bytes(bytes.fromhex(text)) if entry.type == "REG_BINARY" else quoted(text)
        case tuple(texts):
            return f"([string[]]@({', '.join(quoted(text) for text in texts)}))"
        case _:
            raise ValueError("an entry without data")


def _volume(volume: Volume) -> str:
    if volume.guid is not None:
        return _bytes(b"DMIO:ID:" + uuid.UUID(volume.guid).bytes_le)
    if volume.signature is not None and volume.offset is not None:
        return _bytes(struct.pack("<IQ", int(volume.signature, 16), volume.offset))
    return f"(Get-PartitionBytes {volume.partition})"


def _bytes(raw: bytes) -> str:
    return f"([byte[]]@({', '.join(f'0x{byte:02x}' for byte in raw)}))"


def quoted(text: str) -> str:
    """A text as PowerShell takes it literally, in ASCII: the script's encoding is nobody's to guess."""
    parts = re.findall(r"[ -~]+|[^ -~]", text)
    if len(parts) <= 1 and text.isascii() and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    units = []
    for part in parts:
        if part.isascii() and part.isprintable():
            units.append("'" + part.replace("'", "''") + "'")
        else:
            units += [f"[char]0x{unit:04x}" for (unit,) in struct.iter_unpack("<H", part.encode("utf-16-le"))]
    return f"(-join @({', '.join(units)}))"
