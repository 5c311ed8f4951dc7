"""From a plan to an image in the store: tree, disk, manifest; or nothing at all, where the image is there already."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from goldsmith import __version__
from goldsmith.bake import archive as archives
from goldsmith.bake.archive import Archive
from goldsmith.bake.base import prepared
from goldsmith.bake.disk import make_disk
from goldsmith.bake.lay_over import lay_over
from goldsmith.bake.layers import split
from goldsmith.bake.layout import make_layout
from goldsmith.bake.offline import session as offline
from goldsmith.bake.remembered import recall, remember
from goldsmith.bake.scratch import is_littered, scratch_folder, scratch_parent, sweep
from goldsmith.bake.steady import steadily
from goldsmith.boot.accelerator import choose
from goldsmith.errors import HostError
from goldsmith.host.apt_sources import Mirrors, host_mirrors
from goldsmith.host.files import document_digest, file_digests, require_space
from goldsmith.host.jail import root_jail
from goldsmith.host.progress import Progress
from goldsmith.host.run import Completed
from goldsmith.images.base import obtained, working_copy
from goldsmith.recipe.differences import because
from goldsmith.recipe.model import ImageBase
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store import manifest as manifests
from goldsmith.store.artefacts import Artefact, ArtefactStore
from goldsmith.store.manifest import Manifest, PackageFact, Step, UsedElement

IMAGE = "image.qcow2"
MANIFEST = "manifest.json"
KIND = "image"

#: a tree, its tar and the raw disk, for a server without a desktop
_WORK_SPACE = 4 * 2**30
_STORE_SPACE = 2**30


@dataclass(frozen=True)
class Built:
    """An image in the store.  ``cached`` if no work was needed, else ``reasons`` says why it was."""

    image: Path
    manifest: Manifest
    cached: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """What the store has for a plan; ``reasons`` says why that is not enough, and is empty if it is."""

    artefact: Artefact | None
    reasons: tuple[str, ...]
    archive: Archive | None


def build(
    plan: Plan,
    settings: Settings,
    progress: Progress,
    *,
    again: bool = False,
    recover_registry: bool = False,
    follow: offline.Follow | None = None,
) -> Built:
    """Bake the plan's image, unless the store has it and the archive has nothing newer for it.

    With ``recover_registry`` the transaction logs of a Windows that was not shut down are replayed first.  ``follow``
    finds the properties that follow from what is on the disk of a base image.  Raises
    InputError if the archive lacks the release or a base image does not take the elements, HostError where the host
    lacks root, space or the network, CommandFailedError where DIB, a script or a tool fails.  A build that is killed
    leaves no mount, process or half-written image, and the next one removes its scratch folder.  What the bake takes
    from the store, and another changes or removes meanwhile, is made anew, and the bake with it, once.
    """
    _tidy(settings, progress)
    standing = look(plan, settings, progress)
    if standing.artefact and not standing.reasons and not again:
        return _built(standing.artefact, cached=True)
    suites = dict(standing.archive.suites) if standing.archive else {}
    # Built again on request, the image gets a key of its own: what is in the store is never changed.
    key = image_key(plan, suites, time.time() if again else None)
    store = _store(settings)
    if artefact := store.get(KIND, key):
        # The recipe is again what it was for an earlier image, and the archive has not moved since.
        remember(plan, settings, key, suites)
        return _built(artefact, cached=True)
    require_space(scratch_parent(settings, _WORK_SPACE), _WORK_SPACE, "building the image")
    require_space(settings.cache_dir, _STORE_SPACE, "keeping the image")
    for line in because(plan.recipe.name, "built", standing.reasons):
        progress.note(line)
    artefact = store.put(
        KIND,
        key,
        lambda folder: steadily(
            lambda: _bake(
                plan,
                standing.archive,
                settings,
                progress,
                folder,
                again=again,
                recover_registry=recover_registry,
                follow=follow,
            ),
            folder,
            settings,
            progress,
        ),
    )
    remember(plan, settings, key, suites)
    return _built(artefact, cached=False, reasons=standing.reasons)


def image_key(plan: Plan, suites: Mapping[str, str], again: float | None = None) -> str:
    """By which the store has the plan's image of an archive in that state; ``again`` is the time of one on request."""
    return document_digest([plan.digest, dict(suites), again])


def _tidy(settings: Settings, progress: Progress) -> None:
    """Remove what killed builds left, also where nothing will be built."""
    done = [f"removed {path}" for path in _store(settings).sweep()]
    if littered := [folder for folder in settings.scratch_dirs if is_littered(folder)]:
        with root_jail(settings.base_environment) as jail:
            for folder in littered:
                done += sweep(folder, jail)
    for line in done:
        progress.note(f"left by a build that was killed: {line}")


