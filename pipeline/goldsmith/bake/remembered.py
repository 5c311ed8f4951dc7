"""Which image of the store stands for a recipe: small pointer files, so that an image needs no search."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from goldsmith.host.files import write_json
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings


@dataclass(frozen=True)
class Pointer:
    """``key`` is the image's in the store; ``suites`` the archive that it is known to be current with."""

    key: str
    plan_digest: str
    inputs: Mapping[str, str]
    suites: Mapping[str, str]


def _path(plan: Plan, settings: Settings) -> Path:
    return settings.cache_dir / "recipes" / f"{plan.recipe.name}.json"


def recall(plan: Plan, settings: Settings) -> Pointer | None:
    """The last image of this recipe, whatever its inputs were; None if there is none or the file is damaged."""
    try:
        return Pointer(**json.loads(_path(plan, settings).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def remember(plan: Plan, settings: Settings, key: str, suites: Mapping[str, str]) -> None:
    """Note that ``key`` is this recipe's image, current with ``suites``."""
    pointer = Pointer(key, plan.digest, dict(plan.inputs), dict(suites))
    write_json(_path(plan, settings), asdict(pointer))
