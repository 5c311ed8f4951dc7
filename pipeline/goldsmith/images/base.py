"""The image that a recipe starts from: which one it is, fetched, looked at, and a copy to work on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from goldsmith.errors import HostError, InputError, Problem
from goldsmith.host.files import document_digest, file_digest, write_text
from goldsmith.host.progress import Progress
from goldsmith.images.qemu import qemu_img
from goldsmith.images.sound import require_sound
from goldsmith.images.standalone import standalone
from goldsmith.images.untrusted import Header, looked_at
from goldsmith.recipe.checksums import ChecksumError, digest_of
from goldsmith.recipe.image_base import LARGEST_LIST, Place, listed_digest, place
from goldsmith.recipe.model import ImageBase, Recipe
from goldsmith.settings import Settings
from goldsmith.store.artefacts import ArtefactStore
from goldsmith.store.download import downloaded
from goldsmith.store.http import text_of

KIND = "standalone"
DISK = "disk.qcow2"

#: QEMU's name of a format that the others call by another
_ALIASES = {"vhd": "vpc"}
_SUFFIXES = {".qcow2": "qcow2", ".raw": "raw", ".vmdk": "vmdk", ".vhd": "vpc", ".vhdx": "vhdx"}


@dataclass(frozen=True)
class BaseImage:
    """A base on this host's disk, safe to open as ``header.format``; ``origin`` is the FILE or URL it came from."""

    path: Path
    header: Header
    sha256: str
    origin: str


def identified(recipe: Recipe, settings: Settings, progress: Progress) -> str | None:
    """The sha256 of the file that the recipe's base is; None for a base that is no image.

    A local file is looked at, and its digest compared; of a URL no more than its list of checksums is fetched, and
    where that cannot be had the last one is taken.  Raises InputError with the place in the recipe where the file has
    another digest, is not safe to open or not of the format it is said to be, or is not in the list.
    """
    base = recipe.base
    if not isinstance(base, ImageBase):
        return None
    image = place(base.image, recipe.file_of("base.image"))
    expected = base.sha256 or _listed(recipe, base, image, settings, progress)
    if image.path is None:
        # The recipe's model has seen to it that a URL has one of both.
        return expected
    _looked_at(recipe, base, image.path, image.name)
    found = file_digest(image.path)
    if expected and found != expected:
        key = "base.sha256" if base.sha256 else "base.sha256sums"
        raise _wrong(recipe, key, f"is {expected}, and {image.path} has {found}")
    return found


def obtained(recipe: Recipe, sha256: str, settings: Settings, progress: Progress) -> BaseImage:
    """The base with that digest (``identified``'s), on this host; fetched if it is not there yet.

    Raises InputError where it is not safe to open, or the server has no such file; HostError as ``downloaded`` does.
    """
    base = recipe.base
    if not isinstance(base, ImageBase):
        raise InputError("is no image", where=f"{recipe.file_of('base')}: base")
    image = place(base.image, recipe.file_of("base.image"))
    path = image.path
    if path is None:
        path = downloaded(str(image.url), sha256, settings.cache_dir / "downloads", settings, progress)
    header = _looked_at(recipe, base, path, image.name)
    if header.snapshots:
        progress.note(f"{image}: its {header.snapshots} internal snapshots are left out; its present state is taken")
    return BaseImage(path, header, sha256, str(image))


def working_copy(image: BaseImage, settings: Settings, progress: Progress, scale: float = 1.0) -> Path:
    """A standalone qcow2 of the base, kept in the store by the base's digest: to be copied, not written to.

    ``scale`` multiplies the deadline of the look at its tables.  Raises InputError for a damaged image, HostError
    without room for it.
    """
    tool = qemu_img(["--version"], 30).stdout.partition("\n")[0]
    key = document_digest([image.sha256, image.header.format, tool])

    def write(folder: Path) -> None:
        with progress.step(f"convert {image.origin}"):
            require_sound(image.path, image.header.format, scale)
            standalone(image.path, folder / DISK)
            if file_digest(image.path) != image.sha256:
                raise InputError("is no longer the file that was looked at", where=image.origin, hint="run it again")

    return ArtefactStore(settings.cache_dir / "artefacts").put(KIND, key, write).file(DISK)


def _looked_at(recipe: Recipe, base: ImageBase, path: Path, name: str) -> Header:
    """The header; a format that is declared, by the recipe or the file's name, must be the one that is found."""
    try:
        header = looked_at(path)
    except InputError as error:
        raise _wrong(recipe, "base.image", f"{name}: {error.message}") from error
    if base.format:
        if header.format != _ALIASES.get(base.format, base.format):
            raise _wrong(recipe, "base.format", f"is {base.format}, and {name} is {header.format}")
        return header
    suffix = Path(name).suffix.lower()
    if header.format != _SUFFIXES.get(suffix, header.format):
        hint = "if that is right, say so with format"
        raise _wrong(recipe, "base.image", f"{name} is {header.format}, unlike its name", hint)
    return header


def _listed(recipe: Recipe, base: ImageBase, image: Place, settings: Settings, progress: Progress) -> str | None:
    if base.sha256sums is None:
        return None
    sums = place(base.sha256sums, recipe.file_of("base.sha256sums"))
    try:
        if sums.path is not None:
            return listed_digest(sums.path, image.name)
        return digest_of(image.name, _fetched_list(str(sums.url), settings, progress))
    except ChecksumError as error:
        raise _wrong(recipe, "base.sha256sums", f"{sums} {error}") from error


def _fetched_list(url: str, settings: Settings, progress: Progress) -> str:
    """The list; where it cannot be had, the one that was fetched last."""
    kept = settings.cache_dir / "checksums" / hashlib.sha256(url.encode()).hexdigest()
    try:
        text = text_of(url, settings, LARGEST_LIST)
    except HostError as error:
        if not kept.is_file():
            raise
        progress.note(f"{url}: {error.message}; the list that was fetched last is taken")
        return kept.read_text()
    write_text(kept, text)
    return text


def _wrong(recipe: Recipe, key: str, message: str, suggestion: str | None = None) -> InputError:
    return InputError(problems=[Problem(recipe.file_of(key), key, message, suggestion)])
