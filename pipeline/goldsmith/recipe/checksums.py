"""Lists of checksums, as distributions publish them beside their images."""

from __future__ import annotations

import re

#: coreutils: digest, a space, a space or an asterisk, the name; a backslash in front says that the name has escapes
_COREUTILS = re.compile(r"(\\?)([0-9a-fA-F]{64}) [ *](.+)")
#: BSD: SHA256 (name) = digest
_BSD = re.compile(r"(\\?)SHA256 \((.+)\) = ([0-9a-fA-F]{64})")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


class ChecksumError(ValueError):
    """The list does not say what the digest is; the text is for the operator."""


def parse(text: str) -> dict[str, str]:
    """The sha256 of each file in a list: base name -> digest in lower case.

    Lines of other kinds are skipped: comments, the frame of a signature, other digests.  Raises ChecksumError for a
    list without a sha256, or with two for one name.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := _COREUTILS.fullmatch(line.rstrip()):
            escaped, digest, name = match.groups()
        elif match := _BSD.fullmatch(line.rstrip()):
            escaped, name, digest = match.groups()
        else:
            continue
        if escaped:
            name = re.sub(r"\\[\\nr]", lambda each: _ESCAPES[each.group()], name)
        # Some lists have paths; the image is known by its own name.
        name = name.rpartition("/")[2]
        if found.setdefault(name, digest.lower()) != digest.lower():
            raise ChecksumError(f"has two digests for `{name}`")
    if not found:
        raise ChecksumError("has no sha256 in it")
    return found


def digest_of(name: str, text: str) -> str:
    """The digest of ``name`` in a list.  Raises ChecksumError where it has none."""
    found = parse(text)
    if name not in found:
        raise ChecksumError(f"does not have `{name}`")
    return found[name]
