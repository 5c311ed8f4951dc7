"""The same instance on a disk: a config drive as Nova makes it, or a NoCloud seed.

Nova's files: ``metadata_for_config_drive`` of nova/api/metadata/base.py, with the EC2 versions that its
``config_drive_skip_versions`` leaves by default; its ISO 9660: ``_make_iso9660`` of nova/virt/configdrive.py.
NoCloud's: cloudinit/sources/DataSourceNoCloud.py.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from goldsmith.boot.instance import OPENSTACK_VERSIONS, Instance
from goldsmith.errors import InputError
from goldsmith.host.run import run

#: where a guest learns about itself
Datasource = Literal["metadata", "config-drive", "nocloud"]

CONFIG_DRIVE_LABEL = "config-2"
NOCLOUD_LABEL = "cidata"
#: takes mkisofs' arguments, as Nova's genisoimage does, and is maintained
MKISOFS = "xorrisofs"
#: answered by the service only: the guest writes it there
_SERVICE_ONLY = "password"
_EC2_VERSIONS = ("2009-04-04", "latest")
#: characters of base64 that the API takes (nova/api/openstack/compute/schemas/servers.py)
_USER_DATA_LIMIT = 65535


def config_drive_files(instance: Instance) -> dict[str, str]:
    """The files of a config drive, by path."""
    tree: dict[str, Any] = {**instance.ec2_meta_data(), "ami-launch-index": 0, "security-groups": ["default"]}
    if instance.key:
        tree["public-keys"] = {"0": {"openssh-key": instance.key[1]}}
    found = {}
    for version in _EC2_VERSIONS:
        found[f"ec2/{version}/meta-data.json"] = json.dumps(tree)
        if instance.user_data is not None:
            found[f"ec2/{version}/user-data"] = instance.user_data
    for version in (*OPENSTACK_VERSIONS, "latest"):
        files = instance.openstack_files(version)
        found.update({f"openstack/{version}/{name}": text for name, text in files.items() if name != _SERVICE_ONLY})
    return found


def nocloud_files(instance: Instance) -> dict[str, str]:
    """The files of a NoCloud seed, by name; JSON is YAML, too."""
    meta_data: dict[str, Any] = {**instance.meta, "instance-id": instance.uuid, "local-hostname": instance.hostname}
    if instance.key:
        meta_data["public-keys"] = [instance.key[1]]
    ethernets = {
        f"nic{index}": {
            "match": {"macaddress": nic.mac},
            "dhcp4": True,
            "mtu": nic.network.mtu,
            **({"accept-ra": True} if nic.network.prefix6 else {}),
        }
        for index, nic in enumerate(instance.nics)
    }
    return {
        "meta-data": json.dumps(meta_data),
        # cloud-init takes no seed without it.
        "user-data": instance.user_data or "",
        "network-config": json.dumps({"version": 2, "ethernets": ethernets}),
    }


def write_iso(files: Mapping[str, str], label: str, target: Path) -> None:
    """Write an ISO 9660 image with Rock Ridge and Joliet names, as Nova does.

    ``files`` maps relative paths to text.  Raises InputError for a path that leads out of the image or a text that is
    none, HostError where xorrisofs is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="seed-", dir=target.parent) as folder:
        for name, text in files.items():
            pure = PurePosixPath(name)
            if pure.is_absolute() or ".." in pure.parts or not pure.parts:
                raise InputError(f"{name!r} is no path inside a seed")
            path = Path(folder, pure)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.write_bytes(text.encode())
            except UnicodeEncodeError as error:
                raise InputError(f"{name} of the seed is no text: {error}") from error
        names = ["-ldots", "-allow-lowercase", "-allow-multidot", "-l", "-J", "-r"]
        run([MKISOFS, "-o", target, *names, "-publisher", "goldsmith", "-quiet", "-V", label, folder], deadline=60)


def make_seed(instance: Instance, datasource: Datasource, target: Path) -> Path | None:
    """Write what ``datasource`` gives a guest on a disk; None where that is nothing.

    Raises InputError for user-data that Nova would refuse.
    """
    if datasource == "config-drive":
        encoded = 4 * ((len((instance.user_data or "").encode("utf-8", "surrogatepass")) + 2) // 3)
        if encoded > _USER_DATA_LIMIT:
            raise InputError(f"user-data has {encoded} characters in base64, and Nova takes {_USER_DATA_LIMIT}")
        write_iso(config_drive_files(instance), CONFIG_DRIVE_LABEL, target)
        return target
    if datasource == "nocloud":
        write_iso(nocloud_files(instance), NOCLOUD_LABEL, target)
        return target
    return None
