"""Two processes that build the same recipe at once: the work is done once, and a death holds nobody up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bake_help import RELEASE, Mirror, make_plan

from goldsmith.bake import build as bake
from goldsmith.host.apt_sources import Mirrors
from goldsmith.host.deadline import Deadline
from goldsmith.host.progress import Progress
from goldsmith.settings import from_environment
from goldsmith.store.manifest import Manifest, write


class Pair:
    """Processes that build; each bake says so in ``bakes``, and goes on when it may."""

    def __init__(self, root: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.settings = from_environment({"HOME": str(root), "GOLDSMITH_MIRROR": mirror.url})
        self.bakes, self.go = root / "bakes", root / "go"
        self.bakes.touch()
        mirror.publish(RELEASE, {"bash": "1"})
        monkeypatch.setattr(bake, "host_mirrors", lambda distribution: Mirrors(None, None))
        monkeypatch.setattr(bake, "require_space", lambda *words: None)
        monkeypatch.setattr(bake, "_bake", self._bake)

    def _bake(
        self, plan: object, archive: object, settings: object, progress: object, folder: Path, **_: object
    ) -> None:
        with self.bakes.open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        while not self.go.exists():
            time.sleep(0.01)
        made = make_plan()
        (folder / bake.IMAGE).write_bytes(b"1")
        facts = {"base": {"distribution": "debian"}, "elements": (), "firmware": ("bios",), "goldsmith_version": "0"}
        digests = {"recipe_digest": made.digest, "sha256": "a" * 64, "sha512": "a" * 128}
        document = {**facts, **digests, "name": "test", "inputs": made.inputs, "size": 1, "virtual_size": 1}
        write(folder / bake.MANIFEST, Manifest.model_validate(document))

    def start(self) -> int:
        child = os.fork()
        if child == 0:
            # Nothing of pytest's may run in the child.
            status = 1
            try:
                bake.build(make_plan(), self.settings, Progress(quiet=True))
                status = 0
            finally:
                os._exit(status)
        return child

    def baking(self) -> list[int]:
        return [int(line) for line in self.bakes.read_text().splitlines()]

    def wait_for(self, holds: Callable[[], bool], what: str) -> None:
        Deadline.after(30).wait_for(holds, what, interval=0.01)


@pytest.fixture
def pair(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return Pair(tmp_path, mirror, monkeypatch)


def _end(child: int) -> int:
    return os.waitpid(child, 0)[1]


def _waits_for_a_lock(child: int) -> bool:
    return any(f" {child} " in line and "->" in line for line in Path("/proc/locks").read_text().splitlines())


def test_the_work_is_done_once(pair: Pair) -> None:
    first = pair.start()
    pair.wait_for(lambda: bool(pair.baking()), "the first bakes")
    second = pair.start()
    pair.wait_for(lambda: _waits_for_a_lock(second), "the second waits")
    pair.go.touch()
    assert (_end(first), _end(second)) == (0, 0)
    assert pair.baking() == [first]


def test_the_other_goes_on_where_one_is_killed(pair: Pair) -> None:
    first = pair.start()
    pair.wait_for(lambda: bool(pair.baking()), "the first bakes")
    second = pair.start()
    pair.wait_for(lambda: _waits_for_a_lock(second), "the second waits")
    os.kill(first, signal.SIGKILL)
    assert os.WTERMSIG(_end(first)) == signal.SIGKILL
    pair.wait_for(lambda: pair.baking() == [first, second], "the second bakes")
    pair.go.touch()
    assert _end(second) == 0
    (image,) = (pair.settings.cache_dir / "artefacts").glob("*/*/image.qcow2")
    assert not image.parent.name.startswith(".part-")
