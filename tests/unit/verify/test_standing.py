"""A guest that stands ready: who boots, who goes on, and what becomes of the saved ones.  The machine is a stand-in."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from goldsmith import settings as settings_module
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import Channel
from goldsmith.boot.hardware import Shape
from goldsmith.boot.lab import MetadataCount
from goldsmith.boot.snapshot import Saved
from goldsmith.errors import CheckFailedError, HarnessError
from goldsmith.host.progress import Progress
from goldsmith.verify import settle, standing
from goldsmith.verify.compare import Finding
from goldsmith.verify.machines import BootPlan
from goldsmith.verify.subjects import LiveGuest

EVENT = '{"event": "request"}\n'


@dataclass
class Guest:
    asked: list[str] = field(default_factory=list)

    def wait_ready(self, deadline: object) -> str:
        return "boot-1"

    def run(self, command: str, deadline: object) -> Any:
        self.asked.append(command)
        return None


class Machine:
    scale = 1.0

    def __init__(self, folder: Path) -> None:
        self.guest = Guest()
        self.folder = folder
        self.overlay = folder / "overlay.qcow2"
        self.overlay.write_bytes(b"disk")
        self.restored: list[str] = []

    def keep(self, name: str, folder: Path, deadline: object) -> Saved:
        (folder / "overlay.qcow2").write_bytes(b"saved")
        return Saved(folder, name, "boot-1", b"the console\r\n")

    def restore(self, name: str, deadline: object) -> None:
        self.restored.append(name)


class Lab:
    def __init__(self, events: str) -> None:
        self.events = events

    def metadata_events(self) -> str:
        return self.events

    def metadata_log(self, earlier: str = "") -> MetadataCount:
        return MetadataCount((earlier + self.events).count("request"), 0, {}, {})


@dataclass
class World:
    """How often a machine was made, and from what."""

    folder: Path
    made: list[Saved | None] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    broken: bool = False

    @contextlib.contextmanager
    def machine(
        self, plan: BootPlan, networks: object, instance: object, *, base: Path, saved: Saved | None = None
    ) -> Iterator[tuple[Machine, Lab]]:
        self.made.append(saved)
        if saved and self.broken:
            raise HarnessError("QEMU ended")
        plan.folder.mkdir(parents=True, exist_ok=True)
        (base / "larger.qcow2").touch()
        yield Machine(plan.folder), Lab("" if saved else EVENT * 3)

    def plan(self, image: str = "a", **more: Any) -> BootPlan:
        path = self.folder / f"{image}.qcow2"
        if not path.exists():
            path.write_text(image)
        settings = settings_module.from_environment({"HOME": str(self.folder), "PATH": "/usr/bin:/bin"})
        accelerator = Accelerator("tcg", "a test", {}, 1.0)
        channel = Channel("credential", "a test")
        folder = self.folder / "run"
        return BootPlan(path, "qcow2", more.pop("firmware", "bios"), folder, settings, accelerator, channel, **more)

    def stand(self, plan: BootPlan | None = None, *, anew: bool = False) -> tuple[bool, int]:
        """Whether it went on from what was saved, and what the metadata service was asked."""
        with standing.standing(plan or self.plan(), Progress(quiet=True), anew=anew) as found:
            return found.resumed, found.metadata().requests

    def saved(self) -> list[Path]:
        return [path for path in (self.folder / ".cache/goldsmith/saved").iterdir() if path.is_dir()]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr(standing, "lab_machine", made.machine)
    monkeypatch.setattr(settle, "settled", lambda guest: made.findings)
    return made


def test_the_first_boots_and_the_others_go_on(world: World) -> None:
    assert world.stand() == (False, 3)
    # What the boot asked is known to those who did not see it.
    assert world.stand() == (True, 3)
    assert world.stand() == (True, 3)
    assert [bool(saved) for saved in world.made] == [False, True, True]
    saved = world.made[1]
    assert saved
    assert (saved.name, saved.boot, saved.console) == ("settled", "boot-1", b"the console\r\n")


def test_it_can_be_booted_all_the_same(world: World) -> None:
    world.stand()
    assert world.stand(anew=True) == (False, 3)
    assert world.stand() == (True, 3)


@pytest.mark.parametrize(
    "change", [{"firmware": "uefi"}, {"shape": Shape("q35")}, {"datasource": "nocloud"}, {"image": "b"}]
)
def test_another_machine_is_another_guest(world: World, change: dict[str, Any]) -> None:
    world.stand()
    assert world.stand(world.plan(**change)) == (False, 3)
    assert world.stand() == (True, 3)
    assert len(world.saved()) == 2


def test_an_image_that_changed_is_another_guest(world: World) -> None:
    world.stand()
    (world.folder / "a.qcow2").write_text("changed")
    assert world.stand() == (False, 3)


@pytest.mark.parametrize(
    ("name", "content"), [("state.json", None), ("state.json", b"{"), ("state.json", b"[]"), ("console.log", None)]
)
def test_what_was_not_saved_to_the_end_is_booted_again(world: World, name: str, content: bytes | None) -> None:
    world.stand()
    (folder,) = world.saved()
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    assert world.stand() == (False, 3)
    assert world.stand() == (True, 3)


def test_what_does_not_go_on_is_booted_again_and_said(world: World) -> None:
    world.stand()
    world.broken = True
    said = io.StringIO()
    with standing.standing(world.plan(), Progress(stream=said)) as found:
        assert not found.resumed
    assert "cannot be used: QEMU ended" in said.getvalue()
    world.broken = False
    assert world.stand() == (True, 3)


def test_an_error_of_the_suite_is_not_taken_for_one_of_what_was_saved(world: World) -> None:
    world.stand()
    with pytest.raises(HarnessError, match="the suite's"), standing.standing(world.plan(), Progress(quiet=True)):
        raise HarnessError("the suite's")
    assert world.stand() == (True, 3)


def test_a_guest_that_does_not_come_to_rest_is_the_images_fault_and_not_saved(world: World) -> None:
    world.findings = [settle.Stalled("rest", "a.service waits")]
    with pytest.raises(CheckFailedError, match=r"a\.service waits"):
        world.stand()
    world.findings = []
    assert world.stand() == (False, 3)


def test_one_that_rests_with_an_error_is_a_guest_all_the_same(world: World) -> None:
    world.findings = [Finding("cloud-init is done without an error", "an error")]
    assert world.stand() == (False, 3)
    assert world.stand() == (True, 3)


def test_the_oldest_go_but_none_that_is_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "KEPT", 2)
    with standing.standing(world.plan("a"), Progress(quiet=True)):
        for image in "bcd":
            world.stand(world.plan(image))
        assert len(world.saved()) == 3
    world.stand(world.plan("e"))
    assert len(world.saved()) == 2
    assert world.stand(world.plan("e")) == (True, 3)
    assert world.stand(world.plan("a")) == (False, 3)


def test_two_processes_boot_it_once(world: World) -> None:
    results: list[tuple[bool, int]] = []
    # The image is there before: half written it would be another one.
    plan = world.plan()
    threads = [threading.Thread(target=lambda: results.append(world.stand(plan))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(False, 3), (True, 3), (True, 3)]


def test_a_soiled_guest_goes_back_with_the_clock_of_now(world: World) -> None:
    with standing.standing(world.plan(), Progress(quiet=True)) as found:
        assert not found.dirty
        found.soil()
        assert found.dirty
        found.clean()
        assert not found.dirty
        machine: Any = found.machine
        assert machine.restored == ["settled"]
        assert any("date -u -s @" in command for command in machine.guest.asked)
        assert isinstance(found.guest, LiveGuest)
