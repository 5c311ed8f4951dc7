"""What every command is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from goldsmith.errors import ExitCode
from goldsmith.host.progress import Progress
from goldsmith.settings import Settings


@dataclass(frozen=True)
class Context:
    """Settings with the options of the command line applied, and where progress goes."""

    settings: Settings
    progress: Progress


@dataclass(frozen=True)
class Outcome:
    """A command's result: ``document`` is printed with --json, ``text`` without."""

    document: Mapping[str, Any]
    text: str
    exit_code: ExitCode = ExitCode.GOOD
