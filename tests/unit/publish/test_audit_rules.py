"""The audit's rules one by one, and thousands of images in pages."""

from __future__ import annotations

from typing import Any, cast

import pytest

from goldsmith.publish.audit.report import as_text
from goldsmith.publish.audit.rules import Subject, judged, repair
from goldsmith.publish.audit.run import audit
from goldsmith.publish.glance.service import Glance

GOOD = {"id": "1", "name": "n", "owner": "p", "status": "active", "size": 9, "os_type": "linux"}
PARENT = {**GOOD, "id": "0", "hw_disk_bus": "virtio"}


def _found(image: dict[str, Any], **more: Any) -> list[tuple[str, str, str | None]]:
    return [(each.rule, each.name, each.value) for each in judged(Subject({**GOOD, **image}, **more))]


def test_a_good_image_has_no_findings() -> None:
    assert _found({"department": "physics", "hw_disk_bus": "virtio"}) == []
    assert _found({"status": "queued", "os_type": "Windows"}) == []


@pytest.mark.parametrize(
    ("image", "more", "found"),
    [
        ({"os_type": "Windows"}, {}, ("misspelled", "os_type", "windows")),
        ({"os_type": None}, {}, ("missing", "os_type", None)),
        ({"os_type": None, "os_distro": "windows"}, {}, ("missing", "os_type", "windows")),
        ({"os_type": None, "base_image_ref": "0"}, {"parent": PARENT}, ("missing", "os_type", "linux")),
        ({"hw_disk_bus": "ide"}, {"planned": {"hw_disk_bus": "virtio"}}, ("drifted", "hw_disk_bus", "virtio")),
        ({"hw_disk_bsu": "ide"}, {}, ("misspelled", "hw_disk_bsu", None)),
        ({"os_secure_boot": "required", "hw_machine_type": "q35"}, {}, ("contradictory", "os_secure_boot", None)),
        ({"base_image_ref": "0", "hw_disk_bus": "ide"}, {"parent": PARENT}, ("frozen", "hw_disk_bus", None)),
        (
            {"base_image_ref": "0"},
            {"parent": {**PARENT, "os_hidden": True, "goldsmith_name": "d"}},
            ("child-of-replaced", "base_image_ref", None),
        ),
    ],
)
def test_each_rule(image: dict[str, Any], more: dict[str, Any], found: tuple[str, str, str | None]) -> None:
    assert _found(image, **more) == [found]


def test_drift_to_a_wrong_case_is_repaired_once() -> None:
    found = judged(Subject({**GOOD, "os_type": "Windows"}, planned={"os_type": "linux"}))
    assert repair(found) == {"os_type": "linux"}


class _Many:
    """A Glance with 1,500 visible images in pages, each third without os_type."""

    project = "p"

    def __init__(self) -> None:
        self.patched: list[str] = []

    def document(self, method: str, path: str) -> dict[str, Any]:
        if "os_hidden=true" in path:
            return {"images": []}
        start = int(path.partition("marker=")[2] or 0)
        images = [
            {**GOOD, "id": str(n), "os_distro": "debian", "os_type": None if n % 3 == 0 else "linux"}
            for n in range(start, min(start + 200, 1500))
        ]
        more = {"next": f"/v2/images?marker={start + 200}"} if start + 200 < 1500 else {}
        return {"images": images, **more}

    def image(self, image_id: str) -> None:
        raise AssertionError(f"{image_id}: nobody's parent")

    def patch(self, image_id: str, operations: Any) -> None:
        self.patched.append(image_id)


def test_thousands_of_images() -> None:
    glance = _Many()
    found = audit(cast(Glance, glance), {}, all_projects=False, fix=True)
    assert (found.looked_at, len(found.wrong)) == (1500, 500)
    assert sorted(glance.patched, key=int) == [str(n) for n in range(0, 1500, 3)]
    assert not any(each.left for each in found.wrong)
    assert "1500 images, 500 with findings: 500 found, 500 fixed" in as_text("c", found)
