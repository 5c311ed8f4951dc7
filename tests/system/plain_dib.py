"""disk-image-create by itself, on the elements and packages of a recipe: what goldsmith's work is compared with."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake.build import given_variables
from goldsmith.host.jail import Jail
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings

TOOLS = Path(sys.executable).parent
SECONDS = 2400.0


def variables(plan: Plan, settings: Settings, folder: Path, cache: Path, epoch: int) -> dict[str, str]:
    """DIB's: what the plan decides, what a build is given, and that all it writes is below ``folder`` and ``cache``."""
    return {
        **plan.environment,
        **given_variables(plan, settings, epoch),
        "DIB_IMAGE_CACHE": str(cache),
        "ELEMENTS_PATH": ":".join(str(path) for path in settings.elements_path),
        "TMP_DIR": str(folder),
        "HOME": str(folder),
        "PATH": f"{TOOLS}:{settings.base_environment['PATH']}",
    }


def disk_image_create(
    jail: Jail, plan: Plan, settings: Settings, folder: Path, kind: str, cache: Path, epoch: int
) -> Path:
    """An image of ``kind`` ("tar", "qcow2") in ``folder``, which is empty; its log is there too."""
    target = folder / f"plain.{kind}"
    packages = ["-p", ",".join(plan.recipe.packages)] if plan.recipe.packages else []
    jail.run(
        ["disk-image-create", "-n", "-t", kind, "-o", target.with_suffix(""), *packages, *plan.dib_elements],
        env=variables(plan, settings, folder, cache, epoch),
        deadline=SECONDS,
        log_file=folder / "plain.log",
    )
    return target


@dataclass(frozen=True)
class Entry:
    """What decides about a file; ``content`` is a plain file's bytes or a link's target."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    content: bytes


def entries(tar: Path) -> dict[str, Entry]:
    """All files of a tree, by their paths."""
    return dict(_entries(tar))


def _entries(tar: Path) -> Iterator[tuple[str, Entry]]:
    with tarfile.open(tar) as archive:
        for member in archive:
            content = member.linkname.encode() if member.issym() else b""
            if member.isreg() or member.islnk():
                file = archive.extractfile(member)
                content = file.read() if file else b""
            kind = tarfile.REGTYPE if member.islnk() else member.type
            yield member.name.rstrip("/"), Entry(kind, member.mode, (member.uid, member.gid), content)
