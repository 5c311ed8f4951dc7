"""Recipes whose small images are in the store, with green proofs: what a build and its boots would have left."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml
from cloud_images import image

from goldsmith.bake.build import IMAGE, KIND, MANIFEST
from goldsmith.bake.remembered import remember
from goldsmith.commands import proofs, work
from goldsmith.settings import from_environment
from goldsmith.store import manifest as manifests
from goldsmith.store.artefacts import ArtefactStore
from goldsmith.verify.report import Report


def proven(
    folder: Path, content: str, *, name: str = "small", publish: str = "Small", size: int = 1 << 16, **properties: str
) -> Path:
    """A recipe in ``folder`` whose image holds ``content``; GOLDSMITH_CACHE says where the store is."""
    path, made = image(folder / "made", content, size=size)
    recipe = folder / f"{name}.yaml"
    document = {
        "name": name,
        "base": {"image": str(path), "sha256": made.sha256},
        "elements": [],
        "disk": {"firmware": ["bios"]},
        "properties": {"os_type": "linux", "hw_disk_bus": "virtio", **properties},
        "publish": {"name": publish, "visibility": "public", "keep": 1},
    }
    recipe.write_text(yaml.safe_dump(document))
    settings = from_environment()
    (plan,) = work.planned([recipe], settings)
    manifest = made.model_copy(update={"name": name, "recipe_digest": plan.digest, "inputs": dict(plan.inputs)})

    def fill(place: Path) -> None:
        (place / IMAGE).write_bytes(path.read_bytes())
        manifests.write(place / MANIFEST, manifest.model_copy(update={"verdicts": ()}))

    key = hashlib.sha256(content.encode() + plan.digest.encode()).hexdigest()
    ArtefactStore(settings.cache_dir / "artefacts").put(KIND, key, fill)
    remember(plan, settings, key, {})
    report = Report(
        image=str(path),
        sha256=made.sha256,
        accelerator="tcg: because",
        firmware=made.firmware,
        complete=True,
        verdicts=made.verdicts,
        seconds=1,
    )
    about = proofs.About.proof_of(plan, report.sha256, manifest)
    proofs.keep(about, report, plan.recipe.name, settings)
    proofs.remember_proof(plan, about, settings)
    return recipe