def _built(artefact: Artefact, *, cached: bool, reasons: tuple[str, ...] = ()) -> Built:
    return Built(artefact.file(IMAGE), manifests.read(artefact.file(MANIFEST)), cached, reasons)


def _store(settings: Settings) -> ArtefactStore:
    return ArtefactStore(settings.cache_dir / "artefacts")


def look(plan: Plan, settings: Settings, progress: Progress) -> Standing:
    """What is there already, and why it would be built; nothing is built."""
    pointer = recall(plan, settings)
    # The archive answers while the image's digest is computed.
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_archive, plan, settings)
        artefact = None
        reasons: tuple[str, ...] = ("no image of this recipe was built yet",)
        if pointer is not None and pointer.plan_digest != plan.digest:
            reasons = tuple(plan.differences(pointer.inputs))
        elif pointer is not None:
            artefact = _store(settings).get(KIND, pointer.key)
            reasons = () if artefact else ("the image is no longer in the store, or was damaged there",)
    try:
        archive = asked.result()
        if pointer is None or artefact is None or archive is None or pointer.suites == archive.suites:
            return Standing(artefact, reasons, archive)
        with progress.step("package index"):
            newer = archives.newer_packages(archive, manifests.read(artefact.file(MANIFEST)).packages)
    except HostError as error:
        if artefact is None:
            raise
        progress.note(f"newer packages were not looked for: {error.message}")
        return Standing(artefact, (), None)
    if not newer:
        remember(plan, settings, pointer.key, archive.suites)
    return Standing(artefact, tuple(f"newer package: {line}" for line in newer), archive)


def _archive(plan: Plan, settings: Settings) -> Archive | None:
    """The state of the archive that a plan's packages come from; none for an image, whose digest is an input itself."""
    base = plan.recipe.base
    if isinstance(base, ImageBase):
        return None
    return archives.read_archive(mirrors_for(plan, settings), base.release, base.architecture)


def mirrors_for(plan: Plan, settings: Settings, distribution: str | None = None) -> Mirrors:
    """Where packages come from: the recipe's mirror, else the settings', else the host's own apt sources.

    ``distribution`` is what was found in a base that is an image.
    """
    own = host_mirrors(distribution or plan.recipe.bootstrapped.distribution)
    if plan.recipe.mirror:
        return Mirrors(plan.recipe.mirror.url, plan.recipe.mirror.security_url or own.security_url)
    if settings.mirror:
        return Mirrors(settings.mirror, settings.security_mirror or own.security_url)
    return Mirrors(own.url, settings.security_mirror or own.security_url)


def given_variables(plan: Plan, settings: Settings, epoch: int) -> dict[str, str]:
    """What a build's scripts are told beside the plan's variables: the mirrors, and the time of the build."""
    mirrors = mirrors_for(plan, settings)
    found = {"DIB_DISTRIBUTION_MIRROR": mirrors.url, "DIB_DEBIAN_SECURITY_MIRROR": mirrors.security_url}
    if plan.recipe.mirror and plan.recipe.mirror.keep:
        found |= {"DIB_GENERALIZE_MIRROR": mirrors.url, "DIB_GENERALIZE_SECURITY_MIRROR": mirrors.security_url}
    urls = {name: url for name, url in found.items() if url and name not in plan.environment}
    # What honours it puts no other time into its files (reproducible-builds.org/specs/source-date-epoch).
    return {**urls, "SOURCE_DATE_EPOCH": str(epoch)}


