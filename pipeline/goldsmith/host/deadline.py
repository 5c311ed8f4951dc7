"""Deadlines: points in time handed down, so that nested waits cannot add up past the outer one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from goldsmith.errors import DeadlineError

T = TypeVar("T")


@dataclass(frozen=True)
class Deadline:
    """A point on the monotonic clock; ``total`` is the whole allowance in seconds."""

    at: float
    total: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds, seconds)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.remaining() <= 0

    def require(self, what: str, *, hint: str | None = None) -> None:
        """Raise DeadlineError naming ``what`` if it has passed."""
        if self.passed:
            raise DeadlineError(what, self.total, hint=hint)

    def wait_for(
        self, condition: Callable[[], T | None], what: str, *, interval: float = 0.1, hint: str | None = None
    ) -> T:
        """Poll ``condition`` until it returns something true, and return that.

        Raises DeadlineError naming ``what``; the condition is tried at least once.
        """
        while True:
            if result := condition():
                return result
            if self.passed:
                raise DeadlineError(what, self.total, hint=hint)
            time.sleep(min(interval, self.remaining()))
