"""The local catalogue: a folder with each image, its manifest, its bill of materials and its Glance properties.

NAME.qcow2, NAME.spdx.json and NAME.properties.json get their names first and NAME.json, the manifest, last.  A
reader goes by the manifest: its sha256 tells whether the image beside it is the one it speaks of.  Of a Windows the
hives that were changed stand beside it as they were, as NAME.SYSTEM.before.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldsmith.errors import CheckFailedError, InputError
from goldsmith.host.files import file_digest, locked, require_space, sync
from goldsmith.settings import Settings
from goldsmith.store import manifest as manifests
from goldsmith.store.manifest import BUILT_IN, KEPT, SETTLED, Manifest

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Entry:
    """An image of the catalogue; its file was seen to be the one that the manifest speaks of."""

    image: Path
    manifest: Manifest


def require_proof(manifest: Manifest) -> None:
    """Refuse an image that was not booted, or not proven, with each of its firmwares.

    Raises InputError where verdicts are missing and CheckFailedError where one is not green.
    """
    again = "run: goldsmith verify; an image that was not booted (--no-boot) cannot be published"
    if bad := [verdict for verdict in manifest.verdicts if verdict.status != "pass"]:
        named = ", ".join(sorted({f"{v.name} ({v.layer}, {v.status})" for v in bad}))
        raise CheckFailedError(f"{len(bad)} checks did not pass: {named}", where=manifest.name, hint=again)
    booted = {v.firmware for v in manifest.verdicts if (v.element, v.check) == (BUILT_IN, SETTLED)}
    if missing := [firmware for firmware in manifest.firmware if firmware not in booted]:
        raise InputError(f"has no verdicts of a boot with {' and '.join(missing)}", where=manifest.name, hint=again)


def publish(
    image: Path, manifest: Manifest, sbom: Mapping[str, Any], settings: Settings, kept: Iterable[Path] = ()
) -> Entry:
    """Put an image into the catalogue in place of the former one of its name, and ``kept`` files beside it.

    Raises CheckFailedError or InputError as ``require_proof`` does, and InputError where the image is not the one
    that the manifest speaks of; the catalogue is then as it was.
    """
    require_proof(manifest)
    folder = settings.images_dir
    require_space(folder, manifest.size, "the catalogue")
    folder.mkdir(parents=True, exist_ok=True)
    # The lock is on a file that outlives every staging folder, and dies with its owner.
    with locked(folder / ".lock"):
        _sweep(folder)
        with _staging(folder) as staging:
            return _switch(staging, folder, image, manifest, sbom, kept)


def _switch(
    staging: Path, folder: Path, image: Path, manifest: Manifest, sbom: Mapping[str, Any], kept: Iterable[Path]
) -> Entry:
    name = manifest.name
    staged = staging / f"{name}.qcow2"
    copy_file(image, staged)
    if (seen := file_digest(staged)) != manifest.sha256:
        raise InputError(
            f"is not the image of its manifest: sha256 {seen}, expected {manifest.sha256}",
            where=str(image),
            hint="build the image again",
        )
    contents = {
        f"{name}.spdx.json": json.dumps(sbom, indent=2, sort_keys=True) + "\n",
        f"{name}.properties.json": json.dumps(manifest.properties, indent=2, sort_keys=True) + "\n",
        f"{name}.json": manifests.as_text(manifest),
    }
    for file_name, text in contents.items():
        (staging / file_name).write_text(text)
    files = {f"{name}.{path.name}": path for path in kept}
    for file_name, path in files.items():
        copy_file(path, staging / file_name)
    order = [staged.name, *files, *contents]
    for file_name in order:
        (staging / file_name).chmod(0o644)
        sync(staging / file_name)
    for file_name in order:
        (staging / file_name).replace(folder / file_name)
    of_this_name = re.compile(rf"{re.escape(name)}\.[^.]+{re.escape(KEPT)}")
    for former in folder.iterdir():
        if of_this_name.fullmatch(former.name) and former.name not in files:
            former.unlink()
    sync(folder)
    return Entry(folder / staged.name, manifest)


def current(name: str, settings: Settings) -> Entry | None:
    """The image that the catalogue holds under ``name``; None where there is none.

    Raises InputError where the image beside a manifest is not the one it speaks of: a publication was cut short, or the
    image was written to.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a name of an image", where=str(settings.images_dir))
    path = settings.images_dir / f"{name}.json"
    if not path.exists():
        return None
    manifest = manifests.read(path)
    image = settings.images_dir / f"{name}.qcow2"
    if not image.exists() or image.stat().st_size != manifest.size or file_digest(image) != manifest.sha256:
        raise InputError("is not the image that its manifest speaks of", where=str(image), hint="publish it again")
    return Entry(image, manifest)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's bytes, sharing them where the file system can (copy_file_range makes reflinks on xfs and btrfs).

    Not a hard link: whoever then boots the published image writably would write into the source, too.
    """
    with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as writer:
        remaining = os.fstat(reader.fileno()).st_size
        try:
            while remaining > 0:
                copied = os.copy_file_range(reader.fileno(), writer.fileno(), remaining)
                if copied == 0:
                    break
                remaining -= copied
        except OSError:  # another file system, or a kernel without it
            reader.seek(0)
            writer.seek(0)
            writer.truncate()
            shutil.copyfileobj(reader, writer, 1 << 20)


@contextlib.contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    staging = Path(tempfile.mkdtemp(prefix=".publish-", dir=folder))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Under the lock no other publication runs: every staging folder is a dead one's."""
    for leftover in folder.glob(".publish-*"):
        shutil.rmtree(leftover, ignore_errors=True)
