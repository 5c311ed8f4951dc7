"""Names by stage, provenance, and what is never published."""

from __future__ import annotations

from typing import Any

from goldsmith.publish.glance import names
from goldsmith.store.manifest import Manifest, Verdict


def _manifest(**more: Any) -> Manifest:
    facts: dict[str, Any] = {
        "name": "small",
        "recipe_digest": "1" * 64,
        "inputs": {},
        "base": {"distribution": "debian"},
        "elements": (),
        "firmware": ("bios",),
        "sha256": "2" * 64,
        "sha512": "3" * 128,
        "size": 1,
        "virtual_size": 1,
        "goldsmith_version": "0",
    }
    return Manifest(**(facts | more))


def _verdict(**more: Any) -> Verdict:
    facts = {"layer": "live", "element": "e", "check": "c", "says": "It boots.", "firmware": "bios", "status": "pass"}
    return Verdict.model_validate(facts | more)


def test_names_of_stages_are_unlike_the_public_name() -> None:
    assert names.staged("web", "abc" * 40) == "web.staged-abcabcabcabcabca"
    assert names.replaced("web", "0a1b2c3d-4e5f") == "web.replaced-0a1b2c3d"


def test_provenance_fits_into_what_nova_keeps() -> None:
    found = names.provenance("n" * 255, _manifest(verdicts=(_verdict(),) * 50), "id")
    assert {key for key, value in found.items() if len(value) > 255} == set()
    assert (found[names.NAME], found[names.PREVIOUS], found["goldsmith_build"]) == ("n" * 255, "id", "2" * 64)
    assert names.PREVIOUS not in names.provenance("web", _manifest(), None)


def test_base_is_the_images_digest_or_that_of_its_description() -> None:
    of_image = names.provenance("web", _manifest(base={"image": "x", "sha256": "4" * 64}), None)
    assert of_image["goldsmith_base"] == "4" * 64
    bases = {names.provenance("web", _manifest(base={"release": it}), None)["goldsmith_base"] for it in ("a", "b")}
    assert len(bases) == 2


def test_digest_of_verdicts_is_of_what_they_say_and_not_of_how_long_they_took() -> None:
    def digest(**more: Any) -> str:
        return names.provenance("web", _manifest(verdicts=(_verdict(**more),)), None)["goldsmith_verdicts"]

    assert digest(seconds=1) == digest(seconds=2)
    assert digest() != digest(status="fail")


def test_properties_of_snapshots_are_never_published() -> None:
    for key in ("block_device_mapping", "bdm_v2", "image_type", "instance_uuid", "base_image_ref", "user_id"):
        assert names.publishable({key: "x", "os_type": "linux"}) == {"os_type": "linux"}
