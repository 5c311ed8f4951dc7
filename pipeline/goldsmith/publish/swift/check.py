"""Whether Swift holds the very bytes of an image's file: sizes and MD5 are compared, nothing is downloaded.

The ETag of an object is the MD5 of its bytes.  Of a large one (X-Object-Manifest: DLO, which Glance makes from
swift_store_large_object_size on; X-Static-Large-Object: SLO) it is that of its segments' ETags, so each segment's is
compared with its part of the file (swift/common/middleware/dlo.py and slo.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import unquote

from goldsmith.errors import CheckFailedError, HostError, InputError
from goldsmith.publish.glance.service import Glance
from goldsmith.publish.swift.place import PREFIX, Place, guesses, told
from goldsmith.publish.swift.service import HiddenError, Swift, swift_of

_BLOCK = 2**20


@dataclass(frozen=True)
class Part:
    """An object whose ETag is the MD5 of ``size`` bytes of the image."""

    container: str
    name: str
    size: int
    etag: str


@dataclass(frozen=True)
class Stored:
    """``known`` says that Glance named the place; else it was found where Glance puts images by convention."""

    account: str
    container: str
    name: str
    known: bool
    large: Literal["DLO", "SLO"] | None
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


def verify_store(glance: Glance, image_id: str, file: Path, sha512: str, store: Glance, prefix: str = PREFIX) -> Stored:
    """Compare what Swift holds of an image with the file that was published, ``store`` being who may look there.

    Raises CheckFailedError where the object is missing or other bytes, InputError where the store is not Swift, cannot
    be seen, or the file is not that of ``sha512``; HostError where the cloud does not answer.
    """
    image = glance.image(image_id)
    if image is None:
        raise HostError(f"image {image_id} is gone", where=f"cloud {glance.cloud}", hint="run it again")
    place = told(image, f"cloud {glance.cloud}")
    swift = swift_of(store)
    stored = look(swift, image_id, place, prefix)
    wrong = _sizes(stored, file, image["size"])
    wrong = wrong or _digests(stored, file, sha512, image.get("checksum"))
    if wrong:
        raise CheckFailedError("; ".join(wrong), where=_where(swift, stored))
    return stored


def _where(swift: Swift, place: Place | Stored) -> str:
    return f"{swift.where}: {place.container}/{place.name}"


def look(swift: Swift, image_id: str, place: Place | None, prefix: str = PREFIX) -> Stored:
    """Find the object and its segments.  Raises as ``verify_store``."""
    if place is None:
        candidates = guesses(image_id, swift.containers(), prefix)
    else:
        swift = swift.of(place.account)
        candidates = [place] if swift.has_container(place.container) else []
    for each in candidates:
        headers = swift.head(each.container, each.name)
        if headers is not None:
            return _stored(swift, each, headers)
    # Without an account of its own in the address, another account's container may be meant.
    if not candidates and (place is None or place.account is None):
        name = place.container if place else f"{prefix} or {prefix}_..."
        raise HiddenError(
            f"account {swift.account} has no container {name}: "
            f"the object of image {image_id} cannot be seen with these credentials",
            where=swift.where,
            hint="name an entry of clouds.yaml of the project that Glance stores in: --store-cloud",
        )
    asked = candidates[0] if candidates else place
    assert asked is not None
    raise CheckFailedError("the object is missing", where=_where(swift, asked))


def _stored(swift: Swift, place: Place, headers: Mapping[str, str]) -> Stored:
    large: Literal["DLO", "SLO"] | None = None
    parts = [_part(place.container, place.name, headers)]
    if manifest := headers.get("X-Object-Manifest"):
        large = "DLO"
        container, _, prefix = unquote(manifest).partition("/")
        parts = [_segment(swift, container, name) for name in swift.names(container, prefix)]
    elif headers.get("X-Static-Large-Object", "").lower() == "true":
        large = "SLO"
        named = [str(each["name"]).lstrip("/") for each in swift.manifest(place.container, place.name)]
        parts = [_segment(swift, *name.split("/", 1)) for name in named]
    return Stored(swift.account, place.container, place.name, place.known, large, tuple(parts))


def _segment(swift: Swift, container: str, name: str) -> Part:
    # A listing is what the container remembers; the object itself may be another by now.
    headers = swift.head(container, name)
    if headers is None:
        raise CheckFailedError("the segment is missing", where=f"{swift.where}: {container}/{name}")
    return _part(container, name, headers)


def _part(container: str, name: str, headers: Mapping[str, str]) -> Part:
    # The middleware etag_quoter puts quotes around it.
    return Part(container, name, int(headers.get("Content-Length", "-1")), headers.get("Etag", "").strip('"').lower())


def _sizes(stored: Stored, file: Path, said: int) -> list[str]:
    size = file.stat().st_size
    if stored.size == size == said:
        return []
    parts = f" in {len(stored.parts)} segments" if stored.large else ""
    return [f"the object has {stored.size} bytes{parts}, the file {size}, and Glance says {said}"]


def _digests(stored: Stored, file: Path, sha512: str, checksum: str | None) -> list[str]:
    whole, image = hashlib.sha512(), hashlib.md5(usedforsecurity=False)
    with file.open("rb") as stream:
        own = [_md5(stream, part.size, (whole, image)) for part in stored.parts]
    if whole.hexdigest() != sha512:
        raise InputError("the file is not the image of its manifest", where=str(file), hint="build the image again")
    what = "segment {}" if stored.large else "the object"
    wrong = [
        f"{what.format(part.name)} has the ETag {part.etag}, its bytes in the file {md5}"
        for part, md5 in zip(stored.parts, own, strict=True)
        if part.etag != md5
    ]
    # A FIPS host or an old release keeps no MD5.
    if checksum is not None and checksum != image.hexdigest():
        wrong.append(f"Glance says MD5 {checksum}, the file is {image.hexdigest()}")
    return wrong


def _md5(stream: BinaryIO, size: int, also: Sequence[hashlib._Hash]) -> str:
    part = hashlib.md5(usedforsecurity=False)
    while size > 0 and (block := stream.read(min(size, _BLOCK))):
        size -= len(block)
        for each in (part, *also):
            each.update(block)
    return part.hexdigest()
