"""Two images compared: by their bytes, by their disks on the host, and only then by what lies on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from goldsmith.boot.accelerator import Accelerator
from goldsmith.errors import InputError
from goldsmith.host.progress import Progress
from goldsmith.images.qemu import qemu_img, reason
from goldsmith.images.untrusted import looked_at
from goldsmith.inspection.comparison.differences import Difference, Side, differences
from goldsmith.inspection.comparison.disks import Disk, Opener, opened
from goldsmith.inspection.comparison.explain import (
    Cause,
    Known,
    below_cause,
    cause,
    elements_that_differ,
    folders_of_changes,
    inputs_that_differ,
    known_cause,
)
from goldsmith.inspection.comparison.files import File
from goldsmith.inspection.comparison.reading import SIDES, Read, both, contents
from goldsmith.inspection.image import Image
from goldsmith.store import manifest as manifests
from goldsmith.store.manifest import Manifest

#: "file": the same bytes; "disk": packed otherwise; "content": other bytes where no file lies
Verdict = Literal["file", "disk", "content", "different"]

#: seconds, before scaling, to compare two disks on the host: 3 GiB with 540 MiB of data took 1.2
_COMPARE_SECONDS = 3600.0


@dataclass(frozen=True)
class Subject:
    """An image to compare, and the manifest that was found beside it."""

    image: Image
    manifest: Manifest | None = None


@dataclass(frozen=True)
class Explained:
    """A file that differs; ``tree`` is the prefix of its path where it lies in no system."""

    tree: str
    difference: Difference
    cause: Cause
    package: str = ""

    @property
    def path(self) -> str:
        return f"{self.tree}{self.difference.path}"


@dataclass(frozen=True)
class Below:
    """What differs of a disk below its files; "" where a side has none."""

    about: str
    a: str
    b: str
    why: str = ""


@dataclass(frozen=True)
class Comparison:
    """``inputs`` say how the images' inputs differ, ``unread`` what was not compared; ``compared`` counts paths.

    Where the verdict is "file" or "disk" nothing was looked at.
    """

    a: Subject
    b: Subject
    verdict: Verdict
    below: tuple[Below, ...] = ()
    files: tuple[Explained, ...] = ()
    inputs: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    compared: int = 0


def manifest_beside(image: Image) -> Manifest | None:
    """The manifest of exactly this file, from where the catalogue or the store has it; None where there is none."""
    for path in (image.path.with_suffix(".json"), image.path.with_name("manifest.json")):
        try:
            found = manifests.read(path)
        except InputError:
            continue
        if found.sha256 == image.sha256:
            return found
    return None


def compared(a: Subject, b: Subject, accelerator: Accelerator, progress: Progress) -> Comparison:
    """Compare two images.

    Raises InputError where one cannot be read, HostError and HarnessError where the host or the appliance fails.
    """
    inputs = tuple(inputs_that_differ(a.manifest, b.manifest))
    if a.image.sha256 == b.image.sha256:
        return Comparison(a, b, "file", inputs=inputs)
    with progress.step("diff: the bytes of both disks"):
        same = same_disk(a.image, b.image, accelerator.scale)
    if same:
        return Comparison(a, b, "disk", inputs=inputs)
    paths: dict[Side, Path] = {"a": a.image.path, "b": b.image.path}
    with contextlib.ExitStack() as stack:
        with progress.step("diff: the disks in the appliance"):
            opener = stack.enter_context(opened(a.image, b.image, accelerator))
        read = both(opener, paths, progress)
        with progress.step("diff: what differs, and why"):
            files = tuple(_files(opener, read, paths, elements_that_differ(a.manifest, b.manifest)))
    below = tuple(_below(read["a"].disk, read["b"].disk, a.manifest, b.manifest))
    unread = tuple(f"{side.upper()}: {each}" for side in SIDES for each in read[side].unread)
    count = sum(len(files_a.keys() | files_b.keys()) for _, files_a, files_b in _pairs(read))
    verdict: Verdict = "different" if below or files or unread else "content"
    return Comparison(a, b, verdict, below, files, inputs, unread, count)


def same_disk(a: Image, b: Image, scale: float) -> bool:
    """Whether guests would read the same bytes of both, by qemu-img.  Raises InputError where it cannot read them."""
    if looked_at(a.path).virtual_size != looked_at(b.path).virtual_size:
        return False
    done = qemu_img(["compare", "-f", a.format, "-F", b.format, a.path, b.path], _COMPARE_SECONDS * scale)
    if done.returncode not in (0, 1):
        raise InputError(f"cannot be compared: {reason(done)}", where=f"{a.path}, {b.path}")
    return done.returncode == 0


def _pairs(read: Mapping[Side, Read]) -> Iterator[tuple[str, Mapping[str, File], Mapping[str, File]]]:
    """Each tree of either side, with its files on both."""
    a, b = read["a"].trees, read["b"].trees
    for prefix in sorted(a.keys() | b.keys()):
        yield prefix, a[prefix].listing.files if prefix in a else {}, b[prefix].listing.files if prefix in b else {}


def _files(
    opener: Opener, read: Mapping[Side, Read], paths: Mapping[Side, Path], elements: Mapping[str, str]
) -> Iterator[Explained]:
    identifiers = counterparts(read["a"].disk, read["b"].disk)
    found: dict[str, list[Difference]] = {prefix: differences(a, b) for prefix, a, b in _pairs(read)}
    known = {prefix: _known(prefix, read, found[prefix], elements, identifiers) for prefix in found}
    wanted = {
        prefix: [
            each
            for each in listed
            if "content" in each.what and each.a and each.b and known_cause(each, known[prefix]) is None
        ]
        for prefix, listed in found.items()
    }
    seen = {
        side: contents(
            opener,
            paths[side],
            side,
            read[side].disk,
            {prefix: [(each.path, _of(each, side)) for each in listed] for prefix, listed in wanted.items()},
        )
        for side in (SIDES if any(wanted.values()) else ())
    }
    for prefix, listed in found.items():
        for each in listed:
            pair = [seen.get(side, {}).get((prefix, each.path)) for side in SIDES]
            yield Explained(prefix, each, cause(each, known[prefix], *pair), known[prefix].package(each.path))


def _of(difference: Difference, side: Side) -> File:
    file = difference.a if side == "a" else difference.b
    assert file is not None
    return file


def _known(
    prefix: str,
    read: Mapping[Side, Read],
    listed: Sequence[Difference],
    elements: Mapping[str, str],
    identifiers: Mapping[str, str],
) -> Known:
    seen = [read[side].trees.get(prefix) for side in SIDES]
    known = Known(
        elements={} if prefix else elements,
        identifiers=identifiers,
        homes=tuple(sorted({home for each in seen if each for home in each.homes})),
        folders=folders_of_changes(listed),
    )
    if seen[0] and seen[1]:
        return replace(known, a=seen[0].packages, b=seen[1].packages)
    return known


def counterparts(a: Disk, b: Disk) -> dict[str, str]:
    """The identifiers of the first disk that are others on the second, each with that which is in its place there."""
    return {
        value: b.identifiers[about]
        for about, value in a.identifiers.items()
        if about in b.identifiers and b.identifiers[about] != value
    }


def _below(a: Disk, b: Disk, manifest_a: Manifest | None, manifest_b: Manifest | None) -> Iterator[Below]:
    other_recipe = bool(manifest_a and manifest_b and manifest_a.recipe_digest != manifest_b.recipe_digest)
    identifiers = bool(counterparts(a, b))
    for about in dict.fromkeys([*a.facts, *b.facts]):
        one, other = a.facts.get(about, ""), b.facts.get(about, "")
        if one != other:
            why = below_cause(about, other_recipe=other_recipe, identifiers=identifiers)
            yield Below(about, one, other, why)
