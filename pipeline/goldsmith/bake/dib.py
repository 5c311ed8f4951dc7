"""diskimage-builder makes the tree.

It runs in a jail of its own (mount and PID namespace), so that a killed build leaves no mount and no process, and never
touches a loop device: of its phases up to the tar, only the block device is replaced (element tree-only).
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake import dib_block_device
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
    */dib-block-device.py,getval,*) [ ! -e "$answers/$3" ] || exec cat "$answers/$3" ;;
    */dib-block-device.py,umount, | */dib-block-device.py,cleanup,) exit ;;
esac
exec {python} "$@"
"""
#: that every build is given
_BESIDE = ("tree-only", "kept-downloads", "work-beside")


@dataclass(frozen=True)
class Tree:
    """What DIB made: a tar of the root file system (without /proc and /sys), and the folder of its manifests."""

    tar: Path
    manifests: Path


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
    initramfs: bool = True,
) -> Tree:
    """Run disk-image-create in ``jail``; ``work`` is an empty folder for everything it writes.

    ``environment`` holds the DIB_ variables.  Without ``initramfs`` kernels of Debian's kin have none.  Raises
    CommandFailedError with the end of DIB's log.
    """
    scratch = work / "dib"
    scratch.mkdir()
    tools = Path(sys.executable).parent
    kept = cache / "kept" / "-".join(environment.get(name, "") for name in ("DISTRO_NAME", "DIB_RELEASE"))
    interpreter = scratch / "python"
    interpreter.write_text(
        _INTERPRETER.format(python=shlex.quote(sys.executable), ask=shlex.quote(dib_block_device.__file__))
    )
    interpreter.chmod(0o755)
    variables = {
        **environment,
        "DIB_PYTHON_EXEC": str(interpreter),
        "DIB_KEPT_DOWNLOADS": str(kept),
        "DIB_MMDEBSTRAP_EXTRA_ARGS": " ".join([environment.get("DIB_MMDEBSTRAP_EXTRA_ARGS", ""), *_mmdebstrap(kept)]),
        "ELEMENTS_PATH": ":".join(map(str, [*elements_path, OWN_ELEMENTS])),
        # DIB writes to ~/.cache; the caller's own is none of its business.
        "HOME": str(scratch),
        "TMP_DIR": str(scratch),
        "DIB_IMAGE_CACHE": str(cache),
        "DIB_LOCKFILES": str(scratch / "locks"),
        "DIB_NO_TIMESTAMP": "1",
        "DIB_MANIFEST_SAVE_DIR": str(scratch / "manifests"),
    }
    path = jail.environment.get("PATH", "")
    argv = [str(tools / "disk-image-create"), "-n", "-a", architecture, "-t", "tar", "-o", str(scratch / "tree")]
    if packages:
        argv += ["-p", ",".join(packages)]
    jail.run(
        [*argv, *elements, *_BESIDE, "one-initramfs" if initramfs else "no-initramfs"],
        env={**variables, "PATH": f"{tools}:{path}"},
        cwd=work,
        deadline=BUILD_DEADLINE,
        log_file=log_file,
        hint=f"the whole log of the build is {log_file}",
    )
    # DIB's manifests are readable by root alone.
    manifests = scratch / "manifests"
    jail.run(["chmod", "-R", "a+rX", manifests], deadline=60)
    return Tree(scratch / "tree.tar", manifests)


def _mmdebstrap(kept: Path) -> list[str]:
    """Options with which mmdebstrap takes packages and lists from ``kept``, and leaves there what it downloads."""
    hooks = OWN_ELEMENTS / "kept-downloads"
    if re.search(r"[^\w./+-]", f"{hooks}{kept}"):
        # They go through two shells: with a name that these would take apart all is downloaded.
        return []
    run = {kind: f"--{kind}-hook='{hooks}/mmdebstrap-{kind} {kept} \"$1\"'" for kind in ("setup", "customize")}
    return ["--skip=essential/unlink", "--skip=cleanup/apt/lists", *run.values()]
