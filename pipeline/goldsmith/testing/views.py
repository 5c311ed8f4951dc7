"""What a suite sees of the machine besides commands: its screen, and what it asked of the metadata service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from goldsmith.host.deadline import Deadline
from goldsmith.verify.standing import Standing

#: seconds for the echo of what was typed, before scaling
ECHO_SECONDS = 60.0


@dataclass(frozen=True)
class ScreenView:
    """The guest's screen and keyboard; ``folder`` takes its pictures."""

    _guest: Standing
    _folder: Path

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels; 720x400 is VGA's text mode."""
        screen = self._guest.machine.screen()
        return screen.width, screen.height

    @property
    def text(self) -> list[str] | None:
        """Its lines; None in a graphics mode."""
        lines = self._guest.machine.screen_text()
        return None if lines is None else list(lines)

    def screenshot(self, name: str) -> Path:
        """Take a picture, NAME.png among the test's artefacts."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.png"
        self._guest.machine.screendump(path)
        return path

    def type(self, text: str) -> None:
        """Type on a text screen and see each character echoed.  Raises DeadlineError where one does not show."""
        self._guest.machine.type_and_see(text, Deadline.after(ECHO_SECONDS * self._guest.machine.scale))


@dataclass(frozen=True)
class MetadataView:
    """What the guest asked of the metadata service since power-on; read anew each time."""

    _guest: Standing

    @property
    def requests(self) -> int:
        return self._guest.metadata().requests

    @property
    def connections(self) -> int:
        return self._guest.metadata().connections

    @property
    def by_path(self) -> Mapping[str, int]:
        return self._guest.metadata().by_path
