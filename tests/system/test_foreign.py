"""goldsmith verify on Debian images that goldsmith did not make, as they are: with cloud-init, and without."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from foreign_images import ForeignImages
from system_help import Result

from goldsmith.host.files import file_digest

pytestmark = pytest.mark.system

VARIANTS = {"plain": (), "cloud-init": ("cloud-init",)}


@dataclass(frozen=True)
class Verified:
    """An image, the command's result, and the image's sha256 before."""

    image: Path
    before: str
    result: Result


@pytest.fixture(scope="module")
def verified(workshop, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Verified]:
    """Makes and verifies both, side by side: a guest that boots keeps one processor busy."""
    folder = tmp_path_factory.mktemp("foreign")

    def work(name: str) -> Verified:
        image = ForeignImages(folder, workshop.settings.mirror).make(name, VARIANTS[name])
        before = file_digest(image)
        return Verified(image, before, workshop.goldsmith("verify", image, "--again"))

    with ThreadPoolExecutor(max_workers=2) as pool:
        futures: dict[str, Future[Verified]] = {name: pool.submit(work, name) for name in VARIANTS}
    return lambda name: futures[name].result()


@pytest.mark.parametrize("name", VARIANTS)
def test_it_is_verified_as_it_is(verified: Callable[[str], Verified], name: str) -> None:
    done = verified(name)
    assert done.result.returncode == 0, done.result.stderr[-6000:]
    document = done.result.document
    assert document["status"] == "pass"
    assert document["firmware"] == ["bios"]
    asked = {(verdict["element"], verdict["check"]) for verdict in document["verdicts"]}
    assert {("goldsmith", "settled"), ("goldsmith", "login-prompt"), ("goldsmith", "image-unchanged")} <= asked
    assert document["sha256"] == done.before == file_digest(done.image)


@pytest.mark.parametrize(("name", "way"), [("plain", "unit"), ("cloud-init", "cloud-init")])
def test_the_way_in_follows_from_what_is_in_it(verified: Callable[[str], Verified], name: str, way: str) -> None:
    channel = verified(name).result.document["channel"]
    assert channel.startswith(f"{way}: systemd 252 makes no unit of a credential")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_course_of_the_boot_is_told(verified: Callable[[str], Verified], name: str) -> None:
    (timeline,) = verified(name).result.document["timelines"]
    phases = [phase["name"] for phase in timeline["phases"]]
    assert {"GRUB", "kernel", "systemd", "login"} <= set(phases)
    assert ("cloud-init modules-final" in phases) is (name == "cloud-init")
    assert not timeline["stalled"]


def test_what_the_boot_left_is_told(verified: Callable[[str], Verified]) -> None:
    (left,) = verified("plain").result.document["left"]
    assert any(entry["path"].startswith("/var/log/") for entry in left["added"])
