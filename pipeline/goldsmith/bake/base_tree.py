"""The base tree of a bootstrapped image, from the store or from diskimage-builder."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from goldsmith.bake.archive import Archive
from goldsmith.bake.dib import Tree, build_tree
from goldsmith.bake.layers import Layers
from goldsmith.host.files import document_digest, locked
from goldsmith.host.jail import BESIDE, Jail
from goldsmith.host.progress import Progress
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.artefacts import kept

KIND = "tree"
_TREE = "tree.tar.zst"
_ASIDE = "aside.tar"
_VARIABLES = "variables"
#: where DIB's element `manifests` writes the DIB_ variables of its build, as `export -p` does
_DIB_VARIABLES = "dib-manifests/dib_environment"


@dataclass(frozen=True)
class Identity:
    """``inputs`` is the digest of all that decides about a base tree; ``key`` that by which the store has it.

    None where it is not kept: the state of the package archive is not known.
    """

    inputs: str
    key: str | None


@dataclass(frozen=True)
class BaseTree:
    """``tar`` is the root file system, packed by zstd; ``aside`` a tar of what goes over it last.

    ``variables`` are the shell's assignments of DIB's.
    """

    tar: Path
    aside: Path
    variables: str


@dataclass(frozen=True)
class Packed:
    """Tars, not compressed: of the tree without ``aside``, and of that."""

    tree: Path
    aside: Path


class Taker(Protocol):
    """Goes on with a tree that is being made."""

    def installed(self, root: Path) -> None:
        """As ``goldsmith.bake.dib.Follower``."""

    def take(self, tree: Path, variables: str) -> Packed:
        """Take the tree that DIB has left, and pack it."""


def identify(layers: Layers, archive: Archive | None, given: Mapping[str, str], *, again: bool = False) -> Identity:
    """Which base tree it is for ``archive``, the state that the package archive is in; another one each time ``again``.

    ``given`` are variables beside the plan's: the mirrors', and the time of the build.
    """
    suites = dict(archive.suites) if archive else {}
    inputs = document_digest({**layers.inputs, "archive": suites, "given": dict(given)})
    return Identity(inputs, document_digest([inputs, time.time() if again else None]) if archive else None)


def base_tree(
    jail: Jail,
    plan: Plan,
    layers: Layers,
    identity: Identity,
    given: Mapping[str, str],
    settings: Settings,
    scratch: Path,
    progress: Progress,
    taker: Taker,
) -> BaseTree:
    """The base tree, kept in the store and made once for all recipes that share it.

    Where it is made, ``taker`` is given it as soon as diskimage-builder leaves it, and what it packs is compressed for
    the store.  ``scratch`` is an empty folder.  Raises CommandFailedError where DIB fails.
    """

    def make(folder: Path) -> None:
        _make(jail, plan, layers, given, settings, scratch, folder, progress, taker)

    folder = kept(settings.cache_dir / "artefacts", KIND, identity.key, make, scratch)
    return BaseTree(folder / _TREE, folder / _ASIDE, (folder / _VARIABLES).read_text())


def _make(
    jail: Jail,
    plan: Plan,
    layers: Layers,
    given: Mapping[str, str],
    settings: Settings,
    scratch: Path,
    folder: Path,
    progress: Progress,
    taker: Taker,
) -> None:
    log_file = settings.cache_dir / "logs" / f"{plan.recipe.name}.dib.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    log_file.unlink(missing_ok=True)
    cache = settings.cache_dir / "dib"
    cache.mkdir(parents=True, exist_ok=True)
    stubs = scratch / "stubs"
    stubs.mkdir()
    layers.write_stubs(stubs)
    # One at a time: DIB mounts the one folder of downloaded packages into every tree, and apt locks it.
    with locked(cache.parent / "dib.lock"), contextlib.ExitStack() as step:
        step.enter_context(progress.step("tree (diskimage-builder)"))
        build_tree(
            jail,
            scratch,
            elements=layers.elements,
            packages=plan.recipe.packages,
            environment={**layers.environment, **given},
            elements_path=[stubs, *(path for path in settings.elements_path if path.is_dir())],
            cache=cache,
            architecture=plan.recipe.bootstrapped.architecture,
            log_file=log_file,
            follower=_Keeper(jail, folder, taker, step.close),
            initramfs=layers.reads_initramfs,
        )


@dataclass(frozen=True)
class _Keeper:
    """Lets ``taker`` go on with a tree, and puts what it packs into ``folder``."""

    jail: Jail
    folder: Path
    taker: Taker
    done: Callable[[], None]

    def installed(self, root: Path) -> None:
        self.taker.installed(root)

    def left(self, tree: Tree) -> None:
        self.done()
        assigned = tree.manifests / _DIB_VARIABLES
        variables = assigned.read_text() if assigned.exists() else ""
        (self.folder / _VARIABLES).write_text(variables)
        packed = self.taker.take(tree.root, variables)
        tar, aside = self.folder / _TREE, self.folder / _ASIDE
        # Quick rather than small: it is read far more often than written, and sent nowhere.  Others are waited for.
        self.jail.run(["zstd", "-q", "-T0", "-1", packed.tree, "-o", tar], deadline=600, nice=BESIDE)
        self.jail.run(["cp", packed.aside, aside], deadline=30)
        self.jail.run(["chown", f"{os.getuid()}:{os.getgid()}", tar, aside], deadline=30)
        self.jail.run(["rm", packed.tree], deadline=60)
