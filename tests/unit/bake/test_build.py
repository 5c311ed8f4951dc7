"""When an image is built, when it is not, and what a build leaves: with a bake that only pretends."""

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from bake_help import EPOCH, RELEASE, Mirror, make_plan

from goldsmith.bake import build as bake
from goldsmith.bake.archive import Archive
from goldsmith.bake.build import Built, build, look, mirrors_for
from goldsmith.bake.offline.session import Follow
from goldsmith.errors import ExitCode, HostError, InputError
from goldsmith.host.apt_sources import Mirrors
from goldsmith.host.progress import Progress
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings, from_environment
from goldsmith.store.manifest import Manifest, PackageFact, write


def manifest_of(plan: Plan, content: bytes, packages: dict[str, str]) -> Manifest:
    return Manifest(
        name=plan.recipe.name,
        recipe_digest=plan.digest,
        inputs=plan.inputs,
        base={"distribution": "debian"},
        elements=(),
        packages=tuple(PackageFact(name=n, version=v, architecture="amd64") for n, v in packages.items()),
        firmware=("bios",),
        sha256=hashlib.sha256(content).hexdigest(),
        sha512=hashlib.sha512(content).hexdigest(),
        size=len(content),
        virtual_size=2**30,
        goldsmith_version="0",
    )


@dataclass
class Bakery:
    """A cache, a mirror, and a bake that writes ``packages`` as if they were installed, or calls ``trouble``."""

    settings: Settings
    mirror: Mirror
    packages: dict[str, str] = field(default_factory=lambda: {"bash": "1"})
    baked: list[Archive | None] = field(default_factory=list)
    trouble: Callable[[], None] | None = None
    said: io.StringIO = field(default_factory=io.StringIO)

    def bake(
        self,
        plan: Plan,
        archive: Archive | None,
        settings: Settings,
        progress: Progress,
        folder: Path,
        *,
        again: bool,
        recover_registry: bool,
        follow: Follow | None,
    ) -> None:
        assert not recover_registry and follow is None
        self.baked.append(archive)
        content = f"image {len(self.baked)}".encode()
        (folder / bake.IMAGE).write_bytes(content)
        if self.trouble:
            self.trouble()
        write(folder / bake.MANIFEST, manifest_of(plan, content, self.packages))

    def build(self, plan: Plan | None = None, *, again: bool = False) -> Built:
        return build(plan or make_plan(), self.settings, Progress(stream=self.said), again=again)

    def images(self) -> list[Path]:
        """All images of the store, half-written ones too."""
        return sorted((self.settings.cache_dir / "artefacts").rglob(bake.IMAGE))

    def leave(self) -> None:
        """The mirror is gone from now on."""
        for path in self.mirror.files:
            self.mirror.files[path] = 503


