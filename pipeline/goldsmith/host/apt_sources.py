"""The build host's own apt sources: where packages come from unless a recipe or GOLDSMITH_MIRROR says otherwise.

Both formats of sources.list(5): deb822 (``*.sources``) and one line each (``*.list``).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?:\s+(?P<components>.*))?$")
#: how apt spells a field that is off (StringToBool)
_OFF = {"no", "false", "without", "off", "disable", "0"}


@dataclass(frozen=True)
class Source:
    """One source of binary packages."""

    uri: str
    suite: str
    components: tuple[str, ...]


@dataclass(frozen=True)
class Mirrors:
    """``url`` holds the suites RELEASE and RELEASE-updates, ``security_url`` RELEASE-security; None: not known."""

    url: str | None
    security_url: str | None


def read_sources(folder: Path = Path("/etc/apt")) -> tuple[Source, ...]:
    """All enabled sources below ``folder``; unreadable files and odd lines are passed over, as they are apt's business.

    As apt does, only names that end in ``.list`` or ``.sources`` are taken: what packages and people put aside
    (``.save``, ``.disabled``) is not in use.
    """
    found: list[Source] = []
    for path in sorted([folder / "sources.list", *folder.glob("sources.list.d/[!.]*")]):
        readers = {".list": _one_line, ".sources": _deb822}
        if path.suffix in readers:
            with contextlib.suppress(OSError):
                found += readers[path.suffix](path.read_text(errors="replace"))
    return tuple(found)


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.split("#")[0].strip()):
            yield Source(match["uri"], match["suite"], tuple((match["components"] or "").split()))


def _deb822(text: str) -> Iterator[Source]:
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in _OFF:
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, tuple(fields.get("components", "").split()))


def mirrors_of(sources: tuple[Source, ...], host_release: str) -> Mirrors:
    """The mirrors of the host's own distribution, recognised by its code name (``VERSION_CODENAME``).

    Only http and https can be used from inside a build; others (cdrom:, mirror+file:) are passed over.  A vendor's own
    archive often calls its suite as the distribution does, but has no RELEASE-updates: that suite is looked for first.
    """

    def first(*suites: str) -> str | None:
        usable = [s for s in sources if s.uri.startswith(("http://", "https://")) and "main" in s.components]
        return next((s.uri for suite in suites for s in usable if s.suite == suite), None)

    return Mirrors(
        url=first(f"{host_release}-updates", host_release),
        security_url=first(f"{host_release}-security", f"{host_release}/updates"),
    )


def host_mirrors(
    distribution: str, *, os_release: Path = Path("/etc/os-release"), apt: Path = Path("/etc/apt")
) -> Mirrors:
    """The host's mirrors if it runs ``distribution`` itself, else none."""
    if not os_release.is_file():
        return Mirrors(None, None)
    facts = dict(line.split("=", 1) for line in os_release.read_text().splitlines() if "=" in line)
    if facts.get("ID", "").strip('"') != distribution:
        return Mirrors(None, None)
    return mirrors_of(read_sources(apt), facts.get("VERSION_CODENAME", "").strip('"'))
