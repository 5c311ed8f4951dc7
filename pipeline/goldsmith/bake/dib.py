"""diskimage-builder makes the tree.

It runs in a jail of its own (mount and PID namespace), so that a killed build leaves no mount and no process, and never
touches a loop device: the block device is replaced, and instead of an image it leaves the tree itself (element
tree-only).
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from goldsmith.bake import dib_block_device
from goldsmith.errors import HarnessError
from goldsmith.host.jail import Jail

#: generous: 70 s were seen with a near mirror on two cores
BUILD_DEADLINE = 3600.0

#: elements that a build is given beside the recipe's
OWN_ELEMENTS = Path(__file__).parent / "dib_elements"
#: What DIB starts for each piece of its own Python.  Its questions to a block device have their answers at hand.
_INTERPRETER = """\
#!/bin/sh
answers=$TMP_BUILD_DIR/block-device-answers
case ${{1-}},${{2-}},${{3-}} in
    */dib-block-device.py,init,) exec {python} {ask} "$answers" ;;
    */dib-block-device.py,getval,image-path) echo none; exit ;;
    */dib-block-device.py,getval,*) [ ! -e "$answers/$3" ] || exec cat "$answers/$3" ;;
    */dib-block-device.py,umount, | */dib-block-device.py,cleanup,) exit ;;
esac
exec {python} "$@"
"""
#: What DIB runs when nothing is mounted in the tree any more; also where it failed, which the element's mark tells.
_LEAVE = """\
#!/bin/sh
set -eu
[ -e "$TMP_BUILD_DIR/tree-is-finished" ] || exit 0
mv "$TMP_BUILD_DIR/mnt" {tree}.part
mv {tree}.part {tree}
"""
#: that every build is given; no-final-image is DIB's own
_BESIDE = ("tree-only", "no-final-image", "kept-downloads", "work-beside")
#: where a tree says that its packages are installed, below a build's scratch folder; it is the folder two above
_INSTALLED = "dib_build.*/mnt/tmp/packages-are-installed"
#: seconds between looks at how far it is
_LOOK = 0.05


@dataclass(frozen=True)
class Tree:
    """What DIB made: the folder that is the root file system, owned by root, and the folder of its manifests."""

    root: Path
    manifests: Path


class Follower(Protocol):
    """Goes on with a tree while DIB still runs."""

    def installed(self, root: Path) -> None:
        """Of ``root`` all packages are installed, and only the last scripts run; quick, others wait.

        It is said where the folder stays on its file system.
        """

    def left(self, tree: Tree) -> None:
        """DIB has nothing more to do with it, and ends."""


def build_tree(
    jail: Jail,
    work: Path,
    *,
    elements: Sequence[str],
    packages: Sequence[str],
    environment: Mapping[str, str],
    elements_path: Sequence[Path],
    cache: Path,
    architecture: str,
    log_file: Path,
    follower: Follower,
    initramfs: bool = True,
) -> None:
    """Run disk-image-create in ``jail``; ``work`` is an empty folder for everything it writes.

    ``follower`` is told how far it is.  ``environment`` holds the DIB_ variables.  Without ``initramfs`` kernels of
    Debian's kin have none.  Raises CommandFailedError with the end of DIB's log, also where it fails at the very end.
    """
    scratch = work / "dib"
    scratch.mkdir()
    tools = Path(sys.executable).parent
    kept = cache / "kept" / "-".join(environment.get(name, "") for name in ("DISTRO_NAME", "DIB_RELEASE"))
    tree = Tree(scratch / "tree", scratch / "manifests")
    python, ask = shlex.quote(sys.executable), shlex.quote(dib_block_device.__file__)
    interpreter = _program(scratch / "python", _INTERPRETER.format(python=python, ask=ask))
    leave = _program(scratch / "leave", _LEAVE.format(tree=shlex.quote(str(tree.root))))
    variables = {
        **environment,
        "DIB_PYTHON_EXEC": str(interpreter),
        "EXTRA_DETACH": str(leave),
        "DIB_KEPT_DOWNLOADS": str(kept),
        "DIB_MMDEBSTRAP_EXTRA_ARGS": " ".join([environment.get("DIB_MMDEBSTRAP_EXTRA_ARGS", ""), *_mmdebstrap(kept)]),
        "ELEMENTS_PATH": ":".join(map(str, [*elements_path, OWN_ELEMENTS])),
        # DIB writes to ~/.cache; the caller's own is none of its business.
        "HOME": str(scratch),
        "TMP_DIR": str(scratch),
        "DIB_IMAGE_CACHE": str(cache),
        "DIB_LOCKFILES": str(scratch / "locks"),
        "DIB_NO_TIMESTAMP": "1",
        "DIB_MANIFEST_SAVE_DIR": str(tree.manifests),
    }
    # Of a tmpfs that DIB mounts, the tree would have to be copied.
    stays = jail.run(["stat", "--file-system", "--format=%T", scratch], deadline=30).stdout.strip() == "tmpfs"
    if stays:
        variables["DIB_NO_TMPFS"] = "1"
    path = jail.environment.get("PATH", "")
    argv = [str(tools / "disk-image-create"), "-n", "-a", architecture, "-t", "raw", "-o", str(scratch / "image")]
    if packages:
        argv += ["-p", ",".join(packages)]
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(
            jail.run,
            [*argv, *elements, *_BESIDE, "one-initramfs" if initramfs else "no-initramfs"],
            env={**variables, "PATH": f"{tools}:{path}"},
            cwd=work,
            deadline=BUILD_DEADLINE,
            log_file=log_file,
            hint=f"the whole log of the build is {log_file}",
        )
        is_told = not stays
        while not tree.root.exists() and not done.done():
            if not is_told and (installed := next(scratch.glob(_INSTALLED), None)):
                follower.installed(installed.parent.parent)
                is_told = True
            wait([done], timeout=_LOOK)
        if is_left := tree.root.exists():
            # DIB's manifests are readable by root alone.
            jail.run(["chmod", "-R", "a+rX", tree.manifests], deadline=60)
            follower.left(tree)
        done.result()
    if not is_left:
        raise HarnessError("diskimage-builder left no tree", where=str(log_file), hint="look into its log")


def _program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def _mmdebstrap(kept: Path) -> list[str]:
    """Options with which mmdebstrap takes packages and lists from ``kept``, and leaves there what it downloads."""
    hooks = OWN_ELEMENTS / "kept-downloads"
    if re.search(r"[^\w./+-]", f"{hooks}{kept}"):
        # They go through two shells: with a name that these would take apart all is downloaded.
        return []
    run = {kind: f"--{kind}-hook='{hooks}/mmdebstrap-{kind} {kept} \"$1\"'" for kind in ("setup", "customize")}
    return ["--skip=essential/unlink", "--skip=cleanup/apt/lists", *run.values()]
