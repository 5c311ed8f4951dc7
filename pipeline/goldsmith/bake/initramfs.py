"""The initramfs of a base tree's kernels, made beside the disk of that tree.

It takes longer than the disk and needs nothing of it; so a build leaves it out (element no-initramfs), and neither
waits for the other.  It is begun when the packages are installed: the last scripts of a build change nothing that it is
made of, and where they did, it is made once more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake import dib
from goldsmith.bake.base_tree import Identity
from goldsmith.bake.tree_changes import Entry, changes, listing
from goldsmith.errors import CommandFailedError
from goldsmith.host.files import document_digest
from goldsmith.host.jail import Jail
from goldsmith.host.run import tail
from goldsmith.recipe.plan import Plan

KIND = "initramfs"
FILE = "initramfs.tar"
_CODE = ("code:bake/initramfs.py", "code:bake/initramfs.sh")

_SCRIPT = Path(__file__).with_name("initramfs.sh")
_MAKE = dib.OWN_ELEMENTS / "one-initramfs" / "finalise.d" / "00-one-initramfs"
_PROGRAM = ("usr/sbin/update-initramfs", "sbin/update-initramfs")
_SECONDS = 900.0
_NO_OVERLAY = 75
#: what may change after it was made: no program that makes an initramfs reads it
_OF_NO_CONCERN = re.compile(
    r"tmp/.*|etc/(machine-id|resolv\.conf(\.ORIG)?|(apt|dpkg|dib-manifests)(/.*)?)|usr/local/s?bin(/.*)?"
    r"|usr/sbin/(policy-rc\.d|start-stop-daemon(\.REAL)?|initctl(\.REAL)?)"
    r"|var/(log|cache)(/.*)?|var/lib/(apt|dbus|dpkg)(/.*)?"
)


@dataclass(frozen=True)
class Early:
    """``tar`` is what the initramfs adds to a tree that was as ``inventory`` says."""

    tar: Path
    inventory: Mapping[str, str]


def key_of(identity: Identity, plan: Plan) -> str | None:
    """That by which the store has it; None where the tree has none."""
    code = {name: digest for name, digest in plan.inputs.items() if name in _CODE}
    return document_digest([identity.key, code]) if identity.key else None


def is_wanted(tree: Path) -> bool:
    """Whether a kernel in the tree has no initramfs, and the tree has Debian's program that makes it."""
    boot = tree / "boot"
    kernels = [path.name.removeprefix("vmlinuz-") for path in boot.glob("vmlinuz-*") if path.is_file()]
    lacking = any(not (boot / f"initrd.img-{version}").exists() for version in kernels)
    return lacking and any(os.access(tree / name, os.X_OK) for name in _PROGRAM)


def make_beside(jail: Jail, tree: Path, scratch: Path, target: Path, *, epoch: int) -> bool:
    """Write a tar of what the initramfs adds to ``tree`` to ``target``; the tree, which may be read meanwhile, stays.

    ``scratch`` is an empty folder; ``epoch`` the time, in seconds, that files are stamped with.  False, and nothing is
    written, where the kernel has no overlays there.  Raises CommandFailedError where the program fails.
    """
    return _run(jail, [_MAKE, tree, scratch, target], epoch)


def make_within(jail: Jail, tree: Path, before: dict[str, Entry], scratch: Path, target: Path, *, epoch: int) -> None:
    """Do it in ``tree`` itself, whose listing ``before`` that is given, and write the same tar."""
    _run(jail, [_MAKE, tree], epoch)
    names = scratch / "names"
    done = changes(before, listing(jail, tree))
    names.write_bytes(_lines(entry.path for entry in (*done.folders, *done.made)))
    words = ["--numeric-owner", "--no-recursion", "--null", "--verbatim-files-from"]
    jail.run(["tar", "-C", tree, *words, "--files-from", names, "-cf", target], deadline=_SECONDS)


def make_early(jail: Jail, tree: Path, scratch: Path, target: Path, *, epoch: int) -> Early | None:
    """As ``make_beside``, of a tree that is not finished, and may be renamed meanwhile; None where it was not made."""
    if not is_wanted(tree):
        return None
    here, work = scratch / "tree", scratch / "work"
    for folder in (here, work):
        folder.mkdir()
    jail.run(["mount", "--bind", tree, here], deadline=30)
    try:
        before = inventory(jail, here)
        return Early(target, before) if make_beside(jail, here, work, target, epoch=epoch) else None
    finally:
        jail.run(["umount", "--lazy", here], deadline=30)


def holds(early: Early, finished: Mapping[str, str]) -> bool:
    """Whether the initramfs of the tree, of which that is the inventory when it is finished, is that one."""
    paths = early.inventory.keys() | finished.keys()
    changed = (path for path in paths if early.inventory.get(path) != finished.get(path))
    return all(_OF_NO_CONCERN.fullmatch(path) for path in changed)


def inventory(jail: Jail, tree: Path) -> dict[str, str]:
    """Of each path what changes with the file; a folder's is in its files but for its mode and owner."""
    shown = ["-type", "d", "-printf", r"%m,%U,%G %P\0", "-o", "-printf", r"%i,%C@,%m,%y %P\0"]
    said = jail.run(["find", tree, "-xdev", *shown], deadline=_SECONDS).stdout
    return {path: facts for facts, _, path in (entry.partition(" ") for entry in said.split("\0") if entry)}


def _lines(paths: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(f".{path}") + b"\0" for path in sorted(paths))


def _run(jail: Jail, words: list[Path], epoch: int) -> bool:
    done = jail.run(["bash", _SCRIPT, *words], deadline=_SECONDS, env={"SOURCE_DATE_EPOCH": str(epoch)}, check=False)
    if done.returncode not in (0, _NO_OVERLAY):
        said = tail(done.stdout + done.stderr)
        raise CommandFailedError("making the initramfs", status=f"exited {done.returncode}", tail=said)
    return done.returncode == 0
