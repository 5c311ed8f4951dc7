"""The disk of a base tree, from the store or made: what all images of that base and size begin with."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from goldsmith.bake.base_tree import BaseTree
from goldsmith.bake.disk import COMPRESSION_SECONDS, BaseDisk, complete_tree, compression, make_base
from goldsmith.bake.layout import make_layout
from goldsmith.bake.tree_changes import listing
from goldsmith.host.files import document_digest
from goldsmith.host.jail import Jail
from goldsmith.host.progress import Progress
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.artefacts import Artefact, ArtefactStore

KIND = "disk"
_IMAGE = "disk.qcow2"
_CODE = tuple(
    f"code:bake/{name}.py" for name in ("base_disk", "disk", "root_file_system", "ext4", "layout", "clusters")
)


def base_disk(
    jail: Jail,
    plan: Plan,
    base: BaseTree,
    root: Path,
    settings: Settings,
    scratch: Path,
    progress: Progress,
    *,
    epoch: int,
) -> BaseDisk:
    """Unpack the base tree to ``root``, an empty folder, and its disk into ``scratch``, another.

    The disk is kept in the store where the tree is, and made of the tree where it is not there yet; ``epoch`` is the
    time that it is stamped with.  Its identifiers are those of the base: an image gets its own.  Raises
    CommandFailedError where a tool fails.
    """
    raw, work = scratch / "base.raw", scratch / "making"
    work.mkdir()
    raw.touch()
    size = plan.recipe.disk.size
    code = {name: digest for name, digest in plan.inputs.items() if name in _CODE}

    def make(folder: Path) -> None:
        image = folder / _IMAGE
        make_base(jail, root, work, make_layout(size, base.inputs), raw, epoch=epoch)
        jail.run(compression(raw, "raw", image, reproducible=True), deadline=COMPRESSION_SECONDS)
        jail.run(["chown", f"{os.getuid()}:{os.getgid()}", image], deadline=30)

    def unpack_disk(stored: Artefact) -> None:
        jail.run(
            ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", stored.folder / _IMAGE, raw],
            deadline=COMPRESSION_SECONDS,
        )

    key = document_digest([base.key, size, code]) if base.key else None
    store = ArtefactStore(settings.cache_dir / "artefacts")
    with ThreadPoolExecutor() as pool, progress.step("unpack the base"):
        unpacked = pool.submit(_unpack_tree, jail, base, root)
        stored = store.get(KIND, key) if key else None
        if stored:
            unpack_disk(stored)
        unpacked.result()
    if stored is None:
        with progress.step("disk of the base"):
            if key:
                stored = store.put(KIND, key, make)
                if not raw.stat().st_size:
                    # Another made it meanwhile.
                    unpack_disk(stored)
            else:
                make(work)
    return BaseDisk(stored.folder / _IMAGE if stored else work / _IMAGE, raw, listing(jail, root))


def _unpack_tree(jail: Jail, base: BaseTree, root: Path) -> None:
    root.mkdir()
    words = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-I", "zstd"]
    jail.run(["tar", "-C", root, *words, "-xf", base.tar], deadline=600)
    complete_tree(jail, root)
