"""What the guest's screen shows: its mode, and in text mode its characters."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from goldsmith.boot.monitor import Monitor
from goldsmith.errors import HarnessError, InputError
from goldsmith.host.deadline import Deadline

#: VGA text mode 80x25 as a screen dump has it: cells of 9x16 (or 8x16) pixels
TEXT_MODES = ((720, 400), (640, 400))
COLUMNS, ROWS = 80, 25
_MEMORY, _MEMORY_SIZE = 0xB8000, 0x8000
_CELLS = _MEMORY_SIZE // 2

_NAMED_KEYS = {
    " ": "spc",
    "\n": "ret",
    "\t": "tab",
    "-": "minus",
    "=": "equal",
    "[": "bracket_left",
    "]": "bracket_right",
    ";": "semicolon",
    "'": "apostrophe",
    "`": "grave_accent",
    "\\": "backslash",
    ",": "comma",
    ".": "dot",
    "/": "slash",
}
_SHIFTED = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./", strict=True))


@dataclass(frozen=True)
class Screen:
    """``text`` has 25 lines of up to 80 characters, and is None in a graphics mode; ``cursor`` is (row, column)."""

    width: int
    height: int
    text: tuple[str, ...] | None = None
    cursor: tuple[int, int] | None = None

    @property
    def is_text(self) -> bool:
        return self.text is not None


def png_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file.  Raises HarnessError where it is none."""
    head = path.read_bytes()[:24]
    if len(head) < 24 or head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR":
        raise HarnessError("QEMU's screen dump is not a PNG file", where=str(path))
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def dump(monitor: Monitor, path: Path) -> tuple[int, int]:
    """Write the screen to ``path`` as PNG; its width and height in pixels."""
    monitor.execute("screendump", {"filename": str(path), "format": "png"})
    return png_size(path)


def _crtc(monitor: Monitor, register: int) -> int:
    """A CRT controller register; the even port selects it, which is what QEMU's ``.index`` does."""
    answer = monitor.human(f"i /1xb 0x3d4.{register:#x}")
    match = re.search(r"=\s*(0x[0-9a-fA-F]+)", answer)
    if not match:
        raise HarnessError(f"QEMU answered {answer.strip()!r} for CRTC register {register:#x}")
    return int(match.group(1), 16)


def _cell(monitor: Monitor, high: int) -> int:
    return _crtc(monitor, high) << 8 | _crtc(monitor, high + 1)


def decode(memory: bytes, origin: int) -> tuple[str, ...]:
    """Lines of a text screen: every even byte is a cp437 character; ``origin`` is the first visible cell.

    The console scrolls by moving the origin, so reading from cell 0 shows what has long gone.
    """
    characters = bytes(32 if byte < 32 else byte for byte in memory[::2]).decode("cp437")
    rows = []
    for row in range(ROWS):
        first = origin + row * COLUMNS
        rows.append("".join(characters[(first + column) % len(characters)] for column in range(COLUMNS)).rstrip())
    return tuple(rows)


def read(monitor: Monitor, folder: Path) -> Screen:
    """The screen as it is now; ``folder`` takes the scratch files."""
    picture, memory = folder / "screen.png", folder / "screen.vga"
    width, height = dump(monitor, picture)
    if (width, height) not in TEXT_MODES:
        return Screen(width, height)
    monitor.execute("pmemsave", {"val": _MEMORY, "size": _MEMORY_SIZE, "filename": str(memory)})
    origin, cursor = _cell(monitor, 0x0C), _cell(monitor, 0x0E)
    place = divmod((cursor - origin) % _CELLS, COLUMNS)
    return Screen(width, height, decode(memory.read_bytes(), origin), place)


def keys_of(text: str) -> list[list[str]]:
    """QEMU's key names (of a US keyboard) for each character.  Raises InputError for one that is not on it."""
    return [_keys_of(character) for character in text]


def _keys_of(character: str) -> list[str]:
    if character in _SHIFTED:
        return ["shift", *_keys_of(_SHIFTED[character])]
    if character in _NAMED_KEYS:
        return [_NAMED_KEYS[character]]
    if character.isascii() and character.isalnum():
        return ["shift", character.lower()] if character.isupper() else [character]
    raise InputError(f"{character!r} is not on a US keyboard")


def press(monitor: Monitor, keys: list[str]) -> None:
    """Press keys together and let them go."""
    monitor.execute("send-key", {"keys": [{"type": "qcode", "data": key} for key in keys], "hold-time": 20})
    # QEMU queues the release; the next press must not overtake it.
    time.sleep(0.05)


def type_and_see(monitor: Monitor, look: Callable[[], Screen], text: str, deadline: Deadline) -> None:
    """Type on a text screen, confirming each key by its echo at the cursor; a key that was lost is pressed again.

    Raises DeadlineError when a character never shows, HarnessError in a graphics mode.
    """
    for character, keys in zip(text, keys_of(text), strict=True):
        before = look()
        if before.text is None or before.cursor is None:
            raise HarnessError(f"no text screen ({before.width}x{before.height}), so no echo to see")
        tries = [Deadline.after(0)]

        def echoed(before: Screen = before, keys: list[str] = keys, tries: list[Deadline] = tries) -> bool:
            now = look()
            if now.cursor != before.cursor:
                return True
            if tries[-1].passed:
                press(monitor, keys)
                tries.append(Deadline.after(2.0))
            return False

        deadline.wait_for(echoed, f"the screen did not echo {character!r}", interval=0.05)
        seen = look()
        row, column = before.cursor
        if character != "\n" and seen.text and seen.text[row][column : column + 1].strip() != character.strip():
            shown = "\n  | ".join(seen.text)
            raise HarnessError(f"the screen echoed something else than {character!r}", hint=f"it shows:\n  | {shown}")
