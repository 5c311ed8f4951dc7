"""What a cloud's own state can do to a publication: full, beyond a quota, with a wrong clock, with tokens that end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cloud_images import LEASE, order, publish_old, unharmed
from cloud_services import Cloud
from fault_proxy import Fault, Proxy

from goldsmith.errors import ExitCode, HostError
from goldsmith.host.progress import Progress
from goldsmith.publish.glance import names
from goldsmith.publish.glance.claim import claimed
from goldsmith.publish.glance.publisher import publish
from goldsmith.publish.glance.service import Glance, connect
from goldsmith.publish.glance.upload import Method

QUIET = Progress(quiet=True)
DATA = r"PUT .*/(file|stage)"
LARGE = 4 * 2**20
#: Glance knows seconds: claims of the same one are ordered by their ids, by chance that is
A_SECOND = 1.1


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """For the body, a folder of the server lies on a disk of 1 MiB."""
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*root, "mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run([*root, "umount", "--lazy", folder], check=True)


@pytest.mark.parametrize(("method", "folder"), [("put", "store"), ("import", "staging")])
def test_full_disk_at_the_server(cloud: Cloud, between: Proxy, tmp_path: Path, method: Method, folder: str) -> None:
    member, old = publish_old(tmp_path)
    asked = order(tmp_path, "web", "new", method=method, size=LARGE)
    with _small_disk(cloud.folder / folder):
        with pytest.raises(HostError, match=r"full|413") as caught:
            publish(member, asked, QUIET)
        assert caught.value.exit_code == ExitCode.HOST
        unharmed(member, old)
    assert publish(member, asked, QUIET).previous == old


# Of an import Glance says where it failed, and why in its log alone.
@pytest.mark.parametrize(("method", "says"), [("put", "quota"), ("import", "failed in file")])
def test_quota_is_used_up(cloud: Cloud, between: Proxy, tmp_path: Path, method: Method, says: str) -> None:
    member, old = publish_old(tmp_path)
    asked = order(tmp_path, "web", "new", method=method, size=LARGE)
    cloud.restart_glance("user_storage_quota = 1MB")
    try:
        with pytest.raises(HostError, match=says):
            publish(member, asked, QUIET)
        unharmed(member, old)
    finally:
        cloud.restart_glance()
    assert publish(member, asked, QUIET).previous == old


@pytest.mark.parametrize("hours", [-1, 1])
def test_only_the_servers_clock_counts(between: Proxy, tmp_path: Path, hours: int) -> None:
    member, old = publish_old(tmp_path)
    between.skew = timedelta(hours=hours)
    spoiled = connect("spoiled")
    # One that lives is not taken for dead ...
    with claimed(member, "web", LEASE, QUIET):
        time.sleep(A_SECOND)
        with pytest.raises(HostError, match="another publication"):
            publish(spoiled, order(tmp_path, "web", "new"), QUIET)
    unharmed(member, old)
    # ... and one that is dead is not waited for in vain.
    dead = {"name": "web.claim", "visibility": "private", "os_hidden": True, names.NAME: "web", names.CLAIM: "dead"}
    claim = str(member.create(dead)["id"])
    time.sleep(A_SECOND)
    assert publish(spoiled, order(tmp_path, "web", "new"), QUIET).previous == old
    assert member.image(claim) is None


@pytest.mark.parametrize("method", ["put", "import"])
def test_token_ends_in_the_middle_of_an_upload(cloud: Cloud, between: Proxy, tmp_path: Path, method: Method) -> None:
    member, old = publish_old(tmp_path)
    spoiled = connect("spoiled")

    def revoke() -> None:
        session = spoiled.connection.session
        token = session.get_token()
        cloud.connect("member").session.delete(
            f"http://127.0.0.1:{cloud.keystone.port}/v3/auth/tokens", headers={"X-Subject-Token": token}
        )
        # Revoked from the next second on.
        time.sleep(1.1)

    between.faults = [Fault(DATA, share=0.5, act=revoke, cut=False)]
    asked = order(tmp_path, "web", "new", method=method, size=LARGE)
    before = spoiled.connection.session.get_token()
    done = publish(spoiled, asked, QUIET)
    assert spoiled.connection.session.get_token() != before
    assert done.previous == old
    assert _shown(member) == [(done.image, asked.manifest.sha512)]


def _shown(member: Glance) -> list[tuple[str, str]]:
    return [(image["id"], image["os_hash_value"]) for image in member.images() if not image["os_hidden"]]
