"""HTML that cannot be forgotten to be escaped: text becomes markup only here.

What a guest says is hostile: it may hold tags, control characters, and characters that turn the direction of reading.
"""

from __future__ import annotations

import html
import re

#: characters of one value that a page shows
MOST = 20_000

# C0 but tab and newline, DEL, C1; what separates lines or is invisible and turns the direction of text; surrogates;
# noncharacters.  HTML forbids some of them (parsing section "Preprocessing the input stream"), readers the others.
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)
_VOID = frozenset({"meta", "img", "br"})


class Markup(str):
    """HTML; a plain str is text."""

    __slots__ = ()


#: text or markup, or nothing
Child = str | None
Attribute = str | int | bool | None


def visible(text: str) -> str:
    """Text with every character that cannot be seen, or that hides others, made visible."""
    return _ODD.sub(lambda match: f"\\u{{{ord(match.group()):x}}}", text.replace("\r\n", "\n"))


def clipped(text: str, most: int = MOST) -> str:
    """At most so many characters, and how many there were more."""
    return text if len(text) <= most else f"{text[:most]} … and {len(text) - most} characters more"


def escaped(child: str) -> Markup:
    """Markup as it is, text made safe for an element's content and for a quoted attribute."""
    return child if isinstance(child, Markup) else Markup(html.escape(visible(child), quote=True))


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element.  ``class_`` is class, ``aria_label`` aria-label; a child or attribute that is None is left out."""
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None and value is not False:
            words.append(f'{key}="{escaped(str(value))}"')
    opened = f"<{' '.join(words)}>"
    return Markup(opened if name in _VOID else f"{opened}{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Children one after another."""
    return Markup("".join(escaped(child) for child in children if child is not None))


def lines(*children: Child) -> Markup:
    """Children, each on its own line of the source."""
    return Markup("\n".join(escaped(child) for child in children if child))


def slug(*words: str) -> str:
    """An id for an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-") or "x"
