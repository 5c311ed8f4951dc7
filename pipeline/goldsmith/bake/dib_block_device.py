"""dib_block_device.py FOLDER: what diskimage-builder asks its block device before the tree is made, all in one go.

It asks each question by an interpreter of its own, which takes longer to start than to answer; a build that makes a
tree alone has none of the answers to compute anew.  Run by the environment that diskimage-builder is in, with the
parameters that it gave; each answer becomes a file of FOLDER.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

QUESTIONS = ("root-label", "root-fstype", "boot-label", "mount-points")


def _ask(*words: str) -> str:
    # Not at the top: this module is looked at without diskimage-builder too.
    from diskimage_builder.block_device.cmd import main

    said = io.StringIO()
    sys.argv = ["dib-block-device", *words]
    with contextlib.redirect_stdout(said):
        main()
    return said.getvalue()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir()
    _ask("init")
    for question in QUESTIONS:
        (folder / question).write_text(_ask("getval", question))
