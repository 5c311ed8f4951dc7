"""The base tree of a bootstrapped image, from the store or from diskimage-builder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake.archive import Archive
from goldsmith.bake.dib import build_tree
from goldsmith.bake.layers import Layers
from goldsmith.host.files import document_digest, locked
from goldsmith.host.jail import Jail
from goldsmith.host.progress import Progress
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.artefacts import kept

KIND = "tree"
_TREE = "tree.tar.zst"
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
    """``tar`` is the root file system, packed by zstd or not; ``variables`` are the shell's assignments of DIB's."""

    tar: Path
    variables: str


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
    handed: Callable[[BaseTree], None],
) -> BaseTree:
    """The base tree, kept in the store and made once for all recipes that share it.

    Where it is made, ``handed`` is given it as diskimage-builder leaves it, while it is packed for the store.
    ``scratch`` is an empty folder.  Raises CommandFailedError where DIB fails.
    """

    def make(folder: Path) -> None:
        _make(jail, plan, layers, given, settings, scratch, folder, progress, handed)

    folder = kept(settings.cache_dir / "artefacts", KIND, identity.key, make, scratch)
    return BaseTree(folder / _TREE, (folder / _VARIABLES).read_text())


def _make(
    jail: Jail,
    plan: Plan,
    layers: Layers,
    given: Mapping[str, str],
    settings: Settings,
    scratch: Path,
    folder: Path,
    progress: Progress,
    handed: Callable[[BaseTree], None],
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
    with locked(cache.parent / "dib.lock"), progress.step("tree (diskimage-builder)"):
        tree = build_tree(
            jail,
            scratch,
            elements=layers.elements,
            packages=plan.recipe.packages,
            environment={**layers.environment, **given},
            elements_path=[stubs, *(path for path in settings.elements_path if path.is_dir())],
            cache=cache,
            architecture=plan.recipe.bootstrapped.architecture,
            log_file=log_file,
            initramfs=layers.reads_initramfs,
        )
    assigned = tree.manifests / _DIB_VARIABLES
    variables = assigned.read_text() if assigned.exists() else ""
    (folder / _VARIABLES).write_text(variables)
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(handed, BaseTree(tree.tar, variables))
        # Quick rather than small: it is read far more often than written, and sent nowhere.  Others are waited for.
        jail.run(["nice", "zstd", "-q", "-T0", "-1", tree.tar, "-o", folder / _TREE], deadline=600)
        jail.run(["chown", f"{os.getuid()}:{os.getgid()}", folder / _TREE], deadline=30)
        taken.result()
    jail.run(["rm", tree.tar], deadline=60)
