"""The course of one boot: the phases that its console shows, and what the console rules found there."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from goldsmith.store.manifest import Firmware


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Phase(_Document):
    """A phase of a boot that was seen; times in seconds since power-on, as the host's clock has them."""

    name: str
    began: float = Field(ge=0)
    seconds: float | None = Field(default=None, ge=0, description="How long it took; null where its end was not seen")


class Mark(_Document):
    """A line of the console that a console rule matches."""

    rule: str
    line: int = Field(ge=1, description="Number of the line in console.log, from 1; also of lines no longer kept")
    text: str
    reason: str


class Timeline(_Document):
    """What one boot's console showed.  A phase that cannot be seen there is absent: its time is not known."""

    firmware: Firmware
    phases: tuple[Phase, ...] = ()
    stalled: str = Field(default="", description="The phase that was begun last, where the boot did not end; or empty")
    marks: tuple[Mark, ...] = ()
