"""What the images of one base begin with: its tree, unpacked, and its disk; each part from the store, or made.

Where the parts are made, none waits for another without need: while the tree is packed for the store its disk is
written and compressed, and its initramfs made, which joins the tree but not that disk.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldsmith.bake import initramfs
from goldsmith.bake.archive import Archive
from goldsmith.bake.base_disk import DiskOfBase
from goldsmith.bake.base_tree import BaseTree, Identity, base_tree, identify
from goldsmith.bake.disk import BaseDisk, complete_tree
from goldsmith.bake.layers import Layers
from goldsmith.bake.root_file_system import date_back
from goldsmith.bake.tree_changes import Entry, listing
from goldsmith.host.jail import Jail
from goldsmith.host.progress import Progress
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.artefacts import kept

_SECONDS = 600.0
#: what each build makes another: set aside while the disk of the base is made, so that this is the same each time, and
#: an image that removes such a thing carries nothing of it among its base's clusters
_OF_ONE_BUILD = (
    "etc/ssh/ssh_host_*",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    "etc/dib-manifests",
    # With the modes that the files have in the checkout of whoever builds.
    "usr/share/pkg-map",
    "var/cache/ldconfig/aux-cache",
    "var/lib/systemd/random-seed",
)


@dataclass(frozen=True)
class Base:
    """``disk`` is that of the tree without its initramfs; ``variables`` are the shell's assignments of DIB's."""

    disk: BaseDisk
    variables: str


@dataclass(frozen=True)
class _Unpacked:
    listing: dict[str, Entry]
    variables: str


@dataclass(frozen=True)
class _Work:
    """What all steps need: ``root`` is where the tree is unpacked to."""

    jail: Jail
    plan: Plan
    identity: Identity
    root: Path
    settings: Settings
    scratch: Path
    progress: Progress
    epoch: int

    def unpack(self, tree: BaseTree, on_disk: Future[Path | None], unpacked: Future[_Unpacked]) -> None:
        """The tree into ``root``, as it lies on its disk, which may yet be made; ``unpacked`` gets what comes of it."""
        try:
            with self.progress.step("unpack the base"):
                self.root.mkdir()
                words = ["--numeric-owner", "--xattrs", "--xattrs-include=*"]
                words += ["-I", "zstd"] if tree.tar.suffix == ".zst" else []
                self.jail.run(["tar", "-C", self.root, *words, "-xf", tree.tar], deadline=_SECONDS)
                complete_tree(self.jail, self.root)
                self._set_aside()
                if on_disk.result() is None:
                    date_back(self.jail, self.root, self.epoch)
                unpacked.set_result(_Unpacked(listing(self.jail, self.root), tree.variables))
        except BaseException as error:
            unpacked.set_exception(error)

    @property
    def aside(self) -> Path:
        """A tar of what is of one build alone."""
        return self.scratch / "aside.tar"

    def _set_aside(self) -> None:
        # Names that the tree lacks are no error; the shell leaves their patterns as they are.
        script = 'cd "$1" && shift && tar --numeric-owner --ignore-failed-read --remove-files -cf "$@" 2>&1'
        shell: list[str | Path] = ["sh", "-c", f"{script} {' '.join(_OF_ONE_BUILD)}", "sh", self.root, self.aside]
        self.jail.run(shell, deadline=_SECONDS)

    def initramfs(self, before: dict[str, Entry], disk_is_read: Future[None]) -> Path:
        """A tar of what it adds to the tree, from the store or made: beside the disk where the kernel lets us."""
        scratch = self.scratch / "making-initramfs"
        scratch.mkdir()
        key = initramfs.key_of(self.identity, self.plan)

        def make(folder: Path) -> None:
            target = folder / initramfs.FILE
            if not initramfs.is_wanted(self.root):
                tarfile.open(target, "w").close()
                return
            if not initramfs.make_beside(self.jail, self.root, scratch, target, epoch=self.epoch):
                disk_is_read.result()
                initramfs.make_within(self.jail, self.root, before, scratch, target, epoch=self.epoch)
            self.jail.run(["chown", f"{os.getuid()}:{os.getgid()}", target], deadline=30)

        return kept(self.settings.cache_dir / "artefacts", initramfs.KIND, key, make, scratch) / initramfs.FILE


@contextlib.contextmanager
def prepared(
    jail: Jail,
    plan: Plan,
    layers: Layers,
    archive: Archive | None,
    given: Mapping[str, str],
    root: Path,
    settings: Settings,
    scratch: Path,
    progress: Progress,
    *,
    epoch: int,
    again: bool = False,
) -> Iterator[Base]:
    """The base of a plan, its tree in ``root``, a folder that is made; what was made of it is in the store at the end.

    ``archive`` is the state of the package archive; where it is not known, all is made anew and nothing kept, with
    ``again`` all is made anew.  ``given`` are variables beside the plan's, ``epoch`` is the time in seconds that files
    are stamped with, ``scratch`` an empty folder.  Raises CommandFailedError where DIB or a tool fails.
    """
    identity = identify(layers, archive, given, again=again)
    work = _Work(jail, plan, identity, root, settings, scratch, progress, epoch)
    unpacked: Future[_Unpacked] = Future()
    with ThreadPoolExecutor() as pool:
        disk = DiskOfBase(jail, plan, identity, settings, scratch, epoch=epoch)
        on_disk = pool.submit(disk.find)

        def handed(made: BaseTree) -> None:
            work.unpack(made, on_disk, unpacked)

        tree = pool.submit(base_tree, jail, plan, layers, identity, given, settings, scratch, progress, handed)
        found = on_disk.result()
        raw = pool.submit(disk.unpack, found) if found else None
        either: list[Future[Any]] = [tree, unpacked]
        wait(either, return_when=FIRST_COMPLETED)
        if not unpacked.done():
            handed(tree.result())
        begun = unpacked.result()
        with progress.step("disk and initramfs of the base") if raw is None else contextlib.nullcontext():
            raw = raw or pool.submit(disk.write, root)
            late = pool.submit(work.initramfs, begun.listing, raw)
            raw.result()
            image = pool.submit(disk.keep if found is None else lambda: found)
            for tar in (work.aside, late.result()):
                jail.run(["tar", "-C", root, "--numeric-owner", "-xf", tar], deadline=_SECONDS)
        yield Base(BaseDisk(image.result, disk.raw, begun.listing), begun.variables)
        tree.result()
        image.result()
