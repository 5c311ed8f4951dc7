"""The disk of a base tree, from the store or made: what all images of that base and size begin with."""

from __future__ import annotations

import os
from pathlib import Path

from goldsmith.bake.base_tree import Identity
from goldsmith.bake.disk import COMPRESSION_SECONDS, compression, make_base
from goldsmith.bake.layout import make_layout
from goldsmith.host.files import document_digest
from goldsmith.host.jail import BESIDE, Jail
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.artefacts import ArtefactStore, kept

KIND = "disk"
_IMAGE = "disk.qcow2"
_CODE = tuple(
    f"code:bake/{name}.py" for name in ("base", "base_disk", "disk", "root_file_system", "ext4", "layout", "clusters")
)


def key_of(identity: Identity, plan: Plan) -> str | None:
    """That by which the store has the disk; None where the tree has none."""
    code = {name: digest for name, digest in plan.inputs.items() if name in _CODE}
    return document_digest([identity.key, plan.recipe.disk.size, code]) if identity.key else None


class DiskOfBase:
    """The disk, kept in the store where the tree is; its identifiers are those of the base: an image gets its own.

    ``raw`` is where it is unpacked to; ``epoch`` the time that it is stamped with.
    """

    def __init__(
        self, jail: Jail, plan: Plan, identity: Identity, settings: Settings, scratch: Path, *, epoch: int
    ) -> None:
        self._key = key_of(identity, plan)
        self._layout = make_layout(plan.recipe.disk.size, identity.inputs)
        self._jail = jail
        self._store = ArtefactStore(settings.cache_dir / "artefacts")
        self._epoch = epoch
        self._work = scratch / "making"
        self._work.mkdir()
        self.raw = scratch / "base.raw"
        self._copy = scratch / "image.raw"
        # The caller's, though root writes them.
        for path in (self.raw, self._copy):
            path.touch()

    def find(self) -> Path | None:
        """The compressed disk, if the store has it."""
        found = self._store.get(KIND, self._key) if self._key else None
        return found.folder / _IMAGE if found else None

    def unpack(self, image: Path) -> None:
        """Make ``raw`` of the compressed disk."""
        self._jail.run(
            ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, self.raw], deadline=COMPRESSION_SECONDS
        )

    def write(self, tree: Path) -> None:
        """Make ``raw`` of a complete tree, in which no time is later than the epoch.

        Raises CommandFailedError where a tool fails.
        """
        make_base(self._jail, tree, self._work, self._layout, self.raw, epoch=self._epoch)

    def copy(self) -> Path:
        """A copy of ``raw``, which is complete, for one image."""
        self._jail.run(["cp", "--reflink=auto", "--sparse=always", self.raw, self._copy], deadline=COMPRESSION_SECONDS)
        return self._copy

    def keep(self) -> Path:
        """``raw``, which was written, compressed."""

        def make(folder: Path) -> None:
            image = folder / _IMAGE
            # The initramfs, which is waited for, is made meanwhile.
            words = compression(self.raw, "raw", image, reproducible=True)
            self._jail.run(words, deadline=COMPRESSION_SECONDS, nice=BESIDE)
            self._jail.run(["chown", f"{os.getuid()}:{os.getgid()}", image], deadline=30)

        return kept(self._store.root, KIND, self._key, make, self._work) / _IMAGE