@pytest.fixture
def bakery(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bakery:
    settings = from_environment({"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "GOLDSMITH_MIRROR": mirror.url})
    made = Bakery(settings, mirror)
    monkeypatch.setattr(bake, "_bake", made.bake)
    monkeypatch.setattr(bake, "host_mirrors", lambda distribution: Mirrors(None, None))
    # What a real build needs is asked for elsewhere; the host of the tests may be small.
    monkeypatch.setattr(bake, "require_space", lambda *words: None)
    mirror.publish(RELEASE, {"bash": "1", "dash": "1"})
    return made


def test_the_first_build_and_the_second(bakery: Bakery) -> None:
    first = bakery.build()
    assert (first.cached, first.reasons) == (False, ("no image of this recipe was built yet",))
    assert first.image.read_bytes() == b"image 1"
    assert first.manifest.packages[0].name == "bash"
    second = bakery.build()
    assert (second.cached, second.reasons) == (True, ())
    assert (second.image, second.manifest) == (first.image, first.manifest)
    assert len(bakery.baked) == 1


def test_the_bake_gets_the_archives_state(bakery: Bakery) -> None:
    bakery.build()
    (archive,) = bakery.baked
    assert archive is not None
    assert archive.epoch == EPOCH
    assert set(archive.suites) == {f"{bakery.mirror.url}/dists/{suite}" for suite in (RELEASE, f"{RELEASE}-updates")}


def test_a_build_says_why(bakery: Bakery) -> None:
    bakery.build(make_plan(**{"element:a:install.d/50-a": "1"}))
    assert "test: built because: no image of this recipe was built yet\n" in bakery.said.getvalue()
    bakery.said.truncate(0)
    bakery.build(make_plan(**{"element:a:install.d/50-a": "2"}))
    assert "test: built because: element a: install.d/50-a changed\n" in bakery.said.getvalue()
    bakery.said.truncate(0)
    bakery.build(make_plan(**{"element:a:install.d/50-a": "2"}))
    assert "because" not in bakery.said.getvalue()
    bakery.build(make_plan(**{"element:a:install.d/50-a": "2"}), again=True)
    assert "test: built because: it was asked for (--again)\n" in bakery.said.getvalue()


def test_of_many_reasons_a_few_are_said(bakery: Bakery) -> None:
    bakery.build(make_plan())
    bakery.said.truncate(0)
    bakery.build(make_plan(**{f"tool:t{number}": "1" for number in range(9)}))
    said = [line.strip("\0 ") for line in bakery.said.getvalue().splitlines() if "..." not in line]
    assert said == ["test: built because:", *(f"t{n}: added" for n in range(4)), "and 5 more: goldsmith plan --why"]


def test_look_builds_nothing(bakery: Bakery) -> None:
    standing = look(make_plan(), bakery.settings, Progress(stream=bakery.said))
    assert standing.artefact is None
    assert standing.reasons == ("no image of this recipe was built yet",)
    assert bakery.baked == bakery.images() == []


def test_a_newer_package_is_a_reason(bakery: Bakery) -> None:
    first = bakery.build()
    bakery.mirror.publish(f"{RELEASE}-updates", {"bash": "2", "dash": "2"})
    bakery.packages = {"bash": "2"}
    second = bakery.build()
    assert (second.cached, second.reasons) == (False, ("newer package: bash 1 -> 2",))
    assert second.image.read_bytes() == b"image 2"
    assert first.image.read_bytes() == b"image 1", "what is in the store is never changed"
    assert bakery.build().cached


def test_an_archive_that_moved_elsewhere_is_none(bakery: Bakery) -> None:
    bakery.build()
    bakery.mirror.publish(f"{RELEASE}-updates", {"dash": "2"})
    assert bakery.build().cached
    assert "package index" in bakery.said.getvalue()
    # The state is remembered: its index is not read a second time.
    bakery.said.truncate(0)
    assert bakery.build().cached
    assert "package index" not in bakery.said.getvalue()
    assert len(bakery.baked) == 1


def test_an_input_that_differs_is_a_reason(bakery: Bakery) -> None:
    bakery.build(make_plan(packages="1"))
    built = bakery.build(make_plan(packages="2"))
    assert not built.cached
    assert built.reasons
    assert all("packages" in reason for reason in built.reasons)
    assert built.image.read_bytes() == b"image 2"


def test_a_recipe_that_is_again_what_it_was_needs_no_work(bakery: Bakery) -> None:
    first = bakery.build(make_plan(packages="1"))
    bakery.build(make_plan(packages="2"))
    back = bakery.build(make_plan(packages="1"))
    assert (back.cached, back.image) == (True, first.image)
    assert bakery.build(make_plan(packages="1")).cached
    assert len(bakery.baked) == 2


@pytest.mark.parametrize("damage", ["changed", "truncated", "removed"])
def test_a_damaged_image_is_built_anew(bakery: Bakery, damage: str) -> None:
    image = bakery.build().image
    if damage == "changed":
        image.write_bytes(b"image X")
    elif damage == "truncated":
        image.write_bytes(b"")
    else:
        image.unlink()
    built = bakery.build()
    assert built.reasons == ("the image is no longer in the store, or was damaged there",)
    assert (built.cached, built.image.read_bytes()) == (False, b"image 2")
    assert bakery.build().cached


def test_again_builds_whatever_is_there(bakery: Bakery) -> None:
    first = bakery.build()
    second = bakery.build(again=True)
    assert not second.cached
    assert (first.image.read_bytes(), second.image.read_bytes()) == (b"image 1", b"image 2")
    # the new one is the recipe's from now on
    assert bakery.build().image == second.image


def test_offline_with_an_image_there_is_a_note_and_no_build(bakery: Bakery) -> None:
    first = bakery.build()
    bakery.leave()
    second = bakery.build()
    assert (second.cached, second.image) == (True, first.image)
    assert "newer packages were not looked for: the mirror answers 503" in bakery.said.getvalue()
    assert len(bakery.baked) == 1


def test_an_index_that_cannot_be_read_stops_nobody_who_has_an_image(bakery: Bakery) -> None:
    bakery.build()
    index = bakery.mirror.publish(RELEASE, {"bash": "2"})
    bakery.mirror.files[index.removeprefix(bakery.mirror.root)] = b"no index"
    assert bakery.build().cached
    assert "newer packages were not looked for: the package index cannot be read" in bakery.said.getvalue()


@pytest.mark.parametrize("changed", [False, True])
def test_offline_without_the_image(bakery: Bakery, changed: bool) -> None:
    if changed:
        bakery.build(make_plan(packages="1"))
    bakery.leave()
    with pytest.raises(HostError, match="the mirror answers 503") as caught:
        bakery.build(make_plan(packages="2"))
    assert caught.value.exit_code == ExitCode.HOST == 3
    assert len(bakery.baked) == changed


def test_a_release_that_the_mirror_has_not(bakery: Bakery) -> None:
    plan = make_plan(recipe={"base": {"distribution": "debian", "release": "trixy"}})
    with pytest.raises(InputError, match="no release trixy") as caught:
        bakery.build(plan)
    assert caught.value.exit_code == ExitCode.BAD_INPUT == 2
    assert bakery.baked == []


def test_without_any_mirror_an_image_is_never_old(bakery: Bakery) -> None:
    bakery.settings = replace(bakery.settings, mirror=None)
    assert not bakery.build().cached
    assert bakery.baked == [None]
    assert bakery.build().cached


def test_a_bake_that_fails_leaves_nothing(bakery: Bakery) -> None:
    def fail() -> None:
        raise HostError("mke2fs is not installed")

    bakery.trouble = fail
    with pytest.raises(HostError, match="mke2fs"):
        bakery.build()
    assert bakery.images() == []
    bakery.trouble = None
    assert bakery.build().reasons == ("no image of this recipe was built yet",)


def test_a_failed_rebuild_keeps_the_image_that_was_there(bakery: Bakery) -> None:
    first = bakery.build()

    def fail() -> None:
        raise KeyboardInterrupt

    bakery.trouble = fail
    with pytest.raises(KeyboardInterrupt):
        bakery.build(again=True)
    assert bakery.images() == [first.image]
    assert bakery.build().image == first.image


def test_what_a_killed_build_left_is_swept_also_where_nothing_is_built(bakery: Bakery) -> None:
    bakery.build()
    left = bakery.settings.work_dir / "build-killed"
    (left / "work").mkdir(parents=True)
    assert bakery.build().cached
    assert not left.exists()
    assert f"removed {left}" in bakery.said.getvalue()


def test_what_a_killed_build_left_in_the_store_is_removed_and_said(bakery: Bakery) -> None:
    # The pretended bake dies as if by kill -9, in a process of its own.
    child = os.fork()
    if child == 0:
        bakery.trouble = lambda: os.kill(os.getpid(), signal.SIGKILL)
        bakery.build()
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (left,) = bakery.images()
    assert left.parent.name.startswith(".part-")
    built = bakery.build()
    assert bakery.images() == [built.image]
    assert f"left by a build that was killed: removed {left.parent}" in bakery.said.getvalue()


# Where a disk is full, in a small file system of its own.
ON_A_SMALL_DISK = """\
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from bake_help import make_plan
from goldsmith.bake import build
from goldsmith.errors import GoldsmithError
from goldsmith.host.progress import Progress
from goldsmith.settings import from_environment

build._bake = lambda *words, **named: print("baked")
try:
    build.build(make_plan(), from_environment(), Progress())
except GoldsmithError as error:
    print(error)
    print([str(path) for path in Path(sys.argv[2]).rglob("*")])
    sys.exit(int(error.exit_code))
"""


@pytest.mark.parametrize("full", ["GOLDSMITH_WORK", "GOLDSMITH_CACHE"])
def test_without_space_nothing_is_begun(mirror: Mirror, tmp_path: Path, full: str) -> None:
    if shutil.disk_usage(tmp_path).free < 6 * 2**30:
        pytest.skip("the disk of the tests is itself too small")
    small = tmp_path / "small"
    small.mkdir()
    settings = {"GOLDSMITH_WORK": str(tmp_path / "work"), "GOLDSMITH_CACHE": str(tmp_path / "cache")}
    mount = 'mount -t tmpfs -o size=8m none "$1" && shift && exec "$@"'
    program = [sys.executable, "-c", ON_A_SMALL_DISK, Path(__file__).parent, small]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", small, *program],
        env={
            **settings,
            full: f"{small}/below",
            "PATH": "/usr/bin:/bin",
            "GOLDSMITH_MIRROR": mirror.url,
            "no_proxy": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.HOST == 3, done.stderr
    what = {"GOLDSMITH_WORK": "building the image needs 4.0", "GOLDSMITH_CACHE": "keeping the image needs 1.0"}
    assert f"{small}/below: {what[full]} GiB and 0.0 GiB are free" in done.stdout
    assert f"hint: free some space, or set {'GOLDSMITH_WORK'}" in done.stdout
    assert "baked" not in done.stdout
    assert done.stdout.splitlines()[-1] == "[]", "something was left"


RECIPES_OWN = {"mirror": {"url": "http://mirror.example/recipe", "security_url": "http://mirror.example/recipe-sec"}}
RECIPES_ONE = {"mirror": {"url": "http://mirror.example/recipe"}}
OWN = Mirrors("http://mirror.example/host", "http://mirror.example/host-sec")


@pytest.mark.parametrize(
    ("recipe", "environment", "expected"),
    [
        ({}, {}, ("host", "host-sec")),
        ({}, {"GOLDSMITH_MIRROR": "env"}, ("env", "host-sec")),
        ({}, {"GOLDSMITH_MIRROR": "env", "GOLDSMITH_SECURITY_MIRROR": "env-sec"}, ("env", "env-sec")),
        ({}, {"GOLDSMITH_SECURITY_MIRROR": "env-sec"}, ("host", "env-sec")),
        (RECIPES_OWN, {}, ("recipe", "recipe-sec")),
        (RECIPES_ONE, {}, ("recipe", "host-sec")),
        (RECIPES_OWN, {"GOLDSMITH_MIRROR": "env", "GOLDSMITH_SECURITY_MIRROR": "env-sec"}, ("recipe", "recipe-sec")),
    ],
)
def test_whose_mirror_it_is(
    monkeypatch: pytest.MonkeyPatch,
    recipe: dict[str, object],
    environment: dict[str, str],
    expected: tuple[str, str],
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(bake, "host_mirrors", lambda distribution: asked.append(distribution) or OWN)
    settings = from_environment({name: f"http://mirror.example/{value}" for name, value in environment.items()})
    found = mirrors_for(make_plan(recipe=recipe), settings)
    assert found == Mirrors(*(f"http://mirror.example/{name}" for name in expected))
    assert asked == ["debian"]


def test_without_a_mirror_of_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bake, "host_mirrors", lambda distribution: Mirrors(None, None))
    assert mirrors_for(make_plan(), from_environment({})) == Mirrors(None, None)
