"""What `plan --why` names: for each kind of input, that one and no other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from bake_help import RELEASE, Mirror

from goldsmith.bake import build as bake
from goldsmith.bake.build import look
from goldsmith.bake.remembered import remember
from goldsmith.host import files
from goldsmith.host.apt_sources import Mirrors
from goldsmith.host.progress import Progress
from goldsmith.recipe import plan as plans
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.settings import Settings, from_environment
from goldsmith.store import manifest as manifests
from goldsmith.store.artefacts import ArtefactStore
from goldsmith.store.manifest import Manifest, PackageFact

SCHEMA = """\
summary: it
parameters:
  type: object
  properties:
    mode: {type: string, default: quiet, x-dib: {variable: DIB_T_MODE}}
"""
TOOLS = {"mke2fs": "1.47.0", "qemu-img": "7.2.22"}


class Shop:
    """A recipe with one element, and an image of it in the store that holds bash 1."""

    def __init__(self, root: Path, mirror: Mirror) -> None:
        self.root, self.mirror = root, mirror
        self.settings: Settings = from_environment(
            {"HOME": str(root), "ELEMENTS_PATH": str(root / "elements"), "GOLDSMITH_MIRROR": mirror.url}
        )
        self.write("a/schema.yaml", SCHEMA)
        self.write("a/install.d/50-a", "#!/bin/sh\n")
        mirror.publish(RELEASE, {"bash": "1"})
        self.keep(self.plan())

    def write(self, name: str, text: str) -> None:
        path = self.root / "elements" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def plan(self, use: str = "a", tools: Mapping[str, str] = TOOLS) -> Plan:
        recipe = self.root / "recipe.yaml"
        recipe.write_text(f"name: test\nbase: {{distribution: debian, release: {RELEASE}}}\nelements: [{use}]\n")
        return make_plan(load(recipe, self.settings), self.settings, tools)

    def keep(self, plan: Plan) -> None:
        manifest = Manifest(
            name="test",
            recipe_digest=plan.digest,
            inputs=plan.inputs,
            base={"distribution": "debian"},
            elements=(),
            packages=(PackageFact(name="bash", version="1", architecture="amd64"),),
            firmware=("bios",),
            sha256="a" * 64,
            sha512="a" * 128,
            size=1,
            virtual_size=1,
            goldsmith_version="0",
        )

        def fill(folder: Path) -> None:
            (folder / bake.IMAGE).write_bytes(b"1")
            manifests.write(folder / bake.MANIFEST, manifest)

        ArtefactStore(self.settings.cache_dir / "artefacts").put(bake.KIND, "b" * 64, fill)
        archive = look(plan, self.settings, Progress(quiet=True)).archive
        assert archive is not None
        remember(plan, self.settings, "b" * 64, archive.suites)

    def why(self, plan: Plan | None = None) -> list[str]:
        return list(look(plan or self.plan(), self.settings, Progress(quiet=True)).reasons)


@pytest.fixture
def shop(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(bake, "host_mirrors", lambda distribution: Mirrors(None, None))
    return Shop(tmp_path, mirror)


def test_nothing_differs(shop: Shop) -> None:
    assert shop.why() == []


def test_a_script_of_an_element(shop: Shop) -> None:
    shop.write("a/install.d/50-a", "#!/bin/sh\ntrue\n")
    assert shop.why() == ["element a: install.d/50-a changed"]


def test_a_parameter(shop: Shop) -> None:
    assert shop.why(shop.plan("{a: {mode: loud}}")) == ["element a: parameters changed"]


def test_a_new_version_of_a_package(shop: Shop) -> None:
    shop.mirror.publish(RELEASE, {"bash": "2", "unrelated": "7"})
    assert shop.why() == ["newer package: bash 1 -> 2"]


def test_a_new_version_of_a_tool(shop: Shop) -> None:
    assert shop.why(shop.plan(tools={**TOOLS, "mke2fs": "1.47.2"})) == ["mke2fs: 1.47.0 -> 1.47.2"]


@pytest.mark.parametrize(
    "name",
    [
        "bake/layout.py",
        "bake/lay_over.sh",
        "bake/dib_elements/tree-only/block-device.d/10-tree-only",
        "bake/dib_elements/no-initramfs/environment.d/10-no-initramfs.bash",
    ],
)
def test_goldsmiths_own_code(shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    changed = Path(plans.__file__).parent.parent / name
    assert changed.is_file()

    def digest(path: Path, algorithm: str = "sha256") -> str:
        return "c" * 64 if path == changed else files.file_digest(path, algorithm)

    monkeypatch.setattr(plans, "file_digest", digest)
    assert shop.why() == [f"goldsmith's code: {name} changed"]
