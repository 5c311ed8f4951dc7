"""A bake of parts that nobody changed meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from goldsmith.bake import base_disk, base_tree
from goldsmith.errors import HarnessError
from goldsmith.host.progress import Progress
from goldsmith.images import base
from goldsmith.settings import Settings
from goldsmith.store.watch import watching

#: kinds of artefacts, in words
_CALLED = {base_tree.KIND: "base tree", base_disk.KIND: "base disk", base.KIND: "copy of the base image"}


def steadily(bake: Callable[[], object], folder: Path, settings: Settings, progress: Progress) -> None:
    """Run ``bake``, which writes into ``folder``; once more where a part of the cache was changed while it was used.

    Then nothing of what it wrote stays, whether it failed or not: what was read of such a part is not known.  Its
    failures pass through where all parts are still what they were.  Raises HarnessError where it happens again.
    """
    for last in (False, True):
        failed: Exception | None = None
        with watching() as watch:
            try:
                bake()
            except Exception as error:
                failed = error
            lost = watch.lost()
        if not lost:
            if failed:
                raise failed
            return
        _empty(folder)
        names = " and ".join(f"the {_CALLED.get(name, name)}" for name in lost)
        said = f"{names} {'were' if len(lost) > 1 else 'was'} changed or removed while the bake used it"
        if last:
            raise HarnessError(
                f"{said}, twice",
                where=str(settings.cache_dir),
                hint="leave the cache alone while images are built ('goldsmith gc --all' too), and run it again",
            ) from failed
        progress.note(f"{said}; once more")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
