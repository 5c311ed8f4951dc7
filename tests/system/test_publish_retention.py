"""Which former images go: Nova is asked, and who does not say it keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud_images import order
from cloud_services import Cloud
from compute_standin import Compute, compute_of

from goldsmith.host.progress import Progress
from goldsmith.publish.glance.publisher import publish
from goldsmith.publish.glance.service import Glance, connect

QUIET = Progress(quiet=True)


@pytest.fixture
def compute(cloud: Cloud, member: Glance) -> Iterator[Compute]:
    with compute_of(cloud) as made:
        yield made


def _three(folder: Path, visibility: str = "private") -> list[str]:
    glance = connect("member")
    return [
        publish(glance, order(folder, "kept", str(number), visibility=visibility), QUIET).image for number in range(3)
    ]


def test_what_has_servers_stays_and_the_rest_goes(compute: Compute, tmp_path: Path) -> None:
    first, second, third = _three(tmp_path)
    compute.servers = {first}
    done = publish(connect("member"), order(tmp_path, "kept", "2", keep=0), QUIET)
    assert (done.did, done.removed, done.notes) == ("nothing", (second,), (f"{first} is in use",))
    assert {image["id"] for image in connect("member").images()} == {first, third}


def test_servers_of_other_projects_are_asked_for_where_others_see_the_image(compute: Compute, tmp_path: Path) -> None:
    compute.admins_only = True
    first, second, _ = _three(tmp_path)
    # A private image can only have servers of its own project.
    done = publish(connect("member"), order(tmp_path, "kept", "2", keep=1), QUIET)
    assert done.removed == (first,)
    assert all("all_tenants" in path for path in compute.asked[::2])
    # A public one may have others, and nobody here may look.
    connect("member").patch(second, [{"op": "replace", "path": "/visibility", "value": "public"}])
    done = publish(connect("member"), order(tmp_path, "kept", "2", keep=0), QUIET)
    assert done.removed == ()
    assert second in done.notes[0]


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_nova_that_does_not_say_keeps_them(compute: Compute, tmp_path: Path, status: int) -> None:
    first, second, third = _three(tmp_path)
    compute.status = status
    done = publish(connect("member"), order(tmp_path, "kept", "2", keep=0), QUIET)
    assert done.removed == ()
    assert {note.partition(":")[0] for note in done.notes} == {first, second}
    assert {image["id"] for image in connect("member").images()} == {first, second, third}
