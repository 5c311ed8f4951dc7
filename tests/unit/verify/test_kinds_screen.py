from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.verify.kinds import screen as kinds
from goldsmith.verify.subjects import Screen


@dataclass
class FakeDisplay:
    size: tuple[int, int] = (720, 400)
    echoes: bool = True
    alive: bool = True
    viewer_echoes: bool = True
    typed: list[str] = field(default_factory=list)
    #: typed by VNC
    viewed: list[str] = field(default_factory=list)

    def screendump(self, path: Path) -> tuple[int, int]:
        path.write_bytes(b"PNG")
        return self.size

    def screen_text(self) -> tuple[str, ...] | None:
        if not self.alive:
            raise HarnessError("QMP screendump: QEMU is gone")
        return ("", "debian login: ", "") if self.size == (720, 400) else None

    def type_and_see(self, text: str, deadline: Deadline) -> None:
        self.typed.append(text)
        if not self.echoes:
            raise DeadlineError("the screen did not echo 'g'", 30)

    def type_by_vnc(self, text: str, deadline: Deadline) -> None:
        self.viewed.append(text)
        if not self.viewer_echoes:
            raise DeadlineError("VNC did not show 's'", 30)


def findings(folder: Path, display: FakeDisplay, **assertion: Any) -> list[tuple[str, str]]:
    model = kinds.ScreenAssertion.model_validate(assertion)
    return [(f.expected, f.seen) for f in kinds.screen(model, Screen(display, folder))]


def test_size_and_mode(tmp_path: Path) -> None:
    text, framebuffer = FakeDisplay(), FakeDisplay((1280, 800))
    assert findings(tmp_path, text, width=720, height=400, text_mode=True) == []
    assert findings(tmp_path, framebuffer, width=1280, text_mode=False) == []
    assert findings(tmp_path, framebuffer, width=720, height=400, text_mode=True) == [
        ("the screen is 720 wide", "1280x800"),
        ("the screen is 400 high", "1280x800"),
        ("the screen is in VGA text mode", "1280x800"),
    ]
    assert findings(tmp_path, text, text_mode=False) == [("the screen is in a framebuffer", "720x400")]
    assert (tmp_path / "screen.png").exists()


def test_text(tmp_path: Path) -> None:
    assert findings(tmp_path, FakeDisplay(), text={"matches": "^debian login:$", "not_contains": "panic"}) == []
    assert findings(tmp_path, FakeDisplay(), text={"contains": "rocky"}) == [
        ("the screen contains 'rocky'", "\ndebian login:")
    ]
    assert findings(tmp_path, FakeDisplay((1280, 800)), text={"not_contains": "panic"}) == [
        ("the screen shows text that can be read", "a framebuffer of 1280x800")
    ]
    with pytest.raises(HarnessError, match="QEMU is gone"):
        findings(tmp_path, FakeDisplay(alive=False), text={"not_contains": "panic"})


def test_echo(tmp_path: Path) -> None:
    display = FakeDisplay()
    assert findings(tmp_path, display, echo="goldsmith") == []
    assert (display.typed, display.viewed) == (["gold"], ["smith"])
    for silent in (FakeDisplay(echoes=False), FakeDisplay(viewer_echoes=False)):
        assert findings(tmp_path, silent, echo="goldsmith") == [
            ("typed 'goldsmith' appears on the screen", "debian login: ")
        ]
    assert findings(tmp_path, FakeDisplay((1280, 800)), echo="goldsmith") == [
        ("typed 'goldsmith' appears as text", "a framebuffer of 1280x800")
    ]


def test_a_dead_monitor_breaks_the_check_and_does_not_fail_it(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="QEMU is gone"):
        findings(tmp_path, FakeDisplay(echoes=False, alive=False), echo="goldsmith")
