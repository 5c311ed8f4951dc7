from __future__ import annotations

import struct
from pathlib import Path

import pytest

from goldsmith.boot.screen import decode, keys_of, png_size
from goldsmith.errors import HarnessError, InputError


def memory(text: str, at: int) -> bytes:
    """32 KiB of text memory, blank with the usual attribute, with ``text`` at a cell."""
    cells = bytearray(b"\x00\x07" * (1 << 14))
    for index, byte in enumerate(text.encode("cp437")):
        cells[2 * ((at + index) % (1 << 14))] = byte
    return bytes(cells)


def test_the_first_row_is_at_the_origin() -> None:
    scrolled = memory("login:", 8000 + 80)
    assert decode(scrolled, 8000)[1] == "login:"
    assert not any(decode(scrolled, 0))


def test_text_memory_wraps_around() -> None:
    lines = decode(memory("across", (1 << 14) - 3), (1 << 14) - 80)
    assert lines[0] == " " * 77 + "acr"
    assert lines[1] == "oss"


def test_lines_are_cp437_and_attributes_are_not_text() -> None:
    lines = decode(memory("é║", 0), 0)
    assert lines[0] == "é║"
    assert len(lines) == 25


def test_keys_with_and_without_shift() -> None:
    assert keys_of("aA1! \n|") == [
        ["a"],
        ["shift", "a"],
        ["1"],
        ["shift", "1"],
        ["spc"],
        ["ret"],
        ["shift", "backslash"],
    ]


@pytest.mark.parametrize("character", ["é", "\x00", "²"])
def test_characters_without_a_key_are_refused(character: str) -> None:
    with pytest.raises(InputError):
        keys_of(character)


def test_png_size(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 720, 400))
    assert png_size(picture) == (720, 400)


@pytest.mark.parametrize("content", [b"", b"P6 720 400 255\n" + b"x" * 30, b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_png_is_reported(tmp_path: Path, content: bytes) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(content)
    with pytest.raises(HarnessError, match="not a PNG"):
        png_size(picture)
