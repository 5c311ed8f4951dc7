"""The image properties that Nova reads, and what is wrong with a name or a value that it would take amiss.

nova_vocabulary.yaml beside this file holds the facts, and nova_tree.py makes it anew from a clone of Nova.
"""

from __future__ import annotations

import difflib
import functools
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from goldsmith.recipe.problems import nearest

#: what is wrong, and what to write instead
Fault = tuple[str, str | None]

#: words that oslo.utils' bool_from_string takes; by all others a flag is off
YES = ("yes", "true", "on", "y", "t", "1")
NO = ("no", "false", "off", "n", "f", "0")
#: spellings that nova's fields translate (Architecture, VIFModel and SCSIModel in nova/objects/fields.py)
TRANSLATED = {
    "hw_architecture": {"amd64": "x86_64", "i386": "i686", "i486": "i686", "i586": "i686"},
    "hw_vif_model": {
        "virtuale1000": "e1000",
        "virtuale1000e": "e1000e",
        "virtualpcnet32": "pcnet",
        "virtualsriovethernetcard": "sriov",
        "virtualvmxnet": "vmxnet",
        "virtualvmxnet3": "vmxnet3",
    },
    "hw_scsi_model": {"lsilogicsas": "lsisas1068", "paravirtual": "vmpvscsi"},
}
#: of an instance's snapshot or of a volume (nova/compute/utils.py, nova/compute/api.py): an image that carries one is
#: taken for that, and with a mapping Nova boots a volume instead of the image
SNAPSHOT_MARKS = frozenset(
    {"block_device_mapping", "bdm_v2", "image_type", "instance_uuid", "base_image_ref", "user_id"}
)
#: how alike a name must be to one of Nova's to be meant by it; prefixes but hw_ are the owner's to invent
_NEAR, _CLOSE = 0.75, 0.85
_NUMBERED = ("hw_numa_cpus", "hw_numa_mem")
_TRAIT = re.compile(r"trait:[A-Z][A-Z0-9_]{0,254}")
_CPUS = re.compile(r"\^?\d+(-\d+)?(,\^?\d+(-\d+)?)*")


@dataclass(frozen=True)
class NovaProperty:
    """``kind`` is the field's class in nova/objects/fields.py, ``since`` the first release of Nova (12: or before)."""

    kind: str
    since: int
    values: tuple[str, ...] = ()
    any_case: bool = False


@functools.cache
def known() -> Mapping[str, NovaProperty]:
    """By name: fields of ImageMetaProps, properties read raw, and old names, which mean the same as the new ones."""
    data = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    found = {
        name: NovaProperty(
            entry["type"], entry["since"], tuple(entry.get("values", ())), bool(entry.get("any_case", False))
        )
        for name, entry in data["properties"].items()
    }
    return found | {old: found[new] for old, new in data["legacy"].items()}


def os_type_fault(value: str) -> Fault | None:
    """What is wrong with an os_type; nova compares the raw string, so ``Windows`` would silently mean Linux."""
    if value in ("linux", "windows"):
        return None
    hint = f"did you mean `{value.lower()}`" if value.lower() in ("linux", "windows") else None
    why = "nova compares the raw string, and gives all but `windows` the clock of a Linux"
    return f"os_type must be exactly `linux` or `windows`, found `{value}`: {why}", hint


def name_fault(name: str) -> Fault | None:
    """What is wrong with a name that looks like one of Nova's; None also where it is the owner's own."""
    if name in _NUMBERED:
        return "is written with the number of a NUMA node", f"write `{name}.0`"
    if name == "traits_required":
        return "is Nova's own list", "write `trait:NAME` with the value `required`"
    if name.startswith("trait"):
        if _TRAIT.fullmatch(name):
            return None
        return "is no trait: Nova reads `trait:NAME`, in capitals", f"write `trait:{name.partition(':')[2].upper()}`"
    plain, _, number = name.partition(".")
    if plain in known():
        if number and not (plain in _NUMBERED and number.isdigit()):
            return "is no property that Nova knows: it has no parts", f"did you mean `{plain}`"
        return None
    # Old names are not proposed; they are taken where they stand.
    names = [each for each in known() if each.startswith(("hw_", "os_", "img_"))]
    hardware = name.startswith("hw_")
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=_NEAR if hardware else _CLOSE)
    if not (hardware or close):
        return None
    return "is no property that Nova knows", f"did you mean `{close[0]}`" if close else None


def value_fault(name: str, value: str) -> Fault | None:
    """What is wrong with the value of a property that Nova reads; None for other properties."""
    if name == "os_type":
        return os_type_fault(value)
    if name.startswith("trait:"):
        return _trait_fault(value)
    plain, _, number = name.partition(".")
    entry = known().get(plain)
    if entry is None:
        return None
    if number:
        return _numbered_fault(plain, value)
    match entry.kind:
        case "Enum":
            return _enum_fault(name, entry, value)
        case "FlexibleBoolean" if value.strip().lower() not in (*YES, *NO):
            return f"{value!r} is neither yes nor no, and Nova takes it for no", "write `yes` or `no`"
        case "Integer" if not re.fullmatch(r"\d{1,9}", value.strip()):
            return f"{value!r} is not a whole number", None
        case "UUID" if not _is_uuid(value):
            return f"{value!r} is not a UUID", None
    return None


def fault(name: str, value: str) -> Fault | None:
    """What is wrong with a property that somebody plans; marks of a snapshot and Glance's own names are too."""
    if name in SNAPSHOT_MARKS:
        return "marks a snapshot or a volume: Nova would not take the image for what it is", "leave it out"
    if name.startswith("os_glance"):
        return "is Glance's own: it refuses it", "leave it out"
    return name_fault(name) or value_fault(name, value)


def _trait_fault(value: str) -> Fault | None:
    if value == "required":
        return None
    if value == "forbidden":
        # ImageMetaProps._set_attr_from_trait_names (nova/objects/image_meta.py) looks for 'required' alone.
        return "'forbidden' has no effect on an image: Nova reads it from flavors alone", "put it on the flavor"
    return f"{value!r} is not `required`, and Nova ignores it", "write `required`"


def _numbered_fault(plain: str, value: str) -> Fault | None:
    if plain == "hw_numa_mem":
        return None if re.fullmatch(r"\d{1,9}", value) else (f"{value!r} is not a whole number of MiB", None)
    return None if _CPUS.fullmatch(value.replace(" ", "")) else (f"{value!r} is not a list of CPUs", "as `0-3,^2`")


def _enum_fault(name: str, entry: NovaProperty, value: str) -> Fault | None:
    field = "hw_architecture" if name == "architecture" else name
    word = TRANSLATED.get(field, {}).get(value.lower(), value.lower()) if entry.any_case else value
    if word in entry.values:
        return None
    near = nearest(value, entry.values)
    hint = f"did you mean `{near}`" if near else None
    if value.lower() in entry.values:
        return f"{value!r} is not `{value.lower()}`: Nova compares it as it stands", hint
    listed = ", ".join(f"`{each}`" for each in entry.values)
    return f"{value!r} is not one of {listed}", hint


def _is_uuid(value: str) -> bool:
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True
