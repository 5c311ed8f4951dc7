"""In which container and object of Swift Glance keeps an image (glance_store/_drivers/swift/store.py).

A multi-tenant store makes a container <prefix>_<image id> in the account of the image's project; a single-tenant one
uses the container <prefix> of its own account or, with swift_store_multiple_containers_seed, <prefix>_<the id's first
characters>.  The prefix is swift_store_container, by default ``glance``; the object is named by the image's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from goldsmith.errors import InputError

PREFIX = "glance"


@dataclass(frozen=True)
class Place:
    """``account`` is None where it is that of whoever looks; ``known`` says that Glance named it."""

    container: str
    name: str
    account: str | None = None
    known: bool = False

    def __str__(self) -> str:
        return f"{self.container}/{self.name}"


def told(image: Mapping[str, Any], where: str) -> Place | None:
    """What Glance says of it, or None where it shows no locations (show_multiple_locations, show_image_direct_url).

    Raises InputError where it is not stored in Swift.  Nothing else of an address is repeated: that of a single-tenant
    store holds a password.
    """
    urls = [each["url"] for each in image.get("locations") or ()]
    urls += [image["direct_url"]] if image.get("direct_url") else []
    if not urls:
        return None
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme.partition("+")[0] != "swift":
            continue
        words = [unquote(word) for word in parts.path.split("/") if word]
        if len(words) < 2:
            continue
        # A storage address ends in /v1/ACCOUNT; one with a user is where Glance's own user logs in.
        storage = len(words) >= 4 and "@" not in parts.netloc and parts.scheme != "swift+config"
        return Place(words[-2], words[-1], words[-3] if storage else None, known=True)
    kinds = ", ".join(sorted({urlsplit(url).scheme for url in urls}))
    raise InputError(
        f"image {image['id']} is stored by {kinds}, not in Swift", where=where, hint="leave --verify-store out"
    )


def guesses(image_id: str, containers: list[str], prefix: str = PREFIX) -> list[Place]:
    """Where it may be among an account's containers, the most telling name first."""
    fitting = [prefix, *(f"{prefix}_{image_id[:end]}" for end in range(1, len(image_id) + 1))]
    return [Place(name, image_id) for name in reversed(fitting) if name in containers]
