"""One option of an ini file set, and every other byte kept (files of oslo.config, such as cloudbase-init's)."""

from __future__ import annotations

import re

from goldsmith.errors import InputError

_SECTION = re.compile(rb"^\[([^\]]+)\]\s*$")


def set_option(content: bytes, section: str, option: str, value: str) -> bytes:
    """``content`` with ``option`` of ``section`` set, the same bytes where it was already.

    Where the option is there several times the last one counts to oslo.config: all are set.  An option or a section
    that is not there is added.  Raises InputError for a file in UTF-16.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("is an ini file in UTF-16, which oslo.config does not read", hint="save it as UTF-8")
    lines = content.splitlines(keepends=True)
    end = b"\r\n" if b"\r\n" in content else b"\n"
    name, wanted = option.encode(), section.encode()
    given = re.compile(rb"^" + re.escape(name) + rb"[ \t]*[=:][ \t]*(.*?)[ \t]*\r?\n?$")
    new = name + b"=" + value.encode() + end
    found: list[bytes] = []
    inside = skipping = done = False
    last: int | None = None
    for index, line in enumerate(lines):
        bare = line.removeprefix(b"\xef\xbb\xbf") if index == 0 else line
        if match := _SECTION.match(bare):
            inside = match[1].strip() == wanted
        elif skipping and line[:1] in (b" ", b"\t") and line.strip():
            # Lines that begin with a blank continue the value which is no longer there.
            continue
        skipping = False
        if inside and (option_here := given.match(bare)):
            done = True
            continued = index + 1 < len(lines) and lines[index + 1][:1] in (b" ", b"\t") and lines[index + 1].strip()
            if option_here[1] != value.encode() or continued:
                line, skipping = new, True
        found.append(line)
        if inside and line.strip():
            last = len(found)
    if done:
        return b"".join(found)
    if found and not found[-1].endswith((b"\n", b"\r")):
        found[-1] += end
    if last is None:
        return b"".join([*found, b"[" + wanted + b"]" + end, new])
    return b"".join([*found[:last], new, *found[last:]])
