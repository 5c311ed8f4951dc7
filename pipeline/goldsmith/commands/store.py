"""--verify-store of publish and run: what Swift holds of an image that was just published."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldsmith.errors import CheckFailedError, InputError
from goldsmith.inspection.swift_at_rest import CONF, require_at_rest
from goldsmith.publish.glance.service import Glance, connect
from goldsmith.publish.swift.check import Stored, verify_store
from goldsmith.publish.swift.place import PREFIX


@dataclass(frozen=True)
class Look:
    """How to look: ``cloud`` is the entry of clouds.yaml that sees the store, ``devices`` a storage node's folder."""

    cloud: str | None = None
    prefix: str = PREFIX
    devices: Path | None = None
    conf: Path = CONF

    @classmethod
    def of(cls, args: argparse.Namespace) -> Look | None:
        """None where --verify-store is not given.  Raises InputError where options do not fit together."""
        others = (args.store_cloud, args.store_container, args.store_devices, args.swift_conf)
        if not args.verify_store:
            if any(others):
                raise InputError("options of --verify-store without it", hint="add --verify-store")
            return None
        if not args.cloud:
            raise InputError("--verify-store is about images in a cloud", hint="add --cloud NAME")
        return cls(args.store_cloud, args.store_container or PREFIX, args.store_devices, args.swift_conf or CONF)


def verified(glance: Glance, image_id: str, file: Path, sha512: str, look: Look) -> dict[str, Any]:
    """What is stored.  Raises as ``verify_store`` and ``require_at_rest``; the image stays published."""
    try:
        stored = verify_store(
            glance, image_id, file, sha512, connect(look.cloud) if look.cloud else glance, prefix=look.prefix
        )
        files = _at_rest(stored, look)
    except CheckFailedError as error:
        next_step = f"image {image_id} is visible all the same: goldsmith rollback, or publish it again"
        error.hint = f"{error.hint}; {next_step}" if error.hint else next_step
        raise
    return {
        "account": stored.account,
        "container": stored.container,
        "object": stored.name,
        "place": "from Glance" if stored.known else "by convention",
        "large": stored.large,
        "size": stored.size,
        "parts": [{"object": part.name, "size": part.size, "etag": part.etag} for part in stored.parts],
        "at_rest": [str(each) for each in files],
    }


def _at_rest(stored: Stored, look: Look) -> list[Path]:
    if look.devices is None:
        return []
    files: list[Path] = []
    for part in stored.parts:
        path = f"/{stored.account}/{part.container}/{part.name}"
        files += require_at_rest(look.devices, look.conf, path, part.size, part.etag)
    return files


def as_text(found: dict[str, Any]) -> str:
    """A line for a person."""
    parts = f", {len(found['parts'])} segments" if found["large"] else ""
    rest = f", metadata of {len(found['at_rest'])} replicas at rest" if found["at_rest"] else ""
    return (
        f"Swift has {found['container']}/{found['object']}: {found['size']} bytes{parts}, ETags{rest} as they should be"
    )
