"""Flipped, truncated or removed, before a run or in its middle: parts of the store are made anew and never used."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import test_bake
from bake_help import EPOCH, make_plan
from test_bake import Oven

from goldsmith import cli
from goldsmith.bake import base_disk
from goldsmith.bake import build as bake
from goldsmith.bake.archive import Archive
from goldsmith.bake.build import Built, Standing
from goldsmith.errors import CommandFailedError, HarnessError
from goldsmith.host.progress import Progress
from goldsmith.store.artefacts import ArtefactStore
from goldsmith.store.watch import ChangedError

pytestmark = test_bake.pytestmark
oven = test_bake.oven


def flip(path: Path) -> None:
    """A bit in the middle, until the kernel's clock for files has ticked."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "removed": Path.unlink,
    "all of it removed": lambda path: shutil.rmtree(path.parent),
}
# One that is being written has another name.
PARTS = {"tree": "tree/[0-9a-f]*/*.zst", "disk": "disk/[0-9a-f]*/*.qcow2", "image": "image/[0-9a-f]*/*.qcow2"}


@dataclass
class Kitchen:
    """Real base tree and base disk, of a pretended diskimage-builder; ``meanwhile`` is called where they are used."""

    oven: Oven
    monkeypatch: pytest.MonkeyPatch
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    disks: int = 0
    images: int = 0
    said: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        make_base, lay_over, make_disk = base_disk.make_base, self.oven.lay_over, self.oven.make_disk

        def count(*words: object, **named: object) -> None:
            self.disks += 1
            make_base(*words, **named)  # type: ignore[arg-type]

        def over(*words: object, **named: object) -> object:
            if self.meanwhile:
                self.meanwhile.pop(0)()
            return lay_over(*words, **named)  # type: ignore[arg-type]

        def image(*words: object, **named: object) -> None:
            self.images += 1
            make_disk(*words, **named)  # type: ignore[arg-type]

        standing = Standing(None, ("no image of this recipe was built yet",), Archive({"s": "a" * 64}, EPOCH, "amd64"))
        self.monkeypatch.setattr(base_disk, "make_base", count)
        self.monkeypatch.setattr(bake, "lay_over", over)
        self.monkeypatch.setattr(bake, "make_disk", image)
        self.monkeypatch.setattr(bake, "require_space", lambda *words: None)
        self.monkeypatch.setattr(bake, "look", lambda *words: standing)

    @property
    def store(self) -> ArtefactStore:
        return ArtefactStore(self.oven.settings.cache_dir / "artefacts")

    def build(self, of_image: str = "1") -> Built:
        """``of_image`` is an input of the image, not of its base."""
        return bake.build(make_plan(of_image=of_image), self.oven.settings, Progress(stream=self.said))

    def part(self, name: str) -> Path:
        (found,) = self.store.root.glob(PARTS[name])
        return found

    @property
    def made(self) -> tuple[int, int, int]:
        return self.oven.trees, self.disks, self.images

    def require_sound(self) -> None:
        """All that the store has is whole, and nothing half-written lies beside it."""
        stored = self.store.stored()
        assert {each.kind for each in stored} >= set(PARTS)
        assert all(self.store.get(each.kind, each.digest) for each in stored)
        assert list(self.store.root.glob("*/.part-*")) == []
        assert self.oven.unpacked == test_bake.TREE


@pytest.fixture
def kitchen(oven: Oven, monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    return Kitchen(oven, monkeypatch)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("part", "made"), [("tree", (2, 1, 2)), ("disk", (1, 2, 2)), ("image", (1, 1, 2))])
def test_what_was_damaged_before_is_made_anew(
    kitchen: Kitchen, part: str, damage: str, made: tuple[int, int, int]
) -> None:
    first = kitchen.build()
    DAMAGES[damage](kitchen.part(part))
    second = kitchen.build("1" if part == "image" else "2")
    assert not second.cached
    assert second.image.read_bytes() == Path("/etc/hostname").read_bytes()
    assert second.manifest.sha256 == first.manifest.sha256
    assert kitchen.made == made
    kitchen.require_sound()


