"""Which layers of an image a build would make anew, and which it would take from the store; nothing is made."""

from __future__ import annotations

from dataclasses import dataclass

from goldsmith.bake import base_disk, base_tree, build, initramfs
from goldsmith.bake.archive import Archive
from goldsmith.bake.layers import split
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
    keys = {
        (TREE, base_tree.KIND): identity.key,
        (INITRAMFS, initramfs.KIND): initramfs.key_of(identity, plan),
        (DISK, base_disk.KIND): base_disk.key_of(identity, plan),
    }
    # The recipe may be again what it was for an earlier image: then that one is taken, and no layer made.
    whole = store.holds(build.KIND, build.image_key(plan, archive.suites))
    made = [Layer(name, whole or bool(key and store.holds(kind, key))) for (name, kind), key in keys.items()]
    return (*made, Layer(ELEMENTS, whole, over))
