"""Scratch folders: gone at the end, swept when their owner was killed, left alone while it lives."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from goldsmith.bake import scratch
from goldsmith.bake.scratch import scratch_folder, scratch_parent, sweep
from goldsmith.errors import HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.host.files import locked
from goldsmith.host.jail import Jail, root_jail, user_jail
from goldsmith.settings import Settings, from_environment

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

OWNER = """\
import sys, time
from pathlib import Path
from goldsmith.bake.scratch import scratch_folder
from goldsmith.host.jail import user_jail

with user_jail({"PATH": "/usr/bin:/bin"}) as jail, scratch_folder(Path(sys.argv[1]), jail) as folder:
    (folder / "disk.raw").write_bytes(bytes(2**20))
    print(folder, flush=True)
    time.sleep(60)
"""


def _builds(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.glob("build-*"))


@contextlib.contextmanager
def _owner(parent: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that builds in a scratch folder below ``parent``; and that folder."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, parent], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process, Path(process.stdout.readline().strip()).parent
    finally:
        process.kill()
        process.communicate()


def test_a_folder_is_empty_its_own_and_gone_at_the_end(jail: Jail, tmp_path: Path) -> None:
    parent = tmp_path / "not/yet/there"
    with scratch_folder(parent, jail) as first, scratch_folder(parent, jail) as second:
        assert list(first.iterdir()) == list(second.iterdir()) == []
        assert first != second
        (first / "tree").mkdir()
        (first / "tree/file").write_text("x")
        assert len(_builds(parent)) == 2
    assert _builds(parent) == []


def test_it_is_gone_after_an_error_too(jail: Jail, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path, jail):
        raise ZeroDivisionError
    assert _builds(tmp_path) == []


def test_a_jail_that_ended_does_not_cover_the_error(tmp_path: Path) -> None:
    with user_jail(ENVIRONMENT) as jail:
        with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path, jail):
            jail.close()
            raise ZeroDivisionError
        assert len(_builds(tmp_path)) == 1
    with user_jail(ENVIRONMENT) as jail:
        assert len(sweep(tmp_path, jail)) == 1
    assert _builds(tmp_path) == []


def test_what_a_killed_build_left_is_swept(jail: Jail, tmp_path: Path) -> None:
    with _owner(tmp_path) as (process, folder):
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        assert (folder / "work/disk.raw").is_file()
        assert sweep(tmp_path, jail) == [f"removed {folder}"]
    assert not folder.exists()
    assert sweep(tmp_path, jail) == []


def test_a_living_build_is_left_alone(jail: Jail, tmp_path: Path) -> None:
    with _owner(tmp_path) as (process, folder):
        assert sweep(tmp_path, jail) == []
        assert process.poll() is None
        assert (folder / "work/disk.raw").is_file()


def test_a_build_that_stopped_before_its_lock(jail: Jail, tmp_path: Path) -> None:
    (tmp_path / "build-half").mkdir()
    assert sweep(tmp_path, jail) == [f"removed {tmp_path}/build-half"]


def test_nothing_else_is_swept(jail: Jail, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "rebuild-1").mkdir()
    assert sweep(tmp_path, jail) == []
    assert {path.name for path in tmp_path.iterdir()} >= {"images", "rebuild-1"}


def test_there_is_nothing_to_sweep_on_a_new_host(jail: Jail, tmp_path: Path) -> None:
    assert sweep(tmp_path / "not-yet", jail) == []


def test_another_users_folder_is_that_users_business(
    jail: Jail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "build-theirs").mkdir()

    def forbidden(path: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(scratch.os, "open", forbidden)
    assert sweep(tmp_path, jail) == []
    assert _builds(tmp_path) == ["build-theirs"]


def test_a_folder_that_cannot_be_removed_is_an_error(jail: Jail, tmp_path: Path) -> None:
    folder = tmp_path / "build-mounted"
    folder.mkdir()
    jail.run(["mount", "-t", "tmpfs", "none", folder], deadline=10)
    with pytest.raises(HarnessError, match="rm -rf --one-file-system"):
        sweep(tmp_path, jail)


def test_a_sweep_waits_while_a_folder_gets_its_lock(jail: Jail, tmp_path: Path) -> None:
    done: list[str] = []
    with locked(tmp_path / ".scratch.lock"):
        (tmp_path / "build-new").mkdir()
        thread = threading.Thread(target=lambda: done.extend(sweep(tmp_path, jail)))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert _builds(tmp_path) == ["build-new"]
    thread.join(10)
    assert done == [f"removed {tmp_path}/build-new"]


def test_the_folder_around_it_goes_when_it_is_empty(jail: Jail, tmp_path: Path) -> None:
    parent = tmp_path / "memory"
    with scratch_folder(parent, jail, lasting=False), scratch_folder(parent, jail, lasting=False):
        assert parent.stat().st_mode & 0o777 == 0o700
    assert not parent.exists()
    (parent / "of-another").mkdir(parents=True)
    with scratch_folder(parent, jail, lasting=False):
        pass
    assert [path.name for path in parent.iterdir()] == ["of-another"]


@pytest.mark.parametrize("lasting", [True, False])
def test_sweeps_never_hurt_builds_that_come_and_go(tmp_path: Path, lasting: bool) -> None:
    parent = tmp_path / "parent"
    wrong: list[str] = []
    ended = Deadline.after(1.0)

    def build() -> None:
        try:
            with user_jail(ENVIRONMENT) as jail:
                while not ended.passed:
                    with scratch_folder(parent, jail, lasting=lasting) as folder:
                        (folder / "file").write_text("x")
                        time.sleep(0.002)
                        (folder / "file").read_text()
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    with user_jail(ENVIRONMENT) as jail:
        while not ended.passed:
            sweep(parent, jail)
    for thread in threads:
        thread.join()
    assert wrong == []
    assert not parent.exists() or _builds(parent) == []
    assert lasting or list(parent.glob("build-*")) == []


def _attached(path: Path) -> str:
    """A loop device on ``path``; skips the test where there is none to be had."""
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    losetup = shutil.which("losetup", path=ENVIRONMENT["PATH"])
    if not losetup:
        pytest.skip("losetup is not installed")
    with path.open("wb") as stream:
        stream.truncate(2**20)
    done = subprocess.run([losetup, "--find", "--show", path], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this host has no loop devices: {done.stderr.strip()}")
    return done.stdout.strip()


def _listed(device: str) -> list[dict[str, str]]:
    done = subprocess.run(["losetup", "--list", "--json"], capture_output=True, text=True, check=True)
    devices: list[dict[str, str]] = json.loads(done.stdout or '{"loopdevices": []}')["loopdevices"]
    return [entry for entry in devices if entry["name"] == device]


@pytest.mark.parametrize("through_link", [False, True])
def test_a_loop_device_of_a_killed_build_is_freed(tmp_path: Path, through_link: bool) -> None:
    parent = tmp_path / "work"
    (parent / "build-killed/work").mkdir(parents=True)
    (tmp_path / "link").symlink_to(parent)
    mine = tmp_path / "build-killed.raw"
    devices: list[str] = []
    try:
        devices.append(_attached(parent / "build-killed/work/disk.raw"))
        devices.append(_attached(mine))
        folder = tmp_path / "link" if through_link else parent
        with root_jail(ENVIRONMENT) as jail:
            done = sweep(folder, jail)
        assert done == [f"freed {devices[0]}", f"removed {folder}/build-killed"]
        assert _listed(devices[0]) == []
        assert _listed(devices[1]), "a device that is none of the build's was freed"
    finally:
        for device in devices:
            if _listed(device):
                subprocess.run(["losetup", "--detach", device], check=False)


def _settings(folder: Path) -> Settings:
    return replace(from_environment({"HOME": str(folder)}), memory_dir=folder / "memory")


@pytest.mark.parametrize(("available", "memory"), [(30 * 2**20, True), (30 * 2**20 - 1, False)])
def test_builds_work_in_memory_where_there_is_plenty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int, memory: bool
) -> None:
    settings = _settings(tmp_path)
    monkeypatch.setattr(scratch, "available_memory", lambda: available)
    assert scratch_parent(settings, 10 * 2**20) == (settings.memory_dir if memory else settings.work_dir)
    assert scratch_parent(replace(settings, memory_dir=None), 1) == settings.work_dir


def test_nobody_elses_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(tmp_path)
    monkeypatch.setattr(scratch, "available_memory", lambda: 2**40)
    assert settings.memory_dir is not None
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    settings.memory_dir.symlink_to(tmp_path / "elsewhere")
    assert scratch_parent(settings, 1) == settings.work_dir
    settings.memory_dir.unlink()
    settings.memory_dir.mkdir(mode=0o755)
    assert scratch_parent(settings, 1) == settings.work_dir
    settings.memory_dir.chmod(0o700)
    assert scratch_parent(settings, 1) == settings.memory_dir
    monkeypatch.setattr(scratch.os, "getuid", lambda: 12345)
    assert scratch_parent(settings, 1) == settings.work_dir


def test_without_room_in_it_or_a_place_for_it_the_disk_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(tmp_path)
    monkeypatch.setattr(scratch, "available_memory", lambda: 2**60)
    assert scratch_parent(settings, 2**58) == settings.work_dir
    assert scratch_parent(replace(settings, memory_dir=tmp_path / "not/there"), 1) == settings.work_dir


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_programs_and_devices_work_wherever_it_lies(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nodev,nosuid,noexec", "none", tmp_path], check=True)
    try:
        with root_jail(ENVIRONMENT) as jail:
            with scratch_folder(tmp_path, jail) as folder:
                (folder / "program").write_text("#!/bin/sh\necho works > $1\n")
                (folder / "program").chmod(0o755)
                jail.run(["mknod", folder / "null", "c", "1", "3"], deadline=30)
                jail.run([folder / "program", folder / "null"], deadline=30)
                jail.run([folder / "program", folder / "said"], deadline=30)
                assert (folder / "said").read_text() == "works\n"
            assert _builds(tmp_path) == []
            # The host's own view of it stays as it was.
            assert jail.run(["findmnt", "-n", "-o", "OPTIONS", tmp_path], deadline=30).stdout.count("noexec") == 1
    finally:
        subprocess.run(["umount", tmp_path], check=True)