@pytest.fixture
def warm(kitchen: Kitchen) -> Kitchen:
    """What has the base in its store."""
    kitchen.build("0")
    return kitchen


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("part", "made"), [("tree", (2, 1, 3)), ("disk", (1, 2, 3))])
def test_what_is_damaged_in_the_middle_is_made_anew(
    warm: Kitchen, part: str, damage: str, made: tuple[int, int, int]
) -> None:
    warm.meanwhile.append(lambda: DAMAGES[damage](warm.part(part)))
    built = warm.build()
    assert f"the base {part} was changed or removed while the bake used it; once more" in warm.said.getvalue()
    assert warm.made == made
    assert {path.name for path in built.image.parent.iterdir()} == {bake.IMAGE, bake.MANIFEST, "artefact.json"}
    # The steps are those of the bake that counts.
    assert [step.name for step in built.manifest.steps].count("disk") == 1
    warm.require_sound()
    assert warm.build().cached


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_disk_that_was_made_of_a_damaged_tree_is_not_kept(
    warm: Kitchen, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    make_base, damages = base_disk.make_base, [damage]

    def damaged(*words: object, **named: object) -> None:
        if damages:
            DAMAGES[damages.pop()](warm.part("tree"))
        make_base(*words, **named)  # type: ignore[arg-type]

    shutil.rmtree(warm.part("disk").parent)
    monkeypatch.setattr(base_disk, "make_base", damaged)
    warm.build()
    # One disk at first, one of the damaged tree, one of the new one.
    assert (warm.oven.trees, warm.disks) == (2, 3)
    warm.require_sound()


def test_gc_of_all_in_the_middle_of_a_build(
    warm: Kitchen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOLDSMITH_CACHE", str(warm.oven.settings.cache_dir))

    def collect() -> None:
        assert cli.main(["gc", "--all"]) == 0

    warm.meanwhile.append(collect)
    built = warm.build()
    said = capsys.readouterr().out
    assert "tree " in said and "disk " in said
    assert "the base tree" in warm.said.getvalue() and "were changed or removed" in warm.said.getvalue()
    assert warm.made == (2, 2, 3)
    warm.require_sound()
    # Afterwards it is nobody's, and goes.
    assert cli.main(["gc", "--all"]) == 0
    assert not built.image.exists()


def test_a_failure_because_of_it_is_none(warm: Kitchen) -> None:
    def fail() -> None:
        warm.part("disk").unlink()
        raise CommandFailedError("qemu-img convert", status="exited 1", tail="Could not open")

    warm.meanwhile.append(fail)
    warm.build()
    assert warm.made == (1, 2, 2)
    warm.require_sound()


@pytest.mark.parametrize("trouble", [CommandFailedError("tar", status="exited 2"), KeyboardInterrupt()])
def test_a_failure_that_has_another_cause_passes_through(kitchen: Kitchen, trouble: BaseException) -> None:
    def fail() -> None:
        raise trouble

    kitchen.meanwhile.append(fail)
    with pytest.raises(type(trouble)) as caught:
        kitchen.build()
    assert caught.value is trouble
    assert kitchen.made == (1, 1, 0)
    assert "once more" not in kitchen.said.getvalue()


def test_at_most_once_more(warm: Kitchen) -> None:
    warm.meanwhile += [lambda: flip(warm.part("disk")), lambda: flip(warm.part("tree"))]
    with pytest.raises(HarnessError, match=r"the base tree was changed or removed .* twice") as caught:
        warm.build()
    assert not isinstance(caught.value, ChangedError)
    assert str(warm.oven.settings.cache_dir) in str(caught.value) and "leave the cache alone" in str(caught.value)
    assert warm.images == 3
    assert [each.kind for each in warm.store.stored()].count("image") == 1
    warm.build()
    warm.require_sound()
