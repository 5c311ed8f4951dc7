"""The bake itself, from the tar of a pretended diskimage-builder to image and manifest; root's part of the work."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bake_help import EPOCH, make_plan

from goldsmith.bake import base_tree, initramfs
from goldsmith.bake import build as bake
from goldsmith.bake.archive import Archive
from goldsmith.bake.dib import Follower, Tree
from goldsmith.bake.disk import BaseDisk
from goldsmith.bake.layers import Layers
from goldsmith.bake.layout import Layout
from goldsmith.errors import CommandFailedError, HostError
from goldsmith.host.apt_sources import Mirrors
from goldsmith.host.jail import Jail
from goldsmith.host.progress import Progress
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings, from_environment
from goldsmith.store import manifest as manifests
from goldsmith.store.manifest import PackageFact

HOST = Mirrors("http://mirror.example/debian", "http://mirror.example/security")
#: what is in a tree whose diskimage-builder made /etc
TREE = {"etc", "boot", "dev", "proc", "run", "sys"}
MIRROR = {"DIB_DISTRIBUTION_MIRROR": HOST.url, "DIB_DEBIAN_SECURITY_MIRROR": HOST.security_url}


def _root_at_hand() -> bool:
    if os.geteuid() == 0:
        return True
    argv = ["sudo", "-n", "true"]
    return bool(shutil.which("sudo")) and subprocess.run(argv, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _root_at_hand(), reason="needs root, or sudo without a password")


@dataclass
class Oven:
    """What the pretended tools got, and where they fail."""

    settings: Settings
    folder: Path
    dib: dict[str, Any] = field(default_factory=dict)
    trees: int = 0
    over: dict[str, Any] = field(default_factory=dict)
    unpacked: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    base: BaseDisk | None = None
    layout: Layout | None = None
    epoch: int = 0
    full: bool = False
    #: whether the tree has a kernel, what its last scripts write, whether it is left, and whether DIB fails after that
    kernel: bool = False
    later: str = ""
    left: bool = True
    fails: bool = False
    #: of which folders an initramfs was made
    initramfs: list[str] = field(default_factory=list)
    initrd: int = 0
    #: seconds that it takes at least, whether the store had the tree by then, and whether it fails
    slow: float = 0.0
    packed: bool | None = None
    no_initramfs: bool = False
    begun: threading.Event = field(default_factory=threading.Event)
    said: io.StringIO = field(default_factory=io.StringIO)

    def build_tree(self, jail: Jail, work: Path, *, follower: Follower, **named: Any) -> None:
        self.dib = named
        source = self.folder / "etc"
        source.mkdir(exist_ok=True)
        tree = Tree(work / "dib/tree", work / "dib/manifests")
        shutil.copytree(source, tree.root / "etc")
        (tree.manifests / "dib-manifests").mkdir(parents=True)
        (tree.manifests / "dib-manifests/dib_environment").write_text('declare -x DIB_A="1"\n')
        self.trees += 1
        if self.kernel:
            self._install(tree.root)
            follower.installed(tree.root)
            assert self.begun.wait(30)
        if self.later:
            (tree.root / self.later).write_text("of the last scripts")
        if self.left:
            follower.left(tree)
        if self.fails:
            raise CommandFailedError("disk-image-create", status="exited 1", tail="at the very end")

    def _install(self, tree: Path) -> None:
        for name in ("boot", "usr/sbin"):
            (tree / name).mkdir(parents=True, exist_ok=True)
        (tree / "boot/vmlinuz-6.1").touch()
        program = tree / "usr/sbin/update-initramfs"
        program.touch()
        program.chmod(0o755)

    def make_beside(self, jail: Jail, tree: Path, scratch: Path, target: Path, *, epoch: int) -> bool:
        """Who asks first is answered when the tree is finished."""
        self.initramfs.append(tree.name)
        self.begun.set()
        if self.slow:
            time.sleep(self.slow)
            self.packed = bool(list(self.settings.cache_dir.glob("artefacts/tree/*/tree.tar.zst")))
        if self.no_initramfs:
            raise CommandFailedError("making the initramfs", status="exited 1", tail="no room")
        with tarfile.open(target, "w") as stream:
            member = tarfile.TarInfo("./boot/initrd.img-6.1")
            member.size = len(self.initramfs)
            stream.addfile(member, io.BytesIO(bytes(member.size)))
        return True

    def lay_over(self, jail: Jail, plan: Plan, layers: Layers, root: Path, scratch: Path, **named: Any) -> Any:
        self.over = named
        return (PackageFact(name="bash", version="1.0", architecture="amd64"),)

    def environment(self) -> dict[str, str]:
        """DIB's, but for the time of the build."""
        return {name: value for name, value in self.dib["environment"].items() if name != "SOURCE_DATE_EPOCH"}

    def make_disk(
        self,
        jail: Jail,
        tree: Path,
        base: BaseDisk,
        scratch: Path,
        layout: Layout,
        target: Path,
        *,
        epoch: int,
        progress: Progress,
        tree_is_read: Callable[[], object],
    ) -> None:
        self.base = base
        self.unpacked = {path.name for path in tree.iterdir()}
        self.keys = {path.name: path.read_text() for path in tree.glob("etc/ssh/*key")}
        initrd = tree / "boot/initrd.img-6.1"
        self.initrd = initrd.stat().st_size if initrd.exists() else 0
        self.layout, self.epoch = layout, epoch
        if self.full:
            raise HostError("no space left on device")
        with progress.step("disk"):
            jail.run(["cp", "/etc/hostname", target], deadline=10)
        tree_is_read()

    def bake(
        self,
        archive: Archive | None = None,
        recipe: Mapping[str, Any] | None = None,
        again: bool = False,
        **variables: str,
    ) -> Path:
        folder = self.folder / "artefact"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        progress = Progress(stream=self.said)
        progress.finished.append(("of another recipe", 1.0))
        bake._bake(
            make_plan(recipe=recipe, environment=variables),
            archive,
            self.settings,
            progress,
            folder,
            again=again,
            recover_registry=False,
            follow=None,
        )
        return folder


