from __future__ import annotations

import pytest

from goldsmith.publish.glance.names import publishable


@pytest.mark.parametrize(
    "mark", ["block_device_mapping", "bdm_v2", "image_type", "instance_uuid", "base_image_ref", "user_id"]
)
def test_marks_of_snapshots_are_never_published(mark: str) -> None:
    assert publishable({mark: "x", "os_type": "linux"}) == {"os_type": "linux"}
