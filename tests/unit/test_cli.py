"""The command line: exit codes, one document with --json, and a clean end however it comes."""

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from goldsmith import cli
from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import (
    CheckFailedError,
    CommandFailedError,
    ExitCode,
    HarnessError,
    HostError,
    InputError,
    Problem,
)
from goldsmith.host.deadline import Deadline

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDSMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GOLDSMITH_IMAGES", str(tmp_path / "images"))


def _probe(monkeypatch: pytest.MonkeyPatch, result: object) -> list[Context]:
    """Replace the commands by one, `doctor`, that raises or returns ``result``; gives the contexts it was run with."""
    seen: list[Context] = []

    def execute(args: object, context: Context) -> Outcome:
        seen.append(context)
        context.progress.note("working")
        if isinstance(result, BaseException):
            raise result
        assert isinstance(result, Outcome)
        return result

    command = types.SimpleNamespace(
        NAME="doctor", SUMMARY="s", DESCRIPTION="d", configure=lambda parser: None, execute=execute
    )
    monkeypatch.setattr(cli, "COMMANDS", (command,))
    return seen


def test_result_is_text_or_one_document(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    _probe(monkeypatch, Outcome({"a": [1]}, "a is 1", ExitCode.CHECK_FAILED))
    assert cli.main(["doctor"]) == 1
    text = capsys.readouterr()
    assert (text.out, text.err) == ("a is 1\n", "  working\n")
    assert cli.main(["--json", "doctor"]) == 1
    document = capsys.readouterr()
    assert json.loads(document.out) == {"a": [1]}
    assert document.err == "  working\n"


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (CheckFailedError("2 checks failed", where="debian-13"), 1, "goldsmith: debian-13: 2 checks failed\n"),
        (InputError("no", hint="yes"), 2, "goldsmith: no\n  hint: yes\n"),
        (HostError("no QEMU", hint="install it"), 3, "goldsmith: no QEMU\n  hint: install it\n"),
        (HarnessError("the jail ended"), 3, "goldsmith: the jail ended\n"),
        (PermissionError(13, "Permission denied", "/x"), 3, "goldsmith: /x: Permission denied\n"),
        (
            OSError(28, "No space left on device"),
            3,
            "goldsmith: No space left on device\n  hint: free some space, or set",
        ),
        (
            ModuleNotFoundError("No module named 'yaml'", name="yaml"),
            3,
            "module yaml is not installed\n  hint: run setup",
        ),
        (ValueError("odd"), 3, "goldsmith: internal error: ValueError: odd\n  hint: run it again with -v"),
        (KeyboardInterrupt(), 130, "goldsmith: interrupted"),
    ],
)
def test_error_decides_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, error: BaseException, code: int, shown: str
) -> None:
    _probe(monkeypatch, error)
    assert cli.main(["doctor"]) == code
    plain = capsys.readouterr()
    assert plain.out == ""
    assert shown in plain.err
    assert "Traceback" not in plain.err
    assert cli.main(["doctor", "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == code
    assert document["error"]["kind"] == type(error).__name__
    assert cli.main(["doctor", "-v"]) == code
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_input_error_as_a_document_has_its_problems(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    _probe(monkeypatch, InputError(problems=[Problem("r.yaml", "disk.size", "odd", "did you mean")]))
    assert cli.main(["doctor", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["problems"] == [
        {"file": "r.yaml", "path": "disk.size", "message": "odd", "suggestion": "did you mean"}
    ]


def test_failed_command_as_a_document_can_be_pasted(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    _probe(monkeypatch, CommandFailedError("false --now", status="exited 1", tail="a\nb"))
    assert cli.main(["doctor", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["command"], error["status"], error["tail"]) == ("false --now", "exited 1", ["a", "b"])


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], "required: COMMAND"),
        (["biuld"], "unknown command `biuld`, did you mean `build`"),
        (["zzz"], "there are doctor, plan"),
        (["doctor", "--netwrok"], "unrecognized arguments: --netwrok"),
        (["build"], "required: RECIPE"),
        (["verify", "r.yaml", "--firmware", "coreboot"], "invalid choice: 'coreboot'"),
        (["doctor", "--elements-path", "/nonexistent"], "not a folder"),
    ],
)
def test_wrong_words_are_wrong_input(capsys: Captured, words: list[str], shown: str) -> None:
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert shown in captured.err
    assert captured.out == ""
    assert cli.main([*words, "--json"]) == 2
    assert shown in json.dumps(json.loads(capsys.readouterr().out), ensure_ascii=False)


def test_elements_path_comes_before_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    for folder in (first, second, third):
        folder.mkdir()
    monkeypatch.setenv("ELEMENTS_PATH", str(third))
    seen = _probe(monkeypatch, Outcome({}, ""))
    assert cli.main(["doctor", "--elements-path", str(first), "--elements-path", str(second)]) == 0
    assert seen[0].settings.elements_path[:3] == (first, second, third)


def test_help_names_every_command(capsys: Captured) -> None:
    for words in ([], *([name] for name in cli.COMMAND_NAMES)):
        with pytest.raises(SystemExit) as caught:
            cli.main([*words, "--help"])
        assert caught.value.code == 0
        out = capsys.readouterr().out
        assert "--json" in out
        if not words:
            assert all(f"\n    {name} " in out for name in cli.COMMAND_NAMES)
            assert "exit status: 0 good" in out


def test_verbose_logs_commands(capsys: Captured) -> None:
    argv = [sys.executable, "-m", "goldsmith.cli", "-v", "plan", "/nonexistent.yaml"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run: /usr/" in done.stderr
    quiet = subprocess.run([word for word in argv if word != "-v"], capture_output=True, text=True, check=False)
    assert "run: " not in quiet.stderr


def test_a_command_imports_only_what_it_needs() -> None:
    code = (
        "import sys\nfrom goldsmith import cli\n"
        "heavy = {'pydantic', 'yaml', 'jsonschema', 'qemu', 'guestfs', 'oslo_utils', 'diskimage_builder', 'debian'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_doctor_works_where_libraries_are_missing(tmp_path: Path) -> None:
    code = (
        "import sys\nfor name in ('pydantic', 'yaml', 'jsonschema', 'qemu', 'oslo_utils', 'debian'):\n"
        "    sys.modules[name] = None\n"
        "from goldsmith import doctor\nfrom goldsmith.commands import doctor as command\n"
        "doctor.CHECKS = (('tools', doctor.check_tools),)\n"
        "from goldsmith import cli\nsys.exit(cli.main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "mke2fs" in done.stdout, done.stderr


#: a command that holds a jail with a process, and says when
HOLDING = """
import sys, time, types
from pathlib import Path
from goldsmith import cli
from goldsmith.commands.context import Outcome
from goldsmith.host.jail import user_jail
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)

def execute(args, context):
    try:
        with user_jail(context.settings.base_environment) as jail:
            jail.spawn("napper", ["sleep", "{marker}"], log_file=Path("{folder}/log"))
            Path("{folder}/ready").touch()
            time.sleep(60)
    finally:
        Path("{folder}/cleaned").touch()

cli.COMMANDS = (types.SimpleNamespace(
    NAME="doctor", SUMMARY="s", DESCRIPTION="d", configure=lambda parser: None, execute=execute),)
sys.exit(cli.main(["doctor", "--json"]))
"""


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [
        (signal.SIGTERM, 143, "Terminated"),
        (signal.SIGHUP, 129, "Terminated"),
        (signal.SIGINT, 130, "KeyboardInterrupt"),
    ],
)
def test_signal_ends_cleanly(tmp_path: Path, number: signal.Signals, code: int, kind: str) -> None:
    marker = f"88.{os.getpid()}{int(number)}"
    script = HOLDING.format(marker=marker, folder=tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    Deadline.after(30).wait_for(lambda: (tmp_path / "ready").exists() or process.poll() is not None, "start")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert (tmp_path / "cleaned").exists()
    assert json.loads(out)["error"]["kind"] == kind
    assert "nothing half-made was left" in err
    assert subprocess.run(["pgrep", "-f", f"sleep {marker}"], capture_output=True, check=False).returncode == 1


def test_reader_that_goes_away_is_no_error() -> None:
    code = "import sys\nfrom goldsmith import cli\nsys.exit(cli.main(['schema']))"
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode == 128 + signal.SIGPIPE


def test_schema_is_a_json_schema(capsys: Captured) -> None:
    assert cli.main(["schema"]) == 0
    plain = capsys.readouterr().out
    assert cli.main(["schema", "--json"]) == 0
    assert json.loads(plain) == json.loads(capsys.readouterr().out)
    assert "elements" in json.loads(plain)["properties"]


def test_doctor_table_and_document(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    from goldsmith import doctor

    def check(settings: object) -> list[doctor.Finding]:
        return [
            doctor.Finding("memory", True, "8 GiB"),
            doctor.Finding("tun", False, "no /dev/net/tun", "modprobe tun", ("verify",)),
            doctor.Finding("mmdebstrap", False, "not installed", "apt-get install it"),
        ]

    monkeypatch.setattr(doctor, "CHECKS", (("x", check),))
    assert cli.main(["doctor"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ok", "memory", "8", "GiB"]
    assert lines[1].split()[:2] == ["GAP", "tun"]
    assert lines[2].strip() == "-> modprobe tun (needed for: verify)"
    assert lines[3].split()[:2] == ["-", "mmdebstrap"]
    assert lines[4].strip() == "-> apt-get install it"
    assert lines[-1] == "1 gap: see the lines marked GAP"
    assert cli.main(["doctor", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["good"] is False
    assert document["findings"][1]["needed_for"] == ["verify"]
    monkeypatch.setattr(doctor, "CHECKS", (("x", lambda settings: check(settings)[:1]),))
    assert cli.main(["doctor"]) == 0
    assert "This host has all that is needed." in capsys.readouterr().out
