"""Small real images with green verdicts, for publishing."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

from goldsmith.host.progress import Progress
from goldsmith.publish.glance.claim import Lease
from goldsmith.publish.glance.publisher import Order, publish
from goldsmith.publish.glance.service import Glance, connect
from goldsmith.store.manifest import Manifest, UsedElement, Verdict

#: short enough that a dead publisher is seen to be dead within a test
LEASE = Lease(silence=4, beat=1)


def verdict(status: str = "pass") -> Verdict:
    facts = {"layer": "live", "element": "goldsmith", "check": "settled", "says": "It boots.", "firmware": "bios"}
    return Verdict.model_validate({**facts, "status": status})


def image(folder: Path, content: str, *, size: int = 1 << 16) -> tuple[Path, Manifest]:
    """A qcow2 of about ``size`` bytes that holds ``content``, which makes its digest its own."""
    folder.mkdir(parents=True, exist_ok=True)
    raw, path = folder / "raw", folder / f"{content}.qcow2"
    raw.write_bytes(hashlib.sha512(content.encode()).digest() * (size // 64))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(path)], check=True)
    data = path.read_bytes()
    return path, Manifest(
        name="small",
        recipe_digest=hashlib.sha256(content.encode()).hexdigest(),
        inputs={},
        base={"distribution": "debian", "release": "trixie"},
        elements=(UsedElement(name="generalize", digest="c" * 64),),
        firmware=("bios",),
        sha256=hashlib.sha256(data).hexdigest(),
        sha512=hashlib.sha512(data).hexdigest(),
        size=len(data),
        virtual_size=size,
        verdicts=(verdict(),),
        goldsmith_version="0.1.0",
    )


def order(folder: Path, name: str, content: str, **more: Any) -> Order:
    size = more.pop("size", 1 << 16)
    path, manifest = image(folder, content, size=size)
    facts: dict[str, Any] = {"properties": {"os_type": "linux", "hw_disk_bus": "virtio"}, "lease": LEASE, "settle": 0.5}
    return Order(name, path, manifest, **(facts | more))


def publish_old(folder: Path) -> tuple[Glance, str]:
    """A member of the cloud, and the id of the image that users know as `web`."""
    member = connect("member")
    return member, publish(member, order(folder, "web", "old"), Progress(quiet=True)).image


def unharmed(member: Glance, old: str) -> None:
    """One image, and that the old one, as it was."""
    assert [(i["id"], i["name"], i["os_hidden"]) for i in member.images()] == [(old, "web", False)]
