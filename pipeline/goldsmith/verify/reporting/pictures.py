"""Pictures of the screen that a boot left, for a page that refers to no other file."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

from goldsmith.boot.screen import TEXT_MODES, png_size
from goldsmith.errors import HarnessError
from goldsmith.verify.reporting.markup import Markup, joined, tag

#: bytes of a picture, as the guest decides how large its screen is; pictures of a boot; occasions told of one
MOST, MOST_PICTURES, MOST_OCCASIONS = 2 * 2**20, 12, 4

_WHEN = {"screen": "when a check last looked at it", "screen-last": "before the machine was switched off"}


def pictures(folder: Path, firmware: str) -> list[Markup]:
    """A figure for each picture in a boot's folder; what looks the same on several occasions is shown once."""
    seen: dict[bytes, list[str]] = {}
    notes = []
    left_out = 0
    # The general ones first: there is one more for each check that did not pass.
    for path in sorted(folder.glob("screen*.png"), key=lambda path: (path.stem not in _WHEN, path.name)):
        if why := _unfit(path):
            notes.append(f"{firmware}/{path.name} {why}.")
            continue
        data = path.read_bytes()
        if data not in seen and len(seen) == MOST_PICTURES:
            left_out += 1
            continue
        occasion = _WHEN.get(path.stem, f"after {path.stem.removeprefix('screen-')} did not pass")
        seen.setdefault(data, []).append(occasion)
    if left_out:
        notes.append(f"{left_out} more pictures are in the folder {firmware}.")
    figures = [_figure(data, firmware, occasions) for data, occasions in seen.items()]
    return [*figures, *(tag("p", note, class_="note") for note in notes)]


def _unfit(path: Path) -> str:
    """Why a picture is not shown; empty where it is."""
    try:
        png_size(path)
        return "is too large to be shown here" if path.stat().st_size > MOST else ""
    except (OSError, HarnessError):
        return "is no PNG picture"


def _figure(data: bytes, firmware: str, occasions: list[str]) -> Markup:
    width, height = struct.unpack(">II", data[16:24])
    mode = "VGA text mode" if (width, height) in TEXT_MODES else "graphics"
    told = occasions[:MOST_OCCASIONS]
    if more := len(occasions) - len(told):
        told.append(f"and on {more} more occasions")
    when = ", ".join(told)
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    alt = f"Screen of the guest booted with {firmware}, {when}; {mode}"
    return tag(
        "figure",
        tag("img", src=source, alt=alt, width=width, height=height),
        tag("figcaption", joined(tag("b", firmware), f", {when}: {width}×{height}, {mode}")),
    )
