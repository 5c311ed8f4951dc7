"""Publishing to a real Glance: what is read back, what users see meanwhile, the way back, who may, what is kept."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cloud_images import order, verdict
from cloud_services import Cloud

from goldsmith.errors import CheckFailedError, InputError
from goldsmith.host.progress import Progress
from goldsmith.publish.glance import names
from goldsmith.publish.glance.publisher import publish, rollback
from goldsmith.publish.glance.service import BASE, Glance, connect, properties_of

QUIET = Progress(quiet=True)


@pytest.mark.parametrize("method", ["put", "import"])
def test_published_image_is_as_planned(cloud: Cloud, member: Glance, tmp_path: Path, method: str) -> None:
    asked = order(tmp_path, "web", method, method=method, visibility="public")
    done = publish(member, asked, QUIET)
    assert done.did == "published"
    plain = cloud.connect("other")
    found = plain.image.find_image("web", ignore_missing=False)
    assert (found.id, found.visibility, found.is_hidden) == (done.image, "public", False)
    assert found.hash_value == asked.manifest.sha512
    data = plain.image.download_image(found.id).content
    assert hashlib.sha512(data).hexdigest() == asked.manifest.sha512
    document = plain.image.get(f"/images/{found.id}").json()
    seen = {key: value for key, value in document.items() if key not in BASE and not key.startswith("os_glance")}
    assert seen == {**asked.properties, **names.provenance("web", asked.manifest, None)}
    # Once more, nothing; with other properties, one PATCH and no bytes.
    assert publish(member, asked, QUIET).did == "nothing"
    again = order(tmp_path, "web", method, properties={"os_type": "linux", "hw_vif_model": "virtio"})
    assert (publish(member, again, QUIET).did, len(member.images())) == ("reconciled", 1)
    now = properties_of(member.images()[0])
    assert "hw_disk_bus" not in now and now["hw_vif_model"] == "virtio"


def test_users_find_exactly_one_at_every_moment(cloud: Cloud, member: Glance, tmp_path: Path) -> None:
    publish(member, order(tmp_path, "polled", "0", visibility="public"), QUIET)
    seen: Counter[str] = Counter()
    stop = threading.Event()

    def poll() -> None:
        plain = cloud.connect("other")
        while not stop.is_set():
            try:
                seen["one" if plain.image.find_image("polled") else "none"] += 1
            except Exception as error:
                seen[repr(error)] += 1

    def count() -> None:
        plain = cloud.connect("other")
        while not stop.is_set():
            visible = len(list(plain.image.images(name="polled", visibility="public")))
            seen["listed two" if visible > 1 else "listed"] += 1

    pollers = [threading.Thread(target=poll), threading.Thread(target=count)]
    for poller in pollers:
        poller.start()
    try:
        for number in range(1, 21):
            publish(member, order(tmp_path, "polled", str(number), visibility="public"), QUIET)
            if number % 4 == 0:
                rollback(member, "polled", QUIET, settle=0.5)
    finally:
        stop.set()
        for poller in pollers:
            poller.join()
    assert set(seen) == {"one", "listed"}, seen
    assert min(seen.values()) > 50, seen


def test_rollback_returns_to_the_previous_image(member: Glance, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no former image"):
        rollback(member, "back", QUIET)
    first = publish(member, order(tmp_path, "back", "one"), QUIET).image
    second = publish(member, order(tmp_path, "back", "two"), QUIET)
    assert second.previous == first
    back = rollback(member, "back", QUIET, settle=0.1)
    assert (back.image, back.previous) == (first, second.image)
    assert [(i["id"], i["name"]) for i in member.images() if not i["os_hidden"]] == [(first, "back")]


def test_image_that_others_uploaded_is_replaced_and_kept(member: Glance, tmp_path: Path) -> None:
    foreign = member.create({"name": "taken", "disk_format": "qcow2", "container_format": "bare"})
    data = order(tmp_path, "x", "x").image.read_bytes()
    headers = {"Content-Type": "application/octet-stream"}
    member.request("PUT", f"/images/{foreign['id']}/file", data=data, headers=headers)
    done = publish(member, order(tmp_path, "taken", "one"), QUIET)
    assert done.previous == foreign["id"]
    member.create({"name": "taken"})
    with pytest.raises(InputError, match="2 images are called 'taken'"):
        publish(member, order(tmp_path, "taken", "two"), QUIET)


def test_former_ones_are_kept_as_told(member: Glance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [publish(member, order(tmp_path, "kept", str(number)), QUIET).image for number in range(4)]
    monkeypatch.setattr(Glance, "in_use", lambda glance, image: None)
    done = publish(member, order(tmp_path, "kept", "4", keep=1), QUIET)
    assert done.removed == () and len(done.notes) == 3
    member.patch(ids[0], [{"op": "replace", "path": "/protected", "value": True}])
    monkeypatch.setattr(Glance, "in_use", lambda glance, image: image["id"] == ids[1])
    done = publish(member, order(tmp_path, "kept", "4", keep=1), QUIET)
    assert done.removed == (ids[2],)
    assert set(done.notes) == {f"{ids[0]} is protected", f"{ids[1]} is in use"}


def test_without_nova_nobody_says_that_it_is_not_in_use(member: Glance, tmp_path: Path) -> None:
    publish(member, order(tmp_path, "nova", "one"), QUIET)
    assert member.in_use(member.images()[0]) is None


def test_reader_may_not_and_unproven_is_refused(cloud: Cloud, member: Glance, tmp_path: Path) -> None:
    asked = order(tmp_path, "may", "one")
    with pytest.raises(InputError, match="403"):
        publish(connect("reader"), asked, QUIET)
    red = asked.manifest.model_copy(update={"verdicts": (verdict("fail"),)})
    with pytest.raises(CheckFailedError):
        publish(member, replace(asked, manifest=red), QUIET)
    assert member.images() == []


@pytest.mark.parametrize("protected", [True, False])
def test_protection_and_tags_come_with_the_switch(
    member: Glance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    patched: list[set[str]] = []
    patch = Glance.patch

    def note(glance: Glance, image_id: str, operations: Any) -> Any:
        patched.append({each["path"] for each in operations})
        return patch(glance, image_id, operations)

    monkeypatch.setattr(Glance, "patch", note)
    asked = order(tmp_path, "marked", "one", protected=protected, tags=("lts", "web"))
    done = publish(member, asked, QUIET)
    (switch,) = [paths for paths in patched if "/os_hidden" in paths]
    assert {"/name", "/tags"} <= switch and ("/protected" in switch) == protected
    assert _marks(member, done.image) == (protected, {"lts", "web"})
    assert publish(member, asked, QUIET).did == "nothing"
    # Not said is as it is; said is as it is said, nothing included.
    assert publish(member, replace(asked, protected=None, tags=None), QUIET).did == "nothing"
    other = replace(asked, protected=not protected, tags=())
    assert publish(member, other, QUIET).did == "reconciled"
    assert _marks(member, done.image) == (not protected, set())


def _marks(glance: Glance, image_id: str) -> tuple[bool, set[str]]:
    image = glance.image(image_id)
    assert image
    return image["protected"], set(image["tags"])


def test_a_protected_former_image_goes_back_and_stays(
    member: Glance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Glance, "in_use", lambda glance, image: False)
    first = publish(member, order(tmp_path, "guarded", "one", protected=True, tags=("one",)), QUIET).image
    second = publish(member, order(tmp_path, "guarded", "two", protected=True, keep=0), QUIET)
    assert (second.removed, second.notes) == ((), (f"{first} is protected",))
    assert _marks(member, second.image) == (True, set())
    assert rollback(member, "guarded", QUIET, settle=0.1).image == first
    assert _marks(member, first) == (True, {"one"})
