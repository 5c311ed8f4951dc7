"""goldsmith inspect, as it is typed, on the golden image and on one that lacks generalize."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldsmith.host.files import file_digest

pytestmark = pytest.mark.system


def test_the_golden_image_is_clean(workshop, golden_image):
    before = file_digest(golden_image)
    result = workshop.goldsmith("inspect", golden_image)
    assert result.returncode == 0, result.document
    assert result.document["clean"] is True
    assert (result.document["format"], result.document["sha256"]) == ("qcow2", before)
    assert file_digest(golden_image) == before
    (system,) = result.document["systems"]
    assert (system["type"], system["distribution"], system["version"].split(".")[0]) == ("linux", "debian", "13")
    assert {"/", "/boot/efi"} <= set(system["mounts"])
    assert system["unread"] == []


def test_an_image_without_generalize_is_not(workshop, controls):
    image = Path(controls["control-bare"].image)
    result = workshop.goldsmith("inspect", image)
    assert result.returncode == 1, result.document
    found = {(each["severity"], each["rule"]) for each in result.document["systems"][0]["residue"]}
    assert {("secret", "passwords"), ("trace", "dib-files")} <= found
    assert "identity" in {severity for severity, _ in found}
