"""Text becomes markup in one place."""

from __future__ import annotations

import pytest

from goldsmith.verify.reporting.markup import Markup, clipped, escaped, joined, lines, slug, tag, visible


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "<b>&", tag("b", "x")) == "<p>&lt;b&gt;&amp;<b>x</b></p>"
    assert escaped(Markup("<b>")) == "<b>"
    assert joined("<", None, Markup("<br>")) == "&lt;<br>"
    assert lines("a", None, "", "<") == "a\n&lt;"


def test_attributes() -> None:
    made = tag("a", class_='"><script>', aria_label="x", href=None, hidden=False, open=True, width=3)
    assert made == '<a class="&quot;&gt;&lt;script&gt;" aria-label="x" open width="3"></a>'
    assert tag("img", alt="a") == '<img alt="a">'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc\r\nd", "a\tb\nc\nd"),
        ("\x00\x1b\x7f\r", "\\u{0}\\u{1b}\\u{7f}\\u{d}"),
        ("\x85\u2028\u202e\u200b", "\\u{85}\\u{2028}\\u{202e}\\u{200b}"),
        ("\ud800\ufdd0\uffff\U0001fffe\U0010ffff", "\\u{d800}\\u{fdd0}\\u{ffff}\\u{1fffe}\\u{10ffff}"),
        ("Ä ñ 日本 🙂 \ufffd", "Ä ñ 日本 🙂 \ufffd"),
    ],
)
def test_what_cannot_be_seen_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
    shown.encode()


def test_cutting_says_so() -> None:
    assert clipped("abc", 3) == "abc"
    assert clipped("abcd", 3) == "abc … and 1 characters more"


@pytest.mark.parametrize(
    ("words", "made"), [(("Serial console",), "serial-console"), (("bios", "7"), "bios-7"), (("§",), "x")]
)
def test_slugs(words: tuple[str, ...], made: str) -> None:
    assert slug(*words) == made
