"""Which way commands get into an image's guest: decided by what lies in the image, looked at once."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import yaml

from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import CREDENTIAL_SYSTEMD, Channel
from goldsmith.errors import GoldsmithError
from goldsmith.host.disk_format import DiskFormat
from goldsmith.host.files import document_digest, file_digest, write_json
from goldsmith.settings import Settings
from goldsmith.verify.tree import Tree
from goldsmith.verify.work import DiskOpener

#: systemd's own library names its version, whatever the distribution's package database is
_LIBRARIES = tuple(
    f"{folder}/libsystemd-shared-*.so"
    for folder in ("/usr/lib/systemd", "/lib/systemd", "/usr/lib64/systemd", "/usr/lib/*-linux-gnu/systemd")
)
_SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
_VERSION = re.compile(r"libsystemd-shared-(\d+)")
_AGENT = ("/usr/bin/qemu-ga", "/usr/sbin/qemu-ga", "/usr/local/bin/qemu-ga")
_CLOUD_INIT = ("/usr/bin/cloud-init", "/usr/local/bin/cloud-init")
#: distributions, by ID or ID_LIKE, that run on every x86-64
_BASELINE = {"debian", "alpine", "arch"}
_FAMILIES = re.compile(r"^ID(?:_LIKE)?=(.*)$", re.MULTILINE)
#: what the lab's metadata service is for cloud-init
_DATASOURCE = "OpenStack"


def systemd_version(tree: Tree) -> int | None:
    """The version of the image's systemd, None where there is none, or one before 231."""
    names = [path for pattern in _LIBRARIES for path in tree.glob(pattern)]
    return max((int(found.group(1)) for name in names if (found := _VERSION.search(name))), default=None)


def cloud_init_refusal(tree: Tree) -> str | None:
    """Why the image's cloud-init would not read the lab's user-data, None where it does."""
    if not any(tree.exists(path) for path in _CLOUD_INIT):
        return "there is no cloud-init"
    if tree.exists("/etc/cloud/cloud-init.disabled"):
        return "cloud-init is disabled"
    sources: Any = None
    for path in [*tree.glob("/etc/cloud/cloud.cfg"), *tree.glob("/etc/cloud/cloud.cfg.d/*.cfg")]:
        try:
            document = yaml.safe_load(tree.read(path))
        except (yaml.YAMLError, UnicodeDecodeError):
            # cloud-init leaves out a file that it cannot read.
            continue
        if isinstance(document, dict):
            sources = document.get("datasource_list", sources)
    if isinstance(sources, list) and _DATASOURCE not in sources:
        return f"cloud-init's datasource_list is {sources}, without {_DATASOURCE}"
    return None


def needs_cx16(tree: Tree) -> bool:
    """Whether the image's programs may be built for x86-64-v2 or later, as those of RHEL 9 and SLES 16 are.

    Of what is not known that is assumed.
    """
    if not tree.exists("/etc/os-release"):
        return True
    text = tree.read("/etc/os-release").decode(errors="replace")
    families = {word for names in _FAMILIES.findall(text) for word in names.strip("\"' ").split()}
    return not families & _BASELINE


def choose(tree: Tree) -> Channel:
    """The way that changes this guest least and works with its systemd."""
    if any(name.lower() == "windows" for name in tree.names("/")) and not tree.exists("/etc/os-release"):
        return Channel("passive", "this is Windows, which takes no commands of ours; nothing of it is changed")
    version = systemd_version(tree)
    if version is None and not any(tree.exists(path) for path in _SYSTEMD):
        if any(tree.exists(path) for path in _AGENT):
            return Channel("agent", "there is no systemd in the image, and QEMU's guest agent is")
        return Channel("passive", "there is neither systemd in the image nor QEMU's guest agent to run a command")
    if version is not None and version >= CREDENTIAL_SYSTEMD:
        return Channel("credential", f"systemd {version} makes a unit of a credential")
    name = f"systemd {version}" if version else "this systemd"
    why = f"{name} makes no unit of a credential, {CREDENTIAL_SYSTEMD} is the first to"
    if refusal := cloud_init_refusal(tree):
        return Channel("unit", f"{why}, and {refusal}")
    return Channel("cloud-init", f"{why}, and cloud-init reads user-data")


def chosen(
    image: Path, image_format: DiskFormat, digest: str, settings: Settings, accelerator: Accelerator, opener: DiskOpener
) -> Channel:
    """``choose`` for an image whose sha256 is ``digest``; remembered, because it takes the appliance.

    An image that cannot be looked at is booted with the credential, which needs nothing of it.
    """
    key = document_digest({"image": digest, "code": file_digest(Path(__file__))})
    memory = settings.cache_dir / "channels" / f"{key}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(memory.read_text())
        return Channel(known["kind"], known["reason"], bool(known["cx16"]))
    try:
        with opener({"image": (image, image_format)}, accelerator) as opened, opened.tree("image") as tree:
            channel = dataclasses.replace(choose(tree), cx16=needs_cx16(tree))
    except GoldsmithError as error:
        return Channel("credential", f"the image could not be looked at: {error.message}")
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_json(memory, dataclasses.asdict(channel))
    return channel
