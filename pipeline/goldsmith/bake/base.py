"""What the images of one base begin with: its tree, unpacked, and its disk; each part from the store, or made.

Where the parts are made, none waits for another without need: while the tree is packed for the store its disk is
written and compressed, and its initramfs made, which joins the tree but not that disk.  All of them read the tree where
diskimage-builder left it.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from goldsmith.bake import initramfs
from goldsmith.bake.archive import Archive
from goldsmith.bake.base_disk import DiskOfBase
from goldsmith.bake.base_tree import BaseTree, Identity, Packed, base_tree, identify
from goldsmith.bake.disk import BaseDisk, complete_tree
from goldsmith.bake.layers import Layers
from goldsmith.bake.tree_changes import Entry, listing
from goldsmith.errors import HarnessError
from goldsmith.host.jail import BESIDE, Jail
from goldsmith.host.progress import Progress
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.artefacts import kept

_SECONDS = 600.0
#: tree, disk and both times that an initramfs may be made wait for each other
_THREADS = 6
_TAR = ("--numeric-owner", "--acls", "--xattrs", "--xattrs-include=*")
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


@dataclass
class _Work:
    """What all steps need: ``root`` is where the tree comes to lie.

    ``variables`` has DIB's when the tree is there, complete, and ``listing`` the listing of it when its times are dated
    back; from then on it is read alone, until ``packed`` says that all who made it have read it.
    """

    jail: Jail
    plan: Plan
    identity: Identity
    root: Path
    settings: Settings
    scratch: Path
    progress: Progress
    epoch: int
    pool: ThreadPoolExecutor
    #: the initramfs that is begun before the tree is finished, and the inventory of this when it is
    early: Future[initramfs.Early | None] | None = None
    finished: Mapping[str, str] = field(default_factory=dict)
    variables: Future[str] = field(default_factory=Future)
    listing: Future[dict[str, Entry]] = field(default_factory=Future)
    packed: Future[None] = field(default_factory=Future)
    initramfs_is_there: Event = field(default_factory=Event)

    def installed(self, root: Path) -> None:
        """Begin the initramfs of a tree that is being made."""
        scratch = self.scratch / "early-initramfs"
        scratch.mkdir()
        target = self.scratch / "early.tar"
        self.early = self.pool.submit(initramfs.make_early, self.jail, root, scratch, target, epoch=self.epoch)

    def take(self, tree: Path, variables: str) -> Packed:
        """Go on with a tree that was made."""
        with self._or_fail():
            self.jail.run(["mv", tree, self.root], deadline=_SECONDS)
            if self.early:
                self.finished = initramfs.inventory(self.jail, self.root)
            complete_tree(self.jail, self.root)
            self._set_aside()
            self._is_there(variables)
            packed = Packed(self.scratch / "tree.tar", self.aside)
            words: list[str | Path] = ["tar", "-C", self.root, *_TAR, "--sort=name", "-cf", packed.tree, "."]
            self.jail.run(words, deadline=_SECONDS, nice=BESIDE)
            self.packed.set_result(None)
        # The store can wait: what follows keeps one processor busy, until here it is two.
        self.initramfs_is_there.wait()
        return packed

    def unpack(self, tree: BaseTree) -> None:
        """Go on with a tree of the store."""
        with self._or_fail():
            with self.progress.step("unpack the base"):
                self.root.mkdir()
                self.jail.run(["tar", "-C", self.root, *_TAR, "-I", "zstd", "-xf", tree.tar], deadline=_SECONDS)
                self.jail.run(["cp", tree.aside, self.aside], deadline=30)
            self._is_there(tree.variables)
            self.packed.set_result(None)

    def _is_there(self, variables: str) -> None:
        # An initramfs holds no time of these: its own are dated back too.
        self.variables.set_result(variables)
        self.listing.set_result(listing(self.jail, self.root, epoch=self.epoch))

    @contextlib.contextmanager
    def _or_fail(self) -> Iterator[None]:
        """Whoever waits hears of an error."""
        try:
            yield
        except BaseException as error:
            for future in (self.variables, self.listing, self.packed):
                if not future.done():
                    future.set_exception(error)
            raise

    def _early_that_holds(self) -> Path | None:
        if self.early:
            # One that failed fails again where it is made in its turn, and is heard of then.
            with contextlib.suppress(HarnessError):
                made = self.early.result()
                return made.tar if made and initramfs.holds(made, self.finished) else None
        return None

    @property
    def aside(self) -> Path:
        """A tar of what is of one build alone."""
        return self.scratch / "aside.tar"

    def _set_aside(self) -> None:
        # Names that the tree lacks are no error; the shell leaves their patterns as they are.
        script = 'cd "$1" && shift && tar --numeric-owner --ignore-failed-read --remove-files -cf "$@" 2>&1'
        shell: list[str | Path] = ["sh", "-c", f"{script} {' '.join(_OF_ONE_BUILD)}", "sh", self.root, self.aside]
        self.jail.run(shell, deadline=_SECONDS)

    def initramfs(self, is_on_disk: Future[None]) -> Path:
        """A tar of what it adds to the tree, from the store or made: beside the disk where the kernel lets us."""
        scratch = self.scratch / "making-initramfs"
        scratch.mkdir()
        key = initramfs.key_of(self.identity, self.plan)

        def make(folder: Path) -> None:
            target = folder / initramfs.FILE
            if early := self._early_that_holds():
                self.jail.run(["mv", early, target], deadline=_SECONDS)
            elif not initramfs.is_wanted(self.root):
                tarfile.open(target, "w").close()
                return
            elif not initramfs.make_beside(self.jail, self.root, scratch, target, epoch=self.epoch):
                is_on_disk.result()
                self.packed.result()
                before = self.listing.result()
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
    disk = DiskOfBase(jail, plan, identity, settings, scratch, epoch=epoch)

    with ThreadPoolExecutor(_THREADS) as pool, contextlib.ExitStack() as end:
        work = _Work(jail, plan, identity, root, settings, scratch, progress, epoch, pool)
        # Whatever fails, nobody waits for it in vain.
        end.callback(work.initramfs_is_there.set)

        def write() -> None:
            work.listing.result()
            disk.write(root)

        on_disk = pool.submit(disk.find)
        tree = pool.submit(base_tree, jail, plan, layers, identity, given, settings, scratch, progress, work)
        found = on_disk.result()
        unpacked = pool.submit(disk.unpack, found) if found else None
        either: list[Future[Any]] = [tree, work.variables]
        wait(either, return_when=FIRST_COMPLETED)
        if not work.variables.done():
            work.unpack(tree.result())
        variables = work.variables.result()
        with progress.step("disk and initramfs of the base") if unpacked is None else contextlib.nullcontext():
            raw = unpacked or pool.submit(write)
            late = pool.submit(work.initramfs, raw)
            late.add_done_callback(lambda _: work.initramfs_is_there.set())
            raw.result()
            copy = pool.submit(disk.copy)
            image = pool.submit(disk.keep if found is None else lambda: found)
            added = late.result()
            work.packed.result()
            for tar in (work.aside, added):
                jail.run(["tar", "-C", root, "--numeric-owner", "-xf", tar], deadline=_SECONDS)
        yield Base(BaseDisk(image.result, disk.raw, copy.result, work.listing.result()), variables)
        tree.result()
        image.result()