def _bake(
    plan: Plan,
    archive: Archive | None,
    settings: Settings,
    progress: Progress,
    folder: Path,
    *,
    again: bool,
    recover_registry: bool,
    follow: offline.Follow | None,
) -> None:
    """Write image and manifest into ``folder``; ``again`` makes the base tree anew too."""
    if isinstance(plan.recipe.base, ImageBase):
        _bake_offline(plan, settings, progress, folder, recover_registry=recover_registry, follow=follow)
        return
    epoch = archive.epoch if archive else int(time.time())
    first_step = len(progress.finished)
    layers = split(plan, settings)
    given = given_variables(plan, settings, epoch)
    parent = scratch_parent(settings, _WORK_SPACE)
    with (
        ThreadPoolExecutor(1) as pool,
        root_jail(settings.base_environment) as jail,
        # Memory has a folder for each cache: there would be ever more of them.
        scratch_folder(parent, jail, lasting=parent != settings.memory_dir) as scratch,
    ):
        root, begun, disk, over = (scratch / name for name in ("root", "base", "disk", "over"))
        for each in (begun, disk, over):
            each.mkdir()
        with prepared(
            jail, plan, layers, archive, given, root, settings, begun, progress, epoch=epoch, again=again
        ) as base:
            packages = lay_over(
                jail,
                plan,
                layers,
                root,
                over,
                variables=base.variables,
                given=given,
                log_file=settings.cache_dir / "logs" / f"{plan.recipe.name}.elements.log",
                progress=progress,
            )
            layout = make_layout(plan.recipe.disk.size, plan.digest)
            removal: list[Future[Completed]] = []
            # While the image is compressed.
            remove = partial(jail.run, ["rm", "-rf", "--one-file-system", root], deadline=300)
            make_disk(
                *(jail, root, base.disk, disk, layout, folder / IMAGE),
                epoch=epoch,
                progress=progress,
                tree_is_read=lambda: removal.append(pool.submit(remove)),
            )
        wait(removal)
        # Root made it; from here on it is the caller's.
        jail.run(["chown", f"{os.getuid()}:{os.getgid()}", folder / IMAGE], deadline=30)
        # Computed while the scratch folder is removed.
        digests = pool.submit(_digests, folder / IMAGE)
    with progress.step("manifest"):
        steps = tuple(Step(name=n, seconds=round(s, 2)) for n, s in progress.finished[first_step:])
        of = plan.recipe.bootstrapped
        of_base = {"distribution": of.distribution, "release": of.release, "architecture": of.architecture}
        size = plan.recipe.disk.size
        manifests.write(
            folder / MANIFEST, _manifest(plan, of_base, packages, size, folder / IMAGE, digests.result(), steps)
        )


def _bake_offline(
    plan: Plan,
    settings: Settings,
    progress: Progress,
    folder: Path,
    *,
    recover_registry: bool,
    follow: offline.Follow | None,
) -> None:
    """The same for a base that is an image; hives of a Windows that were changed are kept beside it as they were."""
    first_step = len(progress.finished)
    base = plan.recipe.base
    assert isinstance(base, ImageBase) and plan.base_sha256
    origin = obtained(plan.recipe, plan.base_sha256, settings, progress)
    with scratch_folder(settings.work_dir) as scratch:
        done = offline.customise(
            plan,
            working_copy(origin, settings, progress),
            "qcow2",
            folder / IMAGE,
            scratch,
            settings,
            choose(settings),
            progress,
            origin=origin.origin,
            mirrors_of=(lambda distribution: mirrors_for(plan, settings, distribution)) if base.network else None,
            recover_registry=recover_registry,
            follow=follow,
        )
        for hive in done.kept:
            shutil.copyfile(hive, folder / hive.name)
    steps = tuple(Step(name=n, seconds=round(s, 2)) for n, s in progress.finished[first_step:])
    of_base = {"image": origin.origin, "sha256": origin.sha256, "distribution": done.system.distribution}
    image = folder / IMAGE
    manifest = _manifest(plan, of_base, done.packages, done.virtual_size, image, _digests(image), steps)
    seen = {"found": dict(done.followed.properties), "lacks": done.followed.lacks}
    manifests.write(folder / MANIFEST, manifest.model_copy(update=seen))


def _digests(image: Path) -> tuple[str, ...]:
    return file_digests(image, "sha256", "sha512")


def _manifest(
    plan: Plan,
    base: dict[str, str],
    packages: Iterable[PackageFact],
    virtual_size: int,
    image: Path,
    digests: tuple[str, ...],
    steps: tuple[Step, ...],
) -> Manifest:
    sha256, sha512 = digests
    return Manifest(
        name=plan.recipe.name,
        recipe_digest=plan.digest,
        inputs=dict(plan.inputs),
        base=base,
        elements=tuple(
            UsedElement(name=e.element.name, digest=_element_digest(plan, e.element.name)) for e in plan.elements
        ),
        packages=tuple(packages),
        properties=dict(plan.properties),
        firmware=plan.boots_with,
        sha256=sha256,
        sha512=sha512,
        size=image.stat().st_size,
        virtual_size=virtual_size,
        steps=steps,
        goldsmith_version=__version__,
    )


def _element_digest(plan: Plan, name: str) -> str:
    return document_digest({k: v for k, v in plan.inputs.items() if k.startswith(f"element:{name}:")})
