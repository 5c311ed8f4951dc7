"""qemu-img on files of others: a format that it is told, a deadline, and bounded memory."""

from __future__ import annotations

import os
from collections.abc import Sequence

from goldsmith.host.run import Completed, run

#: bytes of address space; Nova gives qemu-img 1 GiB for a look (virt/images.py), a conversion keeps caches beside it
_MEMORY = 4 * 2**30


def qemu_img(words: Sequence[str | os.PathLike[str]], deadline: float) -> Completed:
    """Run it to its end, however that is; ``deadline`` in seconds.  Its paths must be absolute.

    A relative path with a colon would be a protocol to it.
    """
    limits = ["prlimit", f"--as={_MEMORY}", "--core=0"]
    return run([*limits, "qemu-img", *words], deadline=deadline, check=False, hint="install qemu-utils")


def reason(done: Completed) -> str:
    """What it says is wrong, in a line."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[0].removeprefix("qemu-img: ") if lines else f"qemu-img exited {done.returncode}"
