"""The kind that looks at the screen."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from goldsmith.boot.screen import TEXT_MODES
from goldsmith.errors import DeadlineError
from goldsmith.host.deadline import Deadline
from goldsmith.verify.compare import Comparators, Finding, Strict, shown
from goldsmith.verify.subjects import Screen

_ECHO_SECONDS = 30.0


class ScreenAssertion(Strict):
    """Size and mode of the screen, its text, and whether it shows what is typed (VGA text only)."""

    width: int | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, gt=0)
    text_mode: bool | None = None
    text: Comparators | None = Field(default=None, description="What stands on it, row by row")
    echo: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]{4,40}$",
        description="Typed without Enter, half of it by VNC, and looked for on the screen",
    )

    @model_validator(mode="after")
    def _something_is_asked(self) -> Self:
        if self.says_nothing():
            raise ValueError("asks nothing: give width, height, text_mode, text or echo")
        for key in ("text", "echo"):
            if getattr(self, key) is not None and self.text_mode is False:
                raise ValueError(f"{key} can be read in text mode only")
        return self


def screen(assertion: ScreenAssertion, subject: Screen) -> list[Finding]:
    width, height = subject.display.screendump(subject.folder / "screen.png")
    size = f"{width}x{height}"
    text_mode = (width, height) in TEXT_MODES
    findings = []
    for wanted, seen, what in ((assertion.width, width, "wide"), (assertion.height, height, "high")):
        if wanted is not None and seen != wanted:
            findings.append(Finding(f"the screen is {wanted} {what}", size))
    if assertion.text_mode is not None and text_mode != assertion.text_mode:
        expected = "VGA text mode" if assertion.text_mode else "a framebuffer"
        findings.append(Finding(f"the screen is in {expected}", size))
    if assertion.text is not None:
        lines = subject.display.screen_text() if text_mode else None
        if lines is None:
            findings.append(Finding("the screen shows text that can be read", f"a framebuffer of {size}"))
        else:
            findings += assertion.text.findings("the screen", "\n".join(line.rstrip() for line in lines))
    if assertion.echo is not None:
        if text_mode:
            findings += _echo(assertion.echo, subject)
        else:
            findings.append(Finding(f"typed {assertion.echo!r} appears as text", f"a framebuffer of {size}"))
    return findings


def _echo(text: str, subject: Screen) -> list[Finding]:
    expected = f"typed {text!r} appears on the screen"
    try:
        # VNC is the way of a person at the cloud's console; its keys and its pictures go through more than send-key's.
        half = len(text) // 2
        subject.display.type_and_see(text[:half], Deadline.after(_ECHO_SECONDS * subject.scale))
        subject.display.type_by_vnc(text[half:], Deadline.after(_ECHO_SECONDS * subject.scale))
    except DeadlineError:
        # Read anew: a monitor that is dead fails here, and the harness is to blame.
        lines = subject.display.screen_text() or ("(no text screen)",)
        return [Finding(expected, shown("\n".join(line for line in lines if line.strip())))]
    return []
