"""Where a person sits at a machine: its screen and its keyboard."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from pathlib import Path

from goldsmith.boot import screen as vga
from goldsmith.boot.arguments import VNC_SOCKET
from goldsmith.boot.monitor import Monitor
from goldsmith.boot.vnc import Viewer, type_and_watch
from goldsmith.host.deadline import Deadline


class Seat(ABC):
    """Screen and keyboard of what has a monitor and a folder for scratch files."""

    folder: Path

    @property
    @abstractmethod
    def monitor(self) -> Monitor: ...

    @abstractmethod
    def _connect(self, name: str, deadline: Deadline) -> socket.socket:
        """A connection to the socket ``name`` of the folder."""

    def screendump(self, path: Path) -> tuple[int, int]:
        """Write the screen as PNG; (width, height) in pixels."""
        return vga.dump(self.monitor, path.absolute())

    def screen(self) -> vga.Screen:
        """The screen's mode and, in text mode, its text."""
        return vga.read(self.monitor, self.folder)

    def screen_text(self) -> tuple[str, ...] | None:
        """The lines of a text screen, None in a graphics mode."""
        return self.screen().text

    def send_keys(self, text: str) -> None:
        """Type without looking; keys can be lost."""
        for keys in vga.keys_of(text):
            vga.press(self.monitor, keys)

    def type_and_see(self, text: str, deadline: Deadline) -> None:
        """Type on a text screen and see each character echoed."""
        vga.type_and_see(self.monitor, self.screen, text, deadline)

    def type_by_vnc(self, text: str, deadline: Deadline) -> None:
        """The same as a person does it who sits at a VNC console, in a machine that was made with ``vnc``."""
        with self._connect(VNC_SOCKET, deadline) as connection:
            type_and_watch(Viewer(connection, deadline), self.screen, text, deadline)
