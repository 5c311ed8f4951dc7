"""The files of elements as diskimage-builder lays them out for the scripts in an image, packed."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shlex
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from goldsmith.errors import InputError, Problem
from goldsmith.recipe.elements import Element
from goldsmith.recipe.hooks import scripts
from goldsmith.recipe.model import Base

#: DIB's architecture names are Debian's; this is what in-guest scripts may read beside their own variables
_CONVENTIONS = {"DIB_DEBUG_TRACE": "0", "DIB_INIT_SYSTEM": "systemd"}


@dataclass(frozen=True)
class Entry:
    """A file in the payload; ``target`` is where a symbolic link points, None for a file."""

    name: str
    content: bytes = b""
    executable: bool = False
    target: str | None = None
    folder: bool = False


@dataclass(frozen=True)
class Payload:
    """``archive`` is a tar.gz, the same for the same entries; ``sizes`` maps each entry to its packed size, about."""

    archive: bytes
    digest: str
    sizes: Mapping[str, int]


def element_entries(element: Element, phases: Sequence[str]) -> Iterator[Entry]:
    """Scripts of the phases, environment.d and static files of one element."""
    for phase in phases:
        for path in scripts(element.folder / phase):
            yield Entry(f"{phase}/{path.name}", path.read_bytes(), executable=True)
    environment = element.folder / "environment.d"
    if environment.is_dir():
        for path in sorted(environment.iterdir()):
            if path.is_file() and re.fullmatch(r"[0-9A-Za-z_.-]+", path.name):
                yield Entry(f"environment.d/{path.name}", path.read_bytes())
    dependencies = element.folder / "element-deps"
    # As in a build: without install-static nobody would have laid them over the root.
    if dependencies.exists() and "install-static" in dependencies.read_text().split():
        yield from _tree(element.folder / "static")


def _tree(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*")):
        name = f"static/{path.relative_to(folder).as_posix()}"
        if path.is_symlink():
            yield Entry(name, target=str(path.readlink()))
        elif path.is_file():
            yield Entry(name, path.read_bytes(), executable=bool(path.stat().st_mode & 0o111))
        elif path.is_dir() and not any(path.iterdir()):
            yield Entry(name, folder=True)


def variables(environment: Mapping[str, str], base: Base) -> str:
    """Shell assignments: what a recipe sets, over DIB's conventions."""
    known = {**_CONVENTIONS, "DISTRO_NAME": base.distribution, "DIB_RELEASE": base.release, "ARCH": base.architecture}
    values = {**known, **environment}
    return "".join(f"export {name}={shlex.quote(values[name])}\n" for name in sorted(values))


def install_packages() -> str:
    """Shell functions: has_package NAME, and install_missing NAME..."""
    return resources.files("goldsmith.recipe").joinpath("install_packages.sh").read_text(encoding="utf-8")


def joined(groups: Iterable[tuple[str, Iterable[Entry]]]) -> dict[str, Entry]:
    """The entries of all elements by name.  Raises InputError where two elements bring the same one."""
    found: dict[str, Entry] = {}
    owners: dict[str, str] = {}
    problems = []
    for owner, entries in groups:
        for entry in entries:
            if entry.name in found and found[entry.name] != entry:
                text = f"`{owners[entry.name]}` and `{owner}` both bring it"
                problems.append(Problem(owner, entry.name, text))
            found[entry.name] = entry
            owners.setdefault(entry.name, owner)
    if problems:
        raise InputError(problems=problems)
    return found


def pack(entries: Mapping[str, Entry], about: bytes) -> Payload:
    """Pack without anything that differs between two runs.  ``about`` goes into the digest: the code that unpacks."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(entries):
            entry = entries[name]
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if entry.executable or entry.folder else 0o644
            if entry.target is not None:
                info.type, info.linkname = tarfile.SYMTYPE, entry.target
            elif entry.folder:
                info.type = tarfile.DIRTYPE
            info.size = len(entry.content)
            archive.addfile(info, io.BytesIO(entry.content))
    packed = gzip.compress(buffer.getvalue(), compresslevel=9, mtime=0)
    # The digest is of what is packed, not of how: another zlib gives other bytes.
    digest = hashlib.sha256(about + b"\0" + buffer.getvalue()).hexdigest()
    sizes = {name: len(gzip.compress(entry.content, mtime=0)) for name, entry in entries.items()}
    return Payload(packed, digest, sizes)
