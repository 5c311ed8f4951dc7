"""A base that is an image: where it lies, and what a recipe may say when it has one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from goldsmith.recipe.checksums import ChecksumError, digest_of
from goldsmith.recipe.hooks import HOST_PHASES
from goldsmith.recipe.model import URL, ImageBase
from goldsmith.recipe.problems import did_you_mean

#: path in the recipe, message, suggestion
Finding = tuple[str, str, str | None]

#: elements of diskimage-builder's own machinery, whose work outside the tree is the bake's
MACHINERY = frozenset({
    "cache-url", "install-bin", "install-types", "manifests", "package-installs", "pkg-map", "source-repositories",
    "svc-map",
})  # fmt: skip

#: a list of a distribution's images has some KiB
LARGEST_LIST = 2**20


@dataclass(frozen=True)
class Place:
    """Where something lies: one of both is given."""

    url: str | None = None
    path: Path | None = None

    @property
    def name(self) -> str:
        """The file's own name."""
        return unquote(urlsplit(self.url).path).rpartition("/")[2] if self.url else (self.path or Path()).name

    def __str__(self) -> str:
        return self.url or str(self.path)


def place(text: str, file: str) -> Place:
    """What a FILE or URL in a recipe means; ``file`` is the recipe's file that says it."""
    return Place(url=text) if "://" in text else Place(path=Path(file).parent / text)


def judge(base: ImageBase, file_of: Callable[[str], str]) -> Iterator[Finding]:
    """What is wrong with the base itself."""
    image = place(base.image, file_of("base.image"))
    yield from _judge_place("base.image", image)
    if base.architecture != "amd64":
        yield "base.architecture", f"an image for `{base.architecture}` cannot be worked on", "known: `amd64`"
    if base.sha256 and base.sha256sums:
        yield "base.sha256sums", "is of no use beside sha256", "leave one of them out"
    if image.url and not base.sha256:
        if image.url.startswith("http://"):
            yield "base.image", "an http URL needs the image's sha256 in the recipe", "use https, or add sha256"
        elif not base.sha256sums:
            yield "base.image", "a URL needs sha256 or sha256sums", "add sha256sums: URL of the list beside the image"
    if base.sha256sums:
        sums = place(base.sha256sums, file_of("base.sha256sums"))
        problems = list(_judge_place("base.sha256sums", sums))
        if sums.url and sums.url.startswith("http://"):
            problems.append(("base.sha256sums", "a list that came over http proves nothing", "use https"))
        yield from problems
        if sums.path and not problems:
            try:
                listed_digest(sums.path, image.name)
            except ChecksumError as error:
                yield "base.sha256sums", f"{sums.path} {error}", None


def listed_digest(path: Path, name: str) -> str:
    """The digest of ``name`` in a list on disk.  Raises ChecksumError."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return digest_of(name, stream.read(LARGEST_LIST))
    except OSError as error:
        raise ChecksumError(f"cannot be read: {error.strerror}") from error


def _judge_place(key: str, where: Place) -> Iterator[Finding]:
    if where.url:
        yield from _judge_url(key, where)
    elif where.path and not where.path.is_file():
        if where.path.exists():
            yield key, f"{where.path} is not a file", None
        else:
            folder = where.path.parent
            known = [each.name for each in folder.iterdir() if each.is_file()] if folder.is_dir() else []
            yield key, f"no such file: {where.path}", did_you_mean(where.path.name, known)


def _judge_url(key: str, where: Place) -> Iterator[Finding]:
    url = where.url or ""
    try:
        parts = urlsplit(url)
        well_formed = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        well_formed = False
    if not well_formed or not re.match(URL, url):
        yield key, f"`{url}` is neither an https URL nor a file", "write it as https://HOST/PATH/FILE"
    elif "@" in parts.netloc:
        # The URL is written into manifests and shown in messages.
        yield key, "a URL with a user's name or password in it", "leave them out"
    elif not where.name:
        yield key, f"`{url}` names no file", "write it as https://HOST/PATH/FILE"


#: key of a recipe -> what it is of an image, and what to do
_BUILD_ONLY = {
    "disk.size": ("the result has the size of its base", "leave it out; a flavor's disk is grown into at first boot"),
}
_NEEDS_NETWORK = {
    "packages": "packages are fetched while the elements are applied",
    "mirror": "a mirror is used while the elements are applied",
}


def judge_rest(base: ImageBase, given: Collection[str]) -> Iterator[Finding]:
    """What of the recipe does not go with an image; ``given`` are the dotted keys that it has."""
    for key, (message, suggestion) in _BUILD_ONLY.items():
        if key in given:
            yield key, message, suggestion
    if "disk.firmware" not in given:
        message = "what must boot an image cannot be known from its recipe"
        yield "disk.firmware", message, "add disk: {firmware: [bios]}, [uefi] or [bios, uefi]"
    for key, message in _NEEDS_NETWORK.items():
        if key in given and not base.network:
            yield key, message, "add network: true to base, or leave it out"


def judge_elements(build: Mapping[str, Path]) -> Iterator[tuple[str, str, str | None]]:
    """Which elements of a build cannot be applied to an image: name, message, suggestion."""
    for name, folder in sorted(build.items()):
        outside = [phase for phase in HOST_PHASES if any((folder / phase).glob("*"))]
        if outside and name not in MACHINERY:
            text = f"`{name}` does its work outside the guest ({', '.join(outside)}), which only a build can do"
            yield name, text, "leave it out, or use a base that is built"


def makes_system(folder: Path) -> bool:
    """Whether an element bootstraps an operating system."""
    provides = folder / "element-provides"
    return provides.is_file() and "operating-system" in provides.read_text(encoding="utf-8", errors="replace").split()
