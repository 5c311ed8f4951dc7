"""Jails: real namespaces, and nothing left of them however their owner ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from goldsmith.errors import CommandFailedError, HarnessError, HostError
from goldsmith.host import jail as jail_module
from goldsmith.host.deadline import Deadline
from goldsmith.host.jail import Jail, root_jail, user_jail

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def _root_at_hand() -> bool:
    if os.geteuid() == 0:
        return True
    return (
        bool(shutil.which("sudo"))
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    )


needs_root = pytest.mark.skipif(not _root_at_hand(), reason="needs root, or sudo without a password")


def _alive(marker: str) -> list[int]:
    """Host processes whose command line holds ``marker``, but for this one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if marker in words and int(entry.parent.name) != os.getpid():
            found.append(int(entry.parent.name))
    return found


def _wait_until_gone(marker: str) -> None:
    Deadline.after(10).wait_for(lambda: not _alive(marker), f"end of the processes {marker}")


@pytest.fixture
def jail() -> Iterator[Jail]:
    with user_jail(ENVIRONMENT) as made:
        yield made


@pytest.mark.parametrize("nice", [0, 15])
def test_work_beside_leaves_the_processors_to_others(jail: Jail, nice: int) -> None:
    script = "sleep 1; nice; cat /proc/self/autogroup 2>/dev/null || true"
    own, *group = jail.run(["sh", "-c", script], deadline=10, nice=nice).stdout.splitlines()
    assert int(own) == (nice or os.getpriority(os.PRIO_PROCESS, 0))
    # Where the kernel has such groups.
    assert not group or group[0].endswith(f"nice {nice}")


def test_the_caller_is_root_in_a_network_of_its_own(jail: Jail) -> None:
    assert jail.run(["id", "-u"], deadline=10).stdout == "0\n"
    links = jail.run(["ip", "-brief", "link"], deadline=10).stdout.split("\n")
    assert [line.split()[0] for line in links if line] == ["lo"]


def test_processes_see_only_the_jail(jail: Jail) -> None:
    pids = jail.run(["sh", "-c", "echo /proc/[0-9]*"], deadline=10).stdout.split()
    assert 0 < len(pids) < 5


def test_environment_is_the_given_one_alone(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "1")
    shown = jail.run(["env"], deadline=10, env={"ADDED": "x"}).stdout.splitlines()
    assert "ADDED=x" in shown
    assert not [line for line in shown if line.startswith("LEAK")]


