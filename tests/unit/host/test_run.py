"""The runner: output, deadlines, and errors that can be pasted."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from goldsmith.errors import CommandFailedError, HostError
from goldsmith.host.deadline import Deadline
from goldsmith.host.run import pasteable, run, tail


def _running(pid: int) -> bool:
    """Whether it exists and is no zombie (whose reaping is another's business)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_output_is_kept_apart() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2"], deadline=10)
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")
    assert done.seconds > 0


def test_stdin_is_given_or_empty() -> None:
    assert run(["cat"], deadline=10, stdin="täxt").stdout == "täxt"
    assert run(["cat"], deadline=10).stdout == ""


def test_environment_is_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INHERITED", "a")
    done = run(["sh", "-c", 'echo "$INHERITED$ADDED"; pwd'], deadline=10, env={"ADDED": "b"}, cwd=tmp_path)
    assert done.stdout.splitlines() == ["ab", str(tmp_path)]


def test_output_that_is_not_text_is_survived() -> None:
    assert run(["printf", r"a\377b"], deadline=10).stdout == "a�b"


def test_failure_shows_command_status_and_stderr() -> None:
    with pytest.raises(CommandFailedError) as caught:
        run(["sh", "-c", "echo why >&2; exit 7"], deadline=10, env={"A": "b c"}, hint="try harder")
    assert caught.value.status == "exited 7"
    assert caught.value.tail == "why"
    assert caught.value.hint == "try harder"
    again = subprocess.run(["bash", "-c", caught.value.command], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (7, "why\n")


def test_stdout_is_shown_when_stderr_is_empty() -> None:
    with pytest.raises(CommandFailedError, match="only here"):
        run(["sh", "-c", "echo only here; exit 1"], deadline=10)


def test_unchecked_status_is_returned() -> None:
    assert run(["false"], deadline=10, check=False).returncode == 1


def test_death_by_signal_is_named() -> None:
    with pytest.raises(CommandFailedError, match="was killed by SIGTERM"):
        run(["sh", "-c", "kill -TERM $$"], deadline=10)


def test_missing_program_is_the_hosts_lack() -> None:
    with pytest.raises(HostError, match="no-such-tool is not installed") as caught:
        run(["no-such-tool", "--x"], deadline=10)
    assert "goldsmith doctor" in (caught.value.hint or "")


def test_program_that_may_not_be_run_is_the_hosts_lack(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    with pytest.raises(HostError, match="is not installed"):
        run([tool], deadline=10)


def test_deadline_kills_the_whole_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {shlex.quote(str(pid_file))}; wait"
    started = time.monotonic()
    with pytest.raises(CommandFailedError, match="was still running after 1 s and was killed"):
        run(["sh", "-c", script], deadline=1, check=False)
    assert time.monotonic() - started < 10
    Deadline.after(10).wait_for(lambda: not _running(int(pid_file.read_text())), "the grandchild's end")


def test_log_file_takes_both_streams_and_feeds_the_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    with pytest.raises(CommandFailedError) as caught:
        run(["sh", "-c", "echo out; echo err >&2; exit 1"], deadline=10, log_file=log)
    assert log.read_text() == "before\nout\nerr\n"
    assert caught.value.tail.endswith("out\nerr")


def test_interrupt_leaves_no_process(tmp_path: Path) -> None:
    code = (
        # A shell that starts tests in the background has them ignore SIGINT.
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from goldsmith.host.run import run\n"
        f"run(['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 60'], deadline=60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    pid_file = tmp_path / "pid"
    Deadline.after(30).wait_for(lambda: pid_file.exists() and pid_file.read_text().strip(), "the child's start")
    parent.send_signal(2)
    parent.wait(20)
    child = int(pid_file.read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_pasteable_quotes_words_and_variables() -> None:
    assert pasteable(["a b", Path("/c")], {"Z": "1", "A": "x y"}) == "A='x y' Z=1 'a b' /c"


def test_tail_skips_blank_lines() -> None:
    assert tail("1\n\n2\n   \n3\n", lines=2) == "2\n3"
