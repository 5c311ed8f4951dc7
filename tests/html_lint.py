"""What a page of a report must keep to, found without a browser: the HTML standard's rules that a builder can break."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"meta", "img", "br"}
# Elements that end an open <p> (HTML standard, 4.4.1, "can be omitted if followed by").
_BLOCKS = {"article", "details", "div", "dl", "figure", "footer", "h1", "h2", "h3", "header", "nav", "p", "pre"}
_BLOCKS |= {"section", "table", "ul"}
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_LINKS = ("src", "href", "action", "srcset", "data", "poster", "xlink:href")


class Lint(HTMLParser):
    """Problems of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.text = ""
        self.tags: list[str] = []
        self._open: list[str] = []
        self._ids: list[str] = []
        self._targets: list[str] = []
        self._heading = 0
        self._source = page
        self._look_at_the_source()
        self.feed(page)
        self.close()
        self._finish()

    def _look_at_the_source(self) -> None:
        if not self._source.startswith("<!DOCTYPE html>\n"):
            self.problems.append("no doctype")
        if '<meta charset="utf-8">' not in self._source[:1024]:
            self.problems.append("its encoding is not in the first 1024 bytes")
        if odd := re.search(
            "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]",
            self._source,
        ):
            self.problems.append(f"the character {odd.group()!r}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        if len(found) != len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice")
        if tag in _BLOCKS and "p" in self._open:
            self.problems.append(f"<{tag}> inside a <p>")
        if tag in ("script", "iframe", "object", "embed", "link", "form", "base"):
            self.problems.append(f"<{tag}>")
        if tag == "img" and not found.get("alt"):
            self.problems.append("a picture without alt text")
        if tag == "th" and found.get("scope") not in ("col", "row", "rowgroup"):
            self.problems.append("a table header without scope")
        if tag == "svg" and found.get("role") != "img":
            self.problems.append("a drawing without a role")
        if heading := re.fullmatch(r"h([1-6])", tag):
            level = int(heading[1])
            if level > self._heading + 1:
                self.problems.append(f"<{tag}> after level {self._heading}")
            self._heading = level
        for name, value in attrs:
            self._attribute(tag, name, value or "")
        if tag not in _VOID:
            self._open.append(tag)

    def _attribute(self, tag: str, name: str, value: str) -> None:
        if name.startswith("on") or name == "style":
            self.problems.append(f"<{tag} {name}>")
        if name == "id":
            self._ids.append(value)
        if name == "aria-labelledby":
            self._targets.append(value)
        if name in _LINKS:
            if value.startswith("#"):
                self._targets.append(value[1:])
            elif not value.startswith("data:image/png;base64,"):
                self.problems.append(f"<{tag}> refers to {value}")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            if re.search(r"@import|url\((?!#)|</", data):
                self.problems.append("the style sheet refers to another file")
        else:
            self.text += data

    def _finish(self) -> None:
        self.problems += [f"<{tag}> is not closed" for tag in self._open]
        self.problems += [f"the id {each} twice" for each in sorted(set(self._ids)) if self._ids.count(each) > 1]
        self.problems += [f"nothing has the id {each}" for each in self._targets if each not in self._ids]
        if self.tags.count("h1") != 1:
            self.problems.append("not one h1")
