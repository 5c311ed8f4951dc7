"""What can go wrong between us and Glance: users notice nothing, nothing stays, the error is of the right kind."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
from cloud_images import order, publish_old, unharmed
from cloud_services import PASSWORD, Cloud
from fault_proxy import Fault, Proxy

from goldsmith.errors import CheckFailedError, GoldsmithError, HostError, InputError
from goldsmith.host.progress import Progress
from goldsmith.publish.glance.claim import Lease
from goldsmith.publish.glance.publisher import Done, publish
from goldsmith.publish.glance.service import connect

QUIET = Progress(quiet=True)
DATA = r"PUT .*/(file|stage)"


@pytest.mark.parametrize(
    ("status", "error"),
    [(409, HostError), (413, HostError), (415, CheckFailedError), (500, HostError), (503, HostError)],
)
def test_refused_upload_changes_nothing(
    between: Proxy, tmp_path: Path, status: int, error: type[GoldsmithError]
) -> None:
    member, old = publish_old(tmp_path)
    between.faults = [Fault(DATA, status=status)]
    with pytest.raises(error, match=str(status)):
        publish(connect("spoiled"), order(tmp_path, "web", "new"), QUIET)
    unharmed(member, old)
    assert publish(connect("spoiled"), order(tmp_path, "web", "new"), QUIET).previous == old


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_connection_changes_nothing(between: Proxy, tmp_path: Path, share: float) -> None:
    member, old = publish_old(tmp_path)
    between.faults = [Fault(DATA, share=share)]
    with pytest.raises(HostError, match="no answer"):
        publish(connect("spoiled"), order(tmp_path, "web", "new", method="put"), QUIET)
    unharmed(member, old)


def test_expired_token_is_renewed_and_all_bytes_are_sent_again(between: Proxy, tmp_path: Path) -> None:
    between.faults = [Fault(DATA, status=401)]
    asked = order(tmp_path, "web", "new")
    done = publish(connect("spoiled"), asked, QUIET)
    assert connect("member").images()[0]["os_hash_value"] == asked.manifest.sha512
    assert done.did == "published"


def test_failed_switch_shows_the_old_image_again(between: Proxy, tmp_path: Path) -> None:
    member, old = publish_old(tmp_path)
    # The first PATCH prepares the new image, the second hides the old one, the third would show the new one.
    between.faults = [Fault(r"PATCH .*", times=2), Fault(r"PATCH .*", status=500)]
    quiet = Lease(silence=4, beat=60)
    with pytest.raises(HostError, match="500"):
        publish(connect("spoiled"), order(tmp_path, "web", "new", lease=quiet), QUIET)
    unharmed(member, old)


def test_stuck_import_is_given_up_and_removed(between: Proxy, tmp_path: Path) -> None:
    member, old = publish_old(tmp_path)
    between.faults = [Fault(r"POST .*/import", status=202)]
    with pytest.raises(HostError, match="not within"):
        publish(connect("spoiled"), order(tmp_path, "web", "new", method="import", patience=2), QUIET)
    unharmed(member, old)


def test_wrong_password_is_wrong_input_and_not_told(between: Proxy, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="does not take these credentials") as caught:
        connect("wrong")
    assert "not-this-one" not in str(caught.value) + "".join(capfd.readouterr())


def test_glance_killed_in_the_middle(cloud: Cloud, between: Proxy, tmp_path: Path) -> None:
    member, old = publish_old(tmp_path)
    between.faults = [Fault(DATA, share=0.5, act=lambda: cloud.glance.stop(signal.SIGKILL))]
    try:
        with pytest.raises(HostError, match="no answer") as caught:
            publish(connect("spoiled"), order(tmp_path, "web", "new"), QUIET)
    finally:
        cloud.restart_glance()
    assert "the next run removes it" in str(caught.value)
    assert [i["id"] for i in member.images() if not i["os_hidden"]] == [old]
    done = publish(member, order(tmp_path, "web", "new"), QUIET)
    assert {i["id"] for i in member.images()} == {old, done.image}


def test_of_two_publishers_one_wins(between: Proxy, tmp_path: Path) -> None:
    came: list[Done | GoldsmithError] = []

    def run(folder: Path) -> None:
        try:
            came.append(publish(connect("member"), order(folder, "web", "new"), QUIET))
        except GoldsmithError as error:
            came.append(error)

    threads = [threading.Thread(target=run, args=(tmp_path / str(number),)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(each, Done) and each.did == "published" for each in came) == 1, came
    assert len(connect("member").images()) == 1


def test_password_is_nowhere_on_the_image(between: Proxy, tmp_path: Path) -> None:
    publish(connect("member"), order(tmp_path, "web", "new"), QUIET)
    assert PASSWORD not in str(connect("member").images())
