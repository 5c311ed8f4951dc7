"""What a cloud holds under a public name: the current image, former ones, and what was begun."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from goldsmith.errors import InputError
from goldsmith.publish import signatures
from goldsmith.publish.glance import names
from goldsmith.publish.glance.service import Glance, Image, change, properties_of
from goldsmith.publish.signatures import Signer
from goldsmith.store.manifest import Manifest


@dataclass(frozen=True)
class State:
    """``current`` is what users find; ``former`` are hidden, the newest first; ``begun`` are staged, ``claims``
    those of publishers at work, the oldest first.

    A former one still has the public name where its switch ended a moment ago, or was cut short.
    """

    current: Image | None
    former: tuple[Image, ...]
    begun: tuple[Image, ...]
    claims: tuple[Image, ...]


def look(glance: Glance, name: str) -> State:
    """Raises InputError where several visible images have the name: nobody can say which one is to be replaced."""
    by_name = glance.images(name=name)
    visible = [image for image in by_name if not image["os_hidden"]]
    if len(visible) > 1:
        ids = ", ".join(image["id"] for image in visible)
        raise InputError(
            f"{len(visible)} images are called {name!r}: {ids}",
            where=f"cloud {glance.cloud}",
            hint="rename or hide all but one: openstack image set --name OTHER ID",
        )
    current = visible[0] if visible else None
    hidden = glance.images(hidden=(True,), **{names.NAME: name})
    former = [i for i in hidden if names.CLAIM not in i and names.STAGED not in i and i["status"] == "active"]
    former.sort(key=lambda image: (image["created_at"], image["id"]), reverse=True)
    previous = current.get(names.PREVIOUS) if current else None
    # The one that the current image replaced comes first, however old it is.
    former.sort(key=lambda image: image["id"] != previous)
    return State(current, tuple(former), tuple(_with(names.STAGED, hidden)), tuple(_with(names.CLAIM, hidden)))


def claims(glance: Glance, name: str) -> list[Image]:
    """Those of publishers at work, the oldest first; one request, where ``look`` takes three."""
    return _with(names.CLAIM, glance.images(hidden=(True,), **{names.NAME: name}))


def begun(glance: Glance, name: str) -> list[Image]:
    """What is staged, likewise."""
    return _with(names.STAGED, glance.images(hidden=(True,), **{names.NAME: name}))


def _with(mark: str, images: Iterable[Image]) -> list[Image]:
    return sorted((image for image in images if mark in image), key=_order)


def _order(image: Mapping[str, Any]) -> tuple[str, str]:
    return str(image["created_at"]), str(image["id"])


def holds(image: Mapping[str, Any] | None, manifest: Manifest) -> bool:
    """Whether an image is active and has the very bytes of a manifest."""
    return image is not None and image["status"] == "active" and image.get("os_hash_value") == manifest.sha512


def kept_signature(there: Mapping[str, Any] | None, manifest: Manifest, signer: Signer | None) -> dict[str, str]:
    """The img_signature* of ``there`` that stay: without a key where it holds the same bytes, with one if it made them.

    Empty where none stay.
    """
    has = {name: str(there[name]) for name in signatures.NAMES if name in there} if there else {}
    stays = signer.has_signed(has, manifest.sha256) if signer else holds(there, manifest)
    return has if stays else {}


@dataclass(frozen=True)
class Changes:
    """How properties would change: name to value, or to (old, new)."""

    add: Mapping[str, str]
    change: Mapping[str, tuple[str, str]]
    remove: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.add or self.change or self.remove)


def compare(image: Mapping[str, Any] | None, wanted: Mapping[str, str]) -> Changes:
    """Properties of an image against the planned ones; who made the image wrote its provenance (goldsmith_*)."""
    has = properties_of(image) if image else {}
    theirs = {key: value for key, value in has.items() if not key.startswith("goldsmith_") or key in wanted}
    return Changes(
        add={key: value for key, value in wanted.items() if key not in theirs},
        change={key: (theirs[key], value) for key, value in wanted.items() if key in theirs and theirs[key] != value},
        remove={key: value for key, value in theirs.items() if key not in wanted},
    )


def attributes(
    image: Mapping[str, Any], visibility: str, *, protected: bool | None, tags: Sequence[str] | None
) -> dict[str, Any]:
    """What an image is to have beside its properties, as far as it was said, and is not so already."""
    wanted: dict[str, Any] = {"visibility": visibility}
    if protected is not None:
        wanted["protected"] = protected
    # Glance keeps a set, and gives it in any order.
    if tags is not None and set(tags) != set(image["tags"]):
        wanted["tags"] = list(tags)
    return {key: value for key, value in wanted.items() if image[key] != value}


def operations(image: Mapping[str, Any], wanted: Mapping[str, str], **base: Any) -> list[dict[str, Any]]:
    """One PATCH that gives an image exactly the ``wanted`` properties, and these ``base`` attributes."""
    surplus = sorted(set(properties_of(image)) - set(wanted))
    return change(image, {**wanted, **base}, surplus)