@pytest.fixture
def oven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oven:
    settings = from_environment({"HOME": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    made = Oven(settings, tmp_path)
    monkeypatch.setattr(base_tree, "build_tree", made.build_tree)
    monkeypatch.setattr(initramfs, "make_beside", made.make_beside)
    monkeypatch.setattr(bake, "lay_over", made.lay_over)
    monkeypatch.setattr(bake, "make_disk", made.make_disk)
    monkeypatch.setattr(bake, "host_mirrors", lambda distribution: HOST)
    return made


def test_image_and_manifest_are_the_callers_and_agree(oven: Oven) -> None:
    folder = oven.bake(Archive({}, EPOCH, "amd64"))
    image = folder / bake.IMAGE
    assert {path.name for path in folder.iterdir()} == {bake.IMAGE, bake.MANIFEST}
    assert {path.stat().st_uid for path in folder.iterdir()} == {os.getuid()}
    manifest = manifests.read(folder / bake.MANIFEST)
    content = image.read_bytes()
    assert content == Path("/etc/hostname").read_bytes()
    assert manifest.sha256 == hashlib.sha256(content).hexdigest()
    assert manifest.sha512 == hashlib.sha512(content).hexdigest()
    assert (manifest.size, manifest.virtual_size) == (len(content), 4 * 2**30)
    assert manifest.recipe_digest == make_plan().digest
    assert [package.name for package in manifest.packages] == ["bash"]
    assert [step.name for step in manifest.steps] == [
        "tree (diskimage-builder)",
        "disk and initramfs of the base",
        "disk",
    ]


def test_the_disk_is_made_of_the_unpacked_tree_at_the_archives_time(oven: Oven) -> None:
    oven.bake(Archive({}, EPOCH, "amd64"), recipe={"disk": {"size": "2GiB"}})
    assert oven.unpacked == TREE
    assert oven.epoch == EPOCH
    assert oven.layout is not None
    assert oven.layout.size == 2 * 2**30


def test_what_each_build_makes_another_is_in_the_tree_and_not_on_the_disk_of_the_base(oven: Oven) -> None:
    now = Archive({"suite": "a" * 64}, EPOCH, "amd64")
    secret = oven.folder / "etc/ssh/ssh_host_rsa_key"
    secret.parent.mkdir(parents=True)
    secret.write_text("of this build")
    # Then the base is in the store, and the same holds.
    for _ in range(2):
        oven.bake(now)
        assert oven.base is not None
        assert "/etc/ssh" in oven.base.listing and "/etc/ssh/ssh_host_rsa_key" not in oven.base.listing
        assert oven.keys == {"ssh_host_rsa_key": "of this build"}
    assert oven.trees == 1


def test_the_initramfs_is_begun_while_the_tree_is_made(oven: Oven) -> None:
    oven.kernel, oven.later = True, "etc/machine-id"
    oven.bake(Archive({"suite": "a" * 64}, EPOCH, "amd64"))
    # Under a name that stays, whatever becomes of the tree's; it is the only one.
    assert oven.initramfs == ["tree"]
    assert oven.initrd == 1
    assert oven.base is not None
    assert "/boot/vmlinuz-6.1" in oven.base.listing and "/boot/initrd.img-6.1" not in oven.base.listing
    # From the store it is the same.
    oven.bake(Archive({"suite": "a" * 64}, EPOCH, "amd64"), recipe={"disk": {"size": "2GiB"}})
    assert (oven.trees, oven.initramfs, oven.initrd) == (1, ["tree"], 1)


def test_it_is_made_once_more_where_the_last_scripts_changed_what_it_is_made_of(oven: Oven) -> None:
    oven.kernel, oven.later = True, "boot/config"
    oven.bake()
    assert oven.initramfs == ["tree", "root"]
    assert oven.initrd == 2


def test_the_store_waits_for_the_initramfs(oven: Oven) -> None:
    oven.kernel, oven.slow = True, 1.0
    now = Archive({"suite": "a" * 64}, EPOCH, "amd64")
    oven.bake(now)
    assert oven.packed is False
    assert len(list(oven.settings.cache_dir.glob("artefacts/tree/[0-9a-f]*/tree.tar.zst"))) == 1


def test_an_initramfs_that_fails_fails_the_bake(oven: Oven) -> None:
    oven.kernel = oven.no_initramfs = True
    with pytest.raises(CommandFailedError) as caught:
        oven.bake(Archive({"suite": "a" * 64}, EPOCH, "amd64"))
    assert caught.value.tail == "no room"
    # Early, and in its turn.
    assert oven.initramfs == ["tree", "root"]


def test_what_fails_at_the_very_end_fails_the_bake(oven: Oven) -> None:
    oven.fails = True
    now = Archive({"suite": "a" * 64}, EPOCH, "amd64")
    with pytest.raises(CommandFailedError) as caught:
        oven.bake(now)
    assert caught.value.tail == "at the very end"
    assert list((oven.settings.cache_dir / "artefacts/tree").glob("[0-9a-f]*")) == []
    # Before there is a tree, too: nobody waits for it for ever.
    oven.left = False
    with pytest.raises(CommandFailedError):
        oven.bake(now)


@pytest.mark.parametrize("full", [False, True])
def test_no_scratch_is_left(oven: Oven, full: bool) -> None:
    oven.full = full
    if full:
        with pytest.raises(HostError, match="no space left"):
            oven.bake()
        assert list((oven.folder / "artefact").iterdir()) == []
    else:
        oven.bake()
    assert list(oven.settings.work_dir.glob("build-*")) == []


def test_what_killed_builds_left_is_swept_and_said(oven: Oven) -> None:
    left = oven.settings.work_dir / "build-killed"
    (left / "work").mkdir(parents=True)
    (left / ".lock").touch()
    bake._tidy(oven.settings, Progress(stream=oven.said))
    assert not left.exists()
    assert f"left by a build that was killed: removed {left}" in oven.said.getvalue()


def test_what_dib_is_told(oven: Oven) -> None:
    oven.bake(recipe={"packages": ["htop"]})
    assert oven.dib["elements"] == ("debian-minimal",)
    assert oven.dib["packages"] == ("htop",)
    assert oven.dib["architecture"] == "amd64"
    assert oven.environment() == {"DIB_RELEASE": "trixie", **MIRROR}
    assert oven.dib["log_file"] == oven.settings.cache_dir / "logs/test.dib.log"
    assert all(path.is_dir() for path in (*oven.dib["elements_path"][1:], oven.dib["cache"]))


def test_the_log_is_that_of_this_build_alone(oven: Oven) -> None:
    log_file = oven.settings.cache_dir / "logs/test.dib.log"
    log_file.parent.mkdir(parents=True)
    log_file.write_text("of the last build")
    oven.bake()
    assert not log_file.exists()


def test_a_mirror_is_kept_in_the_image_only_on_request(oven: Oven) -> None:
    oven.bake(recipe={"mirror": {"url": "http://mirror.example/recipe", "keep": True}})
    assert oven.environment() == {
        "DIB_RELEASE": "trixie",
        "DIB_DISTRIBUTION_MIRROR": "http://mirror.example/recipe",
        "DIB_DEBIAN_SECURITY_MIRROR": HOST.security_url,
        "DIB_GENERALIZE_MIRROR": "http://mirror.example/recipe",
        "DIB_GENERALIZE_SECURITY_MIRROR": HOST.security_url,
    }


def test_the_recipes_own_variable_wins(oven: Oven) -> None:
    oven.bake(DIB_DISTRIBUTION_MIRROR="http://mirror.example/variable")
    assert oven.dib["environment"]["DIB_DISTRIBUTION_MIRROR"] == "http://mirror.example/variable"


def test_images_share_a_base_tree_and_other_archives_have_another(oven: Oven) -> None:
    now = Archive({"suite": "a" * 64}, EPOCH, "amd64")
    oven.bake(now)
    oven.bake(now, recipe={"disk": {"size": "2GiB"}})
    assert oven.trees == 1
    assert oven.over["variables"] == 'declare -x DIB_A="1"\n'
    assert oven.over["given"] == {**MIRROR, "SOURCE_DATE_EPOCH": str(EPOCH)}
    oven.bake(Archive({"suite": "b" * 64}, EPOCH, "amd64"))
    assert oven.trees == 2
    oven.bake(now, DIB_OF_MINE="1")
    assert oven.trees == 3
    oven.bake(now)
    assert oven.trees == 3


def test_images_share_the_disk_of_their_base_by_its_size(oven: Oven) -> None:
    now = Archive({"suite": "a" * 64}, EPOCH, "amd64")
    disks = oven.settings.cache_dir / "artefacts/disk"
    oven.bake(now)
    assert oven.base is not None
    first = oven.base
    oven.bake(now, DIB_OF_MINE="")
    other = len(list(disks.glob("[0-9a-f]*")))
    oven.bake(now)
    assert oven.base.image() == first.image()
    assert oven.base.listing.keys() == first.listing.keys() > {"", "/etc", "/boot/efi"}
    assert len(list(disks.glob("[0-9a-f]*"))) == other
    oven.bake(now, recipe={"disk": {"size": "2GiB"}})
    assert oven.base.image() != first.image()
    assert len(list(disks.glob("[0-9a-f]*"))) == other + 1


def test_again_makes_the_base_anew_and_without_an_archive_none_is_kept(oven: Oven) -> None:
    now = Archive({"suite": "a" * 64}, EPOCH, "amd64")
    oven.bake(now)
    oven.bake(now, again=True)
    assert oven.trees == 2
    oven.bake()
    oven.bake()
    assert oven.trees == 4
    assert len(list((oven.settings.cache_dir / "artefacts/tree").glob("[0-9a-f]*"))) == 2


@pytest.mark.parametrize("damage", ["flipped", "truncated", "removed"])
@pytest.mark.parametrize(("part", "trees"), [("tree/*/tree.tar.zst", 2), ("disk/*/disk.qcow2", 1)])
def test_a_damaged_base_is_made_anew(oven: Oven, damage: str, part: str, trees: int) -> None:
    now = Archive({"suite": "a" * 64}, EPOCH, "amd64")
    oven.bake(now)
    (file,) = (oven.settings.cache_dir / "artefacts").glob(part)
    content = file.read_bytes()
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(content[:-1] + (bytes([content[-1] ^ 1]) if damage == "flipped" else b""))
    oven.bake(now)
    assert oven.trees == trees
    assert file.read_bytes() == content or trees == 2
    assert oven.unpacked == TREE
