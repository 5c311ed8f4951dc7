"""Which layers of an image a build would make anew, and which it would take from the store; nothing is made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from goldsmith.bake import base_disk, base_tree, build, initramfs
from goldsmith.bake.archive import Archive
from goldsmith.bake.layers import split
from goldsmith.host.files import document_digest
from goldsmith.recipe.model import ImageBase
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.artefacts import ArtefactStore

TREE, INITRAMFS, DISK, ELEMENTS = "base tree", "initramfs", "base disk", "elements"


@dataclass(frozen=True)
class Layer:
    """``kept`` where the store has it; ``elements`` are those that are laid over the base, in their order."""

    name: str
    kept: bool
    elements: tuple[str, ...] = ()


def standing_layers(plan: Plan, archive: Archive | None, settings: Settings) -> tuple[Layer, ...]:
    """The layers, from the base up, of a plan whose image is to be built; ``archive`` is the state that it is in.

    None for a base that is an image: its elements are applied to a copy of it.  What lies in the store is not read; one
    that turns out to be damaged is made anew all the same.  Raises CommandFailedError where environment.d fails.
    """
    if isinstance(plan.recipe.base, ImageBase):
        return ()
    layers = split(plan, settings)
    over = tuple(element.name for element in layers.over)
    if archive is None:
        # A tree of an archive whose state is not known is not kept.
        return (*(Layer(name, False) for name in (TREE, INITRAMFS, DISK)), Layer(ELEMENTS, False, over))
    store = ArtefactStore(settings.cache_dir / "artefacts")
    identity = base_tree.identify(layers, archive, build.given_variables(plan, settings, archive.epoch))
    assert identity.key
    # As base and base_disk have it; a test holds them against what a build leaves in the store.
    disk = document_digest([identity.key, plan.recipe.disk.size, _code(plan, base_disk._CODE)])
    started = document_digest([identity.key, _code(plan, initramfs.CODE)])
    # The recipe may be again what it was for an earlier image: then that one is taken, and no layer made.
    whole = store.holds(build.KIND, build.image_key(plan, archive.suites))
    return (
        Layer(TREE, whole or store.holds(base_tree.KIND, identity.key)),
        Layer(INITRAMFS, whole or store.holds(initramfs.KIND, started)),
        Layer(DISK, whole or store.holds(base_disk.KIND, disk)),
        Layer(ELEMENTS, whole, over),
    )


def _code(plan: Plan, names: Collection[str]) -> dict[str, str]:
    return {name: digest for name, digest in plan.inputs.items() if name in names}