def test_run_takes_input_folder_and_log(jail: Jail, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("text")
    log = tmp_path / "log"
    done = jail.run(
        ["sh", "-c", "cat; pwd; echo err >&2"], deadline=10, stdin=tmp_path / "in", cwd=tmp_path, log_file=log
    )
    assert done.stdout == ""
    assert log.read_text() == f"text{tmp_path}\nerr\n"


def test_failures_are_those_of_the_runner(jail: Jail) -> None:
    with pytest.raises(CommandFailedError, match="exited 3") as caught:
        jail.run(["sh", "-c", "echo why >&2; exit 3"], deadline=10)
    assert caught.value.tail == "why"
    assert jail.run(["false"], deadline=10, check=False).returncode == 1
    with pytest.raises(HostError, match="could not be started: FileNotFoundError"):
        jail.run(["no-such-tool"], deadline=10)


def test_deadline_kills_and_the_jail_goes_on(jail: Jail) -> None:
    started = time.monotonic()
    with pytest.raises(CommandFailedError, match="was still running"):
        jail.run(["sh", "-c", "sleep 60 & wait"], deadline=0.5)
    assert time.monotonic() - started < 10
    assert jail.run(["echo", "on"], deadline=10).stdout == "on\n"


def test_threads_share_a_jail(jail: Jail) -> None:
    def ask(number: int) -> str:
        return jail.run(["echo", "x" * 20_000, str(number)], deadline=30).stdout.split()[1]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == [str(number) for number in range(40)]


def test_spawned_processes_are_polled_and_signalled(jail: Jail, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert jail.spawn("napper", ["sh", "-c", "echo up; exec sleep 60"], log_file=log) > 1
    Deadline.after(10).wait_for(lambda: log.exists() and log.read_text() == "up\n", "the napper's word")
    assert jail.poll("napper") is None
    jail.signal("napper", signal.SIGTERM)
    Deadline.after(10).wait_for(lambda: jail.poll("napper") is not None, "end of the napper")
    assert jail.poll("napper") == -signal.SIGTERM
    assert log.read_text() == "up\n"
    with pytest.raises(HarnessError, match="nobody"):
        jail.poll("nobody")
    with pytest.raises(HostError, match="ghost could not be started"):
        jail.spawn("ghost", ["no-such-tool"], log_file=log)


def test_end_of_the_jail_takes_its_processes_along(tmp_path: Path) -> None:
    marker = f"86.{os.getpid()}"
    with user_jail(ENVIRONMENT) as jail:
        jail.spawn("napper", ["sleep", marker], log_file=tmp_path / "log")
        # One that left its session and its parent must go too.
        jail.run(["sh", "-c", f"setsid sleep {marker} >/dev/null 2>&1 &"], deadline=10)
        Deadline.after(10).wait_for(lambda: len(_alive(marker)) == 2, "two processes in the jail")
    _wait_until_gone(marker)
    with pytest.raises(HarnessError, match="the jail ended"):
        jail.run(["true"], deadline=10)
    jail.close()


@pytest.mark.parametrize("kind", ["user_jail", pytest.param("root_jail", marks=needs_root)])
def test_kill_9_of_the_owner_leaves_nothing(kind: str, tmp_path: Path) -> None:
    marker = f"87.{os.getpid()}"
    mark = tmp_path / "mounted"
    mark.mkdir()
    code = (
        "import time\nfrom pathlib import Path\n"
        f"from goldsmith.host.jail import {kind}\n"
        f"with {kind}({ENVIRONMENT!r}) as jail:\n"
        f"    jail.run(['mount', '-t', 'tmpfs', 'none', {str(mark)!r}], deadline=10)\n"
        f"    jail.spawn('napper', ['sleep', {marker!r}], log_file=Path({str(tmp_path / 'log')!r}))\n"
        f"    Path({str(tmp_path / 'ready')!r}).touch()\n"
        "    time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code])
    Deadline.after(30).wait_for(lambda: (tmp_path / "ready").exists() or owner.poll() is not None, "the jail's start")
    assert owner.poll() is None
    # The owner's own command line holds the marker as well.
    assert set(_alive(marker)) - {owner.pid}
    owner.kill()
    owner.wait()
    _wait_until_gone(marker)
    assert str(mark) not in Path("/proc/self/mountinfo").read_text()


@needs_root
def test_root_jail_is_the_hosts_root_with_mounts_of_its_own(tmp_path: Path) -> None:
    with root_jail(ENVIRONMENT) as jail:
        assert jail.run(["cat", "/proc/self/uid_map"], deadline=10).stdout.split() == ["0", "0", "4294967295"]
        jail.run(["mount", "-t", "tmpfs", "none", tmp_path], deadline=10)
        jail.run(["touch", tmp_path / "inside"], deadline=10)
        assert list(tmp_path.iterdir()) == []
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_namespaces_refused_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with (
        pytest.raises(HostError, match="namespaces cannot be made: unshare: unshare failed") as caught,
        user_jail(ENVIRONMENT),
    ):
        pass
    assert "sysctl" in (caught.value.hint or "")


def test_missing_unshare_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="unshare is not installed"), user_jail(ENVIRONMENT):
        pass


def test_a_user_goes_through_sudo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    sudo = tmp_path / "sudo"
    sudo.write_text(f'#!/bin/sh\necho "$@" > {asked}\necho "sudo: a password is required" >&2\nexit 1\n')
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(jail_module.os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="a password is required") as caught, root_jail(ENVIRONMENT):
        pass
    assert "sudo -v" in (caught.value.hint or "")
    assert asked.read_text().startswith("--non-interactive unshare")


def test_modes_of_new_files_are_not_the_callers_choice() -> None:
    before = os.umask(0o077)
    try:
        with user_jail(ENVIRONMENT) as made:
            assert made.run(["sh", "-c", "umask"], deadline=10).stdout == "0022\n"
    finally:
        os.umask(before)
