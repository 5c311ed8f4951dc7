"""Which image of the store stands for a recipe: small pointer files, so that an image needs no search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from goldsmith.host.files import write_json
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings


class Pointer(BaseModel):
    """``key`` is the image's in the store; ``suites`` the archive that it is known to be current with."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    plan_digest: str
    inputs: dict[str, str]
    suites: dict[str, str]


def _path(plan: Plan, settings: Settings) -> Path:
    return settings.cache_dir / "recipes" / f"{plan.recipe.name}.json"


def recall(plan: Plan, settings: Settings) -> Pointer | None:
    """The last image of this recipe, whatever its inputs were; None if there is none or the file is damaged."""
    try:
        return Pointer.model_validate_json(_path(plan, settings).read_bytes())
    except (OSError, ValueError):
        return None


def remember(plan: Plan, settings: Settings, key: str, suites: Mapping[str, str]) -> None:
    """Note that ``key`` is this recipe's image, current with ``suites``."""
    pointer = Pointer(key=key, plan_digest=plan.digest, inputs=plan.inputs, suites=dict(suites))
    write_json(_path(plan, settings), pointer.model_dump())
