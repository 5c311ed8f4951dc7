"""What a boot left on the disk, as a part of the page."""

from __future__ import annotations

from collections.abc import Sequence

from goldsmith.verify.left import Entry, Left
from goldsmith.verify.reporting.markup import Markup, tag


def difference(left: Left) -> Markup:
    """Two lists, folded: an ordinary boot leaves more than anybody reads unasked."""
    return tag(
        "div",
        _folded(f"{left.firmware}: {_names(left.added_count)} new", left.added, left.added_count),
        _folded(f"{left.firmware}: {_names(left.removed_count)} gone", left.removed, left.removed_count),
        class_="left",
    )


def _names(count: int) -> str:
    return f"{count} name{'' if count == 1 else 's'}"


def _folded(title: str, entries: Sequence[Entry], count: int) -> Markup | None:
    if not entries:
        return None
    shown = sum(1 + entry.below for entry in entries)
    more = [tag("li", f"and {count - shown} more", class_="quiet")] if shown < count else []
    return tag("details", tag("summary", title), tag("ul", *map(_item, entries), *more))


def _item(entry: Entry) -> Markup:
    below = tag("span", f" with {_names(entry.below)} below", class_="quiet") if entry.below else None
    return tag("li", tag("code", entry.path), below)
