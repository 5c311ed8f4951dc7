"""A bake and a verification that only pretend."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldsmith.bake import build as bake
from goldsmith.bake.build import Built, Standing
from goldsmith.bake.offline.session import Follow
from goldsmith.commands import work
from goldsmith.doctor import Finding
from goldsmith.recipe.plan import Plan
from goldsmith.store.artefacts import ArtefactStore
from goldsmith.store.manifest import Firmware, Manifest, PackageFact, Status, Verdict, write
from goldsmith.verify.report import Report

RECIPE = """\
name: {name}
base: {{distribution: debian, release: trixie, architecture: amd64}}
elements: [marked]
properties: {{os_distro: {distro}{more}}}
"""
CHECKS = """\
checks:
  - id: mark
    says: The mark is in the image
    file: {path: /etc/mark, exists: true}
"""


@dataclass
class World:
    """What the pretended bake and verification do, and how often they did it."""

    folder: Path
    status: Status = "pass"
    content: bytes = b"image"
    packages: tuple[str, ...] = ("dpkg",)
    builds: int = 0
    verifications: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def recipe(self, name: str = "small", distro: str = "debian", more: str = "") -> str:
        """``more`` is properties, as YAML writes them between braces."""
        path = self.folder / f"{name}.yaml"
        path.write_text(RECIPE.format(name=name, distro=distro, more=f", {more}" if more else ""))
        return str(path)

    def artefact(self, plan: Plan) -> Built:
        def fill(folder: Path) -> None:
            (folder / bake.IMAGE).write_bytes(self.content)
            write(folder / bake.MANIFEST, self._manifest(plan))

        artefact = ArtefactStore(self.folder / "cache/artefacts").put("image", plan.digest, fill)
        return Built(artefact.file(bake.IMAGE), work.manifests.read(artefact.file(bake.MANIFEST)), cached=False)

    def _manifest(self, plan: Plan) -> Manifest:
        return Manifest(
            name=plan.recipe.name,
            recipe_digest=plan.digest,
            inputs=plan.inputs,
            base={"distribution": "debian"},
            elements=(),
            packages=tuple(PackageFact(name=name, version="1", architecture="amd64") for name in self.packages),
            firmware=plan.recipe.disk.firmware,
            sha256=hashlib.sha256(self.content).hexdigest(),
            sha512=hashlib.sha512(self.content).hexdigest(),
            size=len(self.content),
            virtual_size=2**30,
            goldsmith_version="0",
        )

    def look(self, plan: Plan, settings: object, progress: object) -> Standing:
        artefact = ArtefactStore(self.folder / "cache/artefacts").get("image", plan.digest)
        return Standing(artefact, () if artefact else ("no image of this recipe was built yet",), None)

    def build(
        self, plan: Plan, settings: object, progress: object, *, again: bool, recover_registry: bool, follow: Follow
    ) -> Built:
        standing = self.look(plan, settings, progress)
        if standing.artefact and not again:
            return work.built(plan, standing)
        self.builds += 1
        return self.artefact(plan)

    def verify(
        self, image: Path, checks: object, firmwares: tuple[Firmware, ...], *rest: object, **named: Any
    ) -> Report:
        self.verifications.append({"image": image, "checks": checks, "firmwares": firmwares, **named})
        verdicts = tuple(
            Verdict(
                layer="live",
                element="goldsmith",
                check="settled",
                says="the guest boots",
                firmware=firmware,
                status=self.status,
                repeat="" if self.status == "pass" else f"goldsmith verify {named['target']} --check goldsmith/settled",
            )
            for firmware in firmwares
        )
        return Report(
            image=str(image),
            sha256=hashlib.sha256(image.read_bytes()).hexdigest(),
            accelerator="tcg: because",
            firmware=firmwares,
            complete=not named["only"],
            verdicts=verdicts,
            seconds=1,
        )
