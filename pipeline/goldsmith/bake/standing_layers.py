"""Which layers of an image a build would make anew, and which it would take from the store; nothing is made."""

from __future__ import annotations

from dataclasses import dataclass

from goldsmith.bake import base_disk, base_tree, build
from goldsmith.bake.archive import Archive
from goldsmith.bake.layers import split
from goldsmith.host.files import document_digest
from goldsmith.recipe.model import ImageBase
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings
from goldsmith.store.artefacts import ArtefactStore

TREE, DISK, ELEMENTS = "base tree", "base disk", "elements"


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
        return Layer(TREE, False), Layer(DISK, False), Layer(ELEMENTS, False, over)
    store = ArtefactStore(settings.cache_dir / "artefacts")
    suites = dict(archive.suites)
    given = build.given_variables(plan, settings, archive.epoch)
    # As base_tree and base_disk have it; a test holds them against what a build leaves in the store.
    inputs = document_digest({**layers.inputs, "archive": suites, "given": given})
    tree = document_digest([inputs, None])
    code = {name: digest for name, digest in plan.inputs.items() if name in base_disk._CODE}
    disk = document_digest([tree, plan.recipe.disk.size, code])
    # The recipe may be again what it was for an earlier image: then that one is taken, and no layer made.
    whole = store.holds(build.KIND, build.image_key(plan, suites))
    return (
        Layer(TREE, whole or store.holds(base_tree.KIND, tree)),
        Layer(DISK, whole or store.holds(base_disk.KIND, disk)),
        Layer(ELEMENTS, whole, over),
    )
