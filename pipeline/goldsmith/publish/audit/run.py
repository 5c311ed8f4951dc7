"""The audit of a cloud: its images page by page, the images that they were made from some at once.

In memory are one page, and what is wrong with those before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from goldsmith.errors import HostError
from goldsmith.publish.audit.rules import BUILD, Finding, Subject, judged, kind, repair
from goldsmith.publish.glance.service import Glance, Image, change
from goldsmith.store.manifest import Manifest

_PAGE = 200
#: requests for parents at once
_AT_ONCE = 8


@dataclass(frozen=True)
class Audited:
    """An image with something wrong; ``fixed`` are the names of properties that were repaired.

    ``failed`` is why the cloud did not take the repair.
    """

    image_id: str
    name: str
    owner: str
    kind: str
    findings: tuple[Finding, ...]
    fixed: tuple[str, ...] = ()
    failed: str | None = None

    @property
    def left(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.name not in self.fixed)


@dataclass(frozen=True)
class Audit:
    looked_at: int
    wrong: tuple[Audited, ...]


def planned_by_build(folder: Path) -> dict[str, dict[str, str]]:
    """What the catalogue's images were given, by sha256; what is no manifest there is none of ours."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            continue
        found[manifest.sha256] = dict(manifest.properties)
    return found


def pages(glance: Glance, all_projects: bool) -> Iterator[list[Image]]:
    """Hidden and visible images, a page at a time."""
    scope = {"visibility": "all"} if all_projects else {"owner": glance.project}
    for hidden in ("false", "true"):
        path = "/images?" + urlencode({**scope, "os_hidden": hidden, "limit": str(_PAGE)})
        while path:
            document = glance.document("GET", path)
            yield document["images"]
            path = str(document.get("next", "")).removeprefix("/v2")


def audit(glance: Glance, planned: Mapping[str, Mapping[str, str]], *, all_projects: bool, fix: bool) -> Audit:
    """Look at all images, and with ``fix`` repair what is sure by one PATCH per image, one image after another.

    What the cloud does not take of one image is said of that image, and the others are repaired all the same.  Raises
    InputError where this user may not, HostError where the images cannot be listed.
    """
    wrong: list[Audited] = []
    count = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for page in pages(glance, all_projects):
            count += len(page)
            parents = _parents(glance, page, pool)
            found = [(image, judged(_subject(image, parents, planned))) for image in page]
            broken = [(image, findings) for image, findings in found if findings]
            wrong.extend(_audited(glance, image, findings, fix=fix) for image, findings in broken)
    return Audit(count, tuple(wrong))


def _parents(glance: Glance, page: list[Image], pool: ThreadPoolExecutor) -> dict[str, Image]:
    """The images that a page's snapshots were made from, by id, as far as they are there."""
    wanted = {str(image["base_image_ref"]) for image in page if kind(image) != "image" and image.get("base_image_ref")}
    here = {image["id"]: image for image in page if image["id"] in wanted}
    fetched = pool.map(glance.image, sorted(wanted - set(here)))
    return here | {image["id"]: image for image in fetched if image}


def _subject(image: Image, parents: Mapping[str, Image], planned: Mapping[str, Mapping[str, str]]) -> Subject:
    parent = parents.get(str(image.get("base_image_ref")))
    return Subject(image, parent, planned.get(str(image.get(BUILD)), {}))


def _audited(glance: Glance, image: Image, findings: tuple[Finding, ...], *, fix: bool) -> Audited:
    wanted = repair(findings) if fix else {}
    failed = None
    if wanted:
        try:
            glance.patch(image["id"], change(image, wanted))
        except HostError as error:
            failed, wanted = error.message, {}
    return Audited(
        image["id"],
        str(image.get("name") or ""),
        str(image["owner"]),
        kind(image),
        findings,
        tuple(sorted(wanted)),
        failed,
    )
