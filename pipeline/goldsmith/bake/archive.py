"""The package archive: is it there, has it the release, and has it newer packages than an image holds?

Only freshness is read here, over plain HTTP; apt verifies signatures when the image is built.
"""

from __future__ import annotations

import email.utils
import hashlib
import http.client
import lzma
import re
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from debian.debian_support import Version

from goldsmith.errors import HostError, InputError
from goldsmith.host.apt_sources import Mirrors
from goldsmith.store.manifest import PackageFact

_TIMEOUT = 30.0
_PARAGRAPH = re.compile(r"^(Package|Version|Architecture): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Archive:
    """State of the suites of one release: ``suites`` maps each suite's URL to the sha256 of its InRelease."""

    suites: Mapping[str, str]
    #: when the newest of them was made, seconds since 1970
    epoch: int
    architecture: str
    components: tuple[str, ...] = field(default=("main",))


def _get(url: str) -> bytes:
    """Raises OSError, urllib.error.HTTPError among them, for whatever goes wrong."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            content: bytes = answer.read()
    except http.client.HTTPException as error:
        # An answer that breaks off, or is not HTTP at all; urllib lets these through as they are.
        raise OSError(f"broken answer ({type(error).__name__})") from error
    return content


def _made(release: bytes, url: str) -> int:
    """The Date of a Release file, in seconds since 1970."""
    try:
        (date,) = re.findall(rb"^Date: (.*)$", release, re.MULTILINE)
        return int(email.utils.parsedate_to_datetime(date.decode()).timestamp())
    except ValueError as error:
        # Networks with a login page answer everything with it.
        raise HostError(
            "the mirror's answer is not an InRelease file",
            where=f"{url}/InRelease",
            hint="open the address: is it a mirror, or a proxy's own page?",
        ) from error


def read_archive(mirrors: Mirrors, release: str, architecture: str) -> Archive | None:
    """Ask the mirrors for the state of ``release``; None where no mirror is known and DIB's default will be used.

    Raises InputError if the mirror has no such release, HostError if it cannot be reached.
    """
    if mirrors.url is None:
        return None
    urls = [f"{mirrors.url.rstrip('/')}/dists/{suite}" for suite in (release, f"{release}-updates")]
    if mirrors.security_url:
        urls.append(f"{mirrors.security_url.rstrip('/')}/dists/{release}-security")
    suites: dict[str, str] = {}
    epoch = 0
    # Side by side: most of it is waiting.
    with ThreadPoolExecutor(len(urls)) as pool:
        answers = [pool.submit(_get, f"{url}/InRelease") for url in urls]
    for url, answer in zip(urls, answers, strict=True):
        try:
            content = answer.result()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise InputError(
                    f"the mirror has no release {release}: {url} does not exist",
                    where="base.release",
                    hint="check base.release, or name another mirror (recipe: mirror, or GOLDSMITH_MIRROR)",
                ) from error
            raise HostError(f"the mirror answers {error.code} {error.reason}", where=url) from error
        except OSError as error:
            raise HostError(
                f"the package mirror cannot be reached: {getattr(error, 'reason', error)}",
                where=url,
                hint="check the network, or name another mirror with GOLDSMITH_MIRROR=http://HOST/debian",
            ) from error
        suites[url] = hashlib.sha256(content).hexdigest()
        epoch = max(epoch, _made(content, url))
    return Archive(suites=suites, epoch=epoch, architecture=architecture)


def newer_packages(archive: Archive, installed: Iterable[PackageFact]) -> list[str]:
    """Packages of the image that the archive has in a newer version, as ``name old -> new``.

    Raises HostError if an index cannot be read.
    """
    candidates: dict[str, str] = {}
    for suite in archive.suites:
        for component in archive.components:
            url = f"{suite}/{component}/binary-{archive.architecture}/Packages.xz"
            try:
                text = lzma.decompress(_get(url)).decode()
            except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
                raise HostError(f"the package index cannot be read: {error}", where=url) from error
            for name, version in parse_index(text):
                if name not in candidates or Version(version) > Version(candidates[name]):
                    candidates[name] = version
    found = []
    for package in installed:
        candidate = candidates.get(package.name.split(":")[0])
        if candidate and Version(candidate) > Version(package.version):
            found.append(f"{package.name} {package.version} -> {candidate}")
    return found


def parse_index(text: str) -> Iterable[tuple[str, str]]:
    """(package, version) of each paragraph of a Packages file."""
    for paragraph in text.split("\n\n"):
        fields = dict(_PARAGRAPH.findall(paragraph))
        if "Package" in fields and "Version" in fields:
            yield fields["Package"], fields["Version"]
