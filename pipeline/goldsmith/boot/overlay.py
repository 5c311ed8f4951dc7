"""The disk that a machine writes to instead of the image."""

from __future__ import annotations

import json
from pathlib import Path

from goldsmith.errors import InputError
from goldsmith.host.run import run


def make_overlay(image: Path, image_format: str, overlay: Path, growth: int = 0) -> None:
    """A throw-away qcow2 over ``image``, ``growth`` bytes larger; what it does not hold is read from there."""
    if not image.exists():
        raise InputError("no such image", where=str(image))
    size: list[str] = []
    if growth:
        info = run(["qemu-img", "info", "--output=json", "-f", image_format, image], deadline=60).stdout
        size = [str(int(json.loads(info)["virtual-size"]) + growth)]
    run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", image_format, "-b", image.absolute(), overlay, *size],
        deadline=60,
        hint="run: goldsmith doctor",
    )
