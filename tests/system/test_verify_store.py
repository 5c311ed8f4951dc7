"""--verify-store against a real Swift: what Glance stored is found and compared; each way of spoiling it is found."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cloud_images import order
from cloud_services import PASSWORD, Cloud
from swift_services import Swift

from goldsmith.commands import clouds
from goldsmith.commands.store import Look, as_text
from goldsmith.errors import CheckFailedError
from goldsmith.host.progress import Progress
from goldsmith.inspection.swift_at_rest import require_at_rest
from goldsmith.publish.glance.publisher import Order
from goldsmith.publish.glance.service import Glance, connect

pytestmark = pytest.mark.matrix
QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def swift(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    made = Swift(cloud, tmp_path_factory.mktemp("swift"))
    try:
        made.start()
        yield made
    finally:
        made.close()
        # What comes after these tests finds Glance on files again.
        cloud.write_clouds()
        cloud.restart_glance()


def _look(asked: Order, look: Look) -> dict[str, Any]:
    """As `goldsmith publish --verify-store` says it of one cloud."""
    return clouds.each(["member"], lambda cloud: clouds.published(connect(cloud), asked, QUIET, look))[0]


def _failed(asked: Order, look: Look, *words: str) -> None:
    told = _look(asked, look)
    assert told["exit_code"] == 1, told
    assert told["error"]["kind"] == CheckFailedError.__name__
    for word in (*words, "goldsmith rollback"):
        assert word in told["text"]


def _whole(swift: Swift) -> Look:
    return Look("store", devices=swift.devices, conf=swift.conf)


@pytest.fixture
def single(swift: Swift, member: Glance, tmp_path: Path) -> Callable[..., tuple[Order, dict[str, Any]]]:
    """Publishes to a single-tenant store that shows nothing of itself."""
    del member

    def publish(content: str, *, more: str = "", **facts: Any) -> tuple[Order, dict[str, Any]]:
        swift.glance_stores_here(more=more)
        asked = order(tmp_path, "web", content, **facts)
        told = _look(asked, _whole(swift))
        assert told["exit_code"] == 0, told
        return asked, told

    return publish


def test_object_by_convention_and_each_way_of_spoiling_it(
    swift: Swift, single: Callable[..., tuple[Order, dict[str, Any]]]
) -> None:
    asked, told = single("plain")
    found = told["store"]
    md5 = hashlib.md5(asked.image.read_bytes(), usedforsecurity=False).hexdigest()
    assert (found["container"], found["object"], found["place"]) == ("glance", told["image"], "by convention")
    assert found["parts"] == [{"object": told["image"], "size": asked.manifest.size, "etag": md5}]
    file = swift.object_file(found["account"], "glance", told["image"])
    assert found["at_rest"] == [str(file)]
    assert "ETags, metadata of 1 replicas at rest as they should be" in as_text(found)

    # With the publisher's own credentials the account of Glance's user is out of sight: that is no verdict.
    hidden = _look(asked, Look())
    assert (hidden["exit_code"], hidden["error"]["kind"]) == (2, "HiddenError")
    assert "--store-cloud" in hidden["text"]

    # One byte of the metadata at rest; the object server is not asked meanwhile, it would quarantine the object.
    good = os.getxattr(file, "user.swift.metadata")
    os.setxattr(file, "user.swift.metadata", good.replace(b"Content-Length", b"Content-LengtH"))
    path = f"/{found['account']}/glance/{told['image']}"
    with pytest.raises(CheckFailedError, match="MD5 of its metadata"):
        require_at_rest(swift.devices, swift.conf, path, asked.manifest.size, md5)
    os.setxattr(file, "user.swift.metadata", good)
    assert _look(asked, _whole(swift))["exit_code"] == 0

    objects = swift.objects()
    data = asked.image.read_bytes()
    # As long as the true one, other bytes: behind Glance's back.
    objects.put(f"/glance/{told['image']}", data=b"X" + data[1:]).raise_for_status()
    _failed(asked, _whole(swift), "has the ETag", md5)
    objects.put(f"/glance/{told['image']}", data=data[:-1]).raise_for_status()
    _failed(asked, _whole(swift), f"has {len(data) - 1} bytes", str(len(data)))
    objects.delete(f"/glance/{told['image']}").raise_for_status()
    _failed(asked, _whole(swift), "the object is missing", f"glance/{told['image']}")


def test_segments_are_compared_one_by_one(swift: Swift, single: Callable[..., tuple[Order, dict[str, Any]]]) -> None:
    """The segments are those that Glance would make; its own upload of a large image fails with glance_store 5.7."""
    asked, told = single("large", size=2 * 2**20, more="show_multiple_locations = true")
    assert (told["store"]["large"], told["store"]["place"]) == (None, "from Glance")
    # The address that Glance shows holds a password.
    assert PASSWORD not in str(told)
    data, image = asked.image.read_bytes(), told["image"]
    pieces = [data[at : at + 2**20] for at in range(0, len(data), 2**20)]
    assert len(pieces) >= 3
    assert len(pieces[-1]) < 2**20
    objects = swift.objects()
    for number, piece in enumerate(pieces, 1):
        objects.put(f"/glance/{image}-{number:05}", data=piece).raise_for_status()
    objects.put(f"/glance/{image}", headers={"X-Object-Manifest": f"glance/{image}-"}).raise_for_status()
    found = _look(asked, _whole(swift))["store"]
    assert (found["large"], found["size"]) == ("DLO", len(data))
    assert [part["size"] for part in found["parts"]] == [len(piece) for piece in pieces]
    assert len(found["at_rest"]) == len(pieces)
    second = f"{image}-00002"
    objects.put(f"/glance/{second}", data=b"X" * 2**20).raise_for_status()
    _failed(asked, _whole(swift), f"segment {second} has the ETag")
    objects.delete(f"/glance/{second}").raise_for_status()
    _failed(asked, _whole(swift), f"{len(data) - 2**20} bytes in {len(pieces) - 1} segments")


def test_tenants_own_account(swift: Swift, member: Glance, tmp_path: Path) -> None:
    swift.glance_stores_here(tenants=True, more="show_image_direct_url = true")
    asked = order(tmp_path, "web", "own")
    told = _look(asked, Look())
    assert told["exit_code"] == 0, told
    assert told["store"]["container"] == f"glance_{told['image']}"
    assert told["store"]["account"] == f"AUTH_{member.project}"
    assert told["store"]["place"] == "from Glance"


def test_store_of_files_is_said(cloud: Cloud, member: Glance, tmp_path: Path) -> None:
    cloud.restart_glance("show_image_direct_url = true")
    told = _look(order(tmp_path, "web", "files"), Look())
    assert told["exit_code"] == 2
    assert "is stored by file, not in Swift" in told["text"]
