"""The kinds file and absent in the running guest: one command for all that is asked, sound for any path's name."""

from __future__ import annotations

import base64
import binascii
import shlex
from collections.abc import Iterator
from functools import partial

from goldsmith.errors import HarnessError
from goldsmith.verify import tree
from goldsmith.verify.compare import Finding
from goldsmith.verify.kinds.files import AbsentAssertion, Facts, FileAssertion, compared, found_of
from goldsmith.verify.subjects import LiveGuest

#: bytes of a file, or of all files of a glob, that are brought out of the guest; the channel holds 1 MiB of an answer
LIVE_LIMIT = 512 * 1024
#: bytes of the names that match a glob
_NAMES_LIMIT = 256 * 1024
#: what is no file of the image, for a glob that begins at the root
_KERNELS = ("/proc", "/sys", "/dev")
_END = "end"


def file(assertion: FileAssertion, guest: LiveGuest) -> list[Finding]:
    """As files.file, by the guest's own stat(1)."""
    path = shlex.quote(assertion.path)
    script = (
        f"p={path}; "
        'if [ -L "$p" ]; then echo "link $(readlink -n -- "$p" | base64 -w0)"; '
        'elif [ -e "$p" ]; then echo plain; else echo none; exit 0; fi; '
        '[ -e "$p" ] || { echo nowhere; exit 0; }; '
        'stat -L -c \'%f %u %g %s\' -- "$p" && stat -L -c %U -- "$p" && stat -L -c %G -- "$p" || exit 1; '
    )
    if assertion.content is not None:
        script += f'if [ -f "$p" ]; then head -c {LIVE_LIMIT + 1} -- "$p" | base64 -w0; echo; fi; echo {_END}'
    return compared(assertion, _facts(assertion, guest.output(script)))


def _facts(assertion: FileAssertion, text: str) -> Facts | None:
    lines = text.split("\n")
    try:
        kind, _, target = lines[0].partition(" ")
        if kind == "none":
            return None
        link = _decoded(target).decode(errors="replace") if kind == "link" else None
        if lines[1] == "nowhere":
            return Facts(link, None, str, str, bytes)
        mode, uid, gid, size = lines[1].split()
        entry = tree.Entry(int(mode, 16), int(uid), int(gid), int(size))
        user, group = (
            str(number) if name == "UNKNOWN" else name
            for name, number in zip(lines[2:4], (entry.uid, entry.gid), strict=True)
        )
    except (IndexError, ValueError) as error:
        raise HarnessError(f"the guest's answer cannot be read: {text[:200]!r}", where=assertion.path) from error
    return Facts(link, entry, lambda: user, lambda: group, partial(_content, assertion.path, lines[4:]))


def _content(path: str, lines: list[str]) -> bytes:
    if lines[1:2] != [_END]:
        raise HarnessError("the guest's answer is not whole", where=path)
    content = _decoded(lines[0])
    if len(content) > LIVE_LIMIT:
        raise HarnessError(
            f"is larger than {LIVE_LIMIT // 1024} KiB, which is not brought out of a running guest", where=path
        )
    return content


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise HarnessError(f"the guest's answer is damaged: {error}") from error


def absent(assertion: AbsentAssertion, guest: LiveGuest) -> list[Finding]:
    """As files.absent, by the guest's own find(1); below / neither /proc, /sys nor /dev is looked at."""
    return found_of(assertion, partial(_glob, guest), partial(_contents, guest))


def _glob(guest: LiveGuest, pattern: str) -> list[str]:
    there, find = _find(pattern)
    script = f"if {there}; then {find} -print0; echo $? >&2; else echo 0 >&2; fi | head -c {_NAMES_LIMIT}"
    result = guest.run(script)
    names = [name for name in result.stdout.split("\0") if name]
    # Where find met what it cannot read, an empty answer proves nothing.
    if not names and result.stderr.split()[-1:] != ["0"]:
        raise HarnessError(f"find(1) in the guest failed: {result.stderr.strip()[-500:]}", where=pattern)
    return sorted(names)


def _contents(guest: LiveGuest, pattern: str) -> Iterator[tuple[str, bytes]]:
    there, find = _find(pattern)
    each = (
        'for f; do printf %s "$f" | base64 -w0 && echo && '
        f'head -c {LIVE_LIMIT + 1} -- "$f" | base64 -w0 && echo || exit 1; done'
    )
    # A link is not followed to its file, as in a tree; -L would.
    files = f"-type f -not -xtype l -exec sh -c {shlex.quote(each)} sh {{}} +"
    script = f"if {there}; then {find} {files} && echo {_END}; else echo {_END}; fi | head -c {LIVE_LIMIT * 3 // 2}"
    lines = guest.output(script).split("\n")
    if lines[-2:] != [_END, ""]:
        raise HarnessError(
            f"its files cannot all be read in the guest, or are more than {LIVE_LIMIT // 1024} KiB",
            where=pattern,
            hint="give a narrower glob",
        )
    for name, content in zip(lines[:-2:2], lines[1:-2:2], strict=True):
        yield _decoded(name).decode(errors="replace"), _decoded(content)


def _find(pattern: str) -> tuple[str, str]:
    """A shell's test whether there is anything to look at, and a call of find(1) that finds what a Tree's glob does."""
    literal, wild = tree.split(pattern)
    top = shlex.quote(literal)
    if not wild:
        # A link is itself what has the name.
        return f"[ -e {top} ] || [ -L {top} ]", f"find -P {top} -maxdepth 0"
    prefix = "" if literal == "/" else tree.posix_escaped(literal)
    regex = shlex.quote(f"{prefix}/{tree.posix_regex(wild)}")
    depth = "" if "**" in wild else f"-maxdepth {len(wild)}"
    # As a Tree: a wildcard of one folder goes through links, any number of folders does not.
    links = "-H" if "**" in wild else "-L"
    skipped = " -o ".join(f"-path {each}" for each in _KERNELS)
    prune = f"\\( {skipped} \\) -prune -o" if literal == "/" else ""
    test = f"{depth} -ignore_readdir_race -regextype posix-extended {prune} -regex {regex}"
    return f"[ -d {top} ]", f"LC_ALL=C find {links} {top} {test}"
