"""Where an image lies in Swift: addresses that Glance shows, and names by convention."""

from __future__ import annotations

import pytest

from goldsmith.errors import InputError
from goldsmith.publish.swift.place import Place, guesses, told

ID = "3a1b2c3d-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("url", "container", "account"),
    [
        (f"swift+https://images:glance:secret@keystone:5000/v3/glance/{ID}", "glance", None),
        (f"swift+http://swift:8080/v1/AUTH_own/glance_{ID}/{ID}", f"glance_{ID}", "AUTH_own"),
        (f"swift+config://ref1/glance/{ID}", "glance", None),
    ],
)
def test_address_of_glance(url: str, container: str, account: str | None) -> None:
    expected = Place(container, ID, account, known=True)
    assert told({"id": ID, "direct_url": url}, "cloud x") == expected
    assert told({"id": ID, "locations": [{"url": "file:///a"}, {"url": url}]}, "cloud x") == expected


def test_address_is_not_shown_or_of_another_store() -> None:
    assert told({"id": ID, "locations": []}, "cloud x") is None
    with pytest.raises(InputError, match="stored by rbd, not in Swift") as raised:
        told({"id": ID, "direct_url": "rbd://user:secret@pool/image"}, "cloud x")
    assert "secret" not in str(raised.value)


def test_conventions() -> None:
    names = ["glance", f"glance_{ID}", "glance_3a1", "glance_3a2", "other"]
    found = [place.container for place in guesses(ID, names)]
    assert found == [f"glance_{ID}", "glance_3a1", "glance"]
    assert [place.container for place in guesses(ID, ["images_3", "glance"], "images")] == ["images_3"]
