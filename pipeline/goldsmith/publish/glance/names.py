"""What goldsmith writes on its images: names by stage, and properties of where they come from."""

from __future__ import annotations

from collections.abc import Mapping

from goldsmith.host.files import document_digest
from goldsmith.recipe.nova_vocabulary import SNAPSHOT_MARKS
from goldsmith.store.manifest import Manifest

#: the public name, on every image that was published under it or was to be
NAME = "goldsmith_name"
PREVIOUS = "goldsmith_previous"
#: a record that says whose turn it is, and its last sign of life
CLAIM = "goldsmith_claim"
BEAT = "goldsmith_beat"
#: an image that is not ready: the claim under which it is made
STAGED = "goldsmith_staged"


def staged(name: str, sha512: str) -> str:
    return f"{name}.staged-{sha512[:16]}"


def replaced(name: str, image_id: str) -> str:
    return f"{name}.replaced-{image_id[:8]}"


def provenance(name: str, manifest: Manifest, previous: str | None) -> dict[str, str]:
    """Properties that say what the image was made of; each fits into the 255 characters that Nova keeps."""
    base = manifest.base.get("sha256") or document_digest(manifest.base)
    verdicts = [verdict.model_dump(mode="json", exclude={"seconds", "console"}) for verdict in manifest.verdicts]
    found = {
        NAME: name,
        "goldsmith_recipe": manifest.recipe_digest,
        "goldsmith_build": manifest.sha256,
        "goldsmith_base": base,
        "goldsmith_verdicts": document_digest(verdicts),
        "goldsmith_version": manifest.goldsmith_version,
    }
    return found | ({PREVIOUS: previous} if previous else {})


def publishable(properties: Mapping[str, str]) -> dict[str, str]:
    """Without what Nova writes on snapshots and volumes, and reads as orders in part."""
    return {key: value for key, value in properties.items() if key not in SNAPSHOT_MARKS}
