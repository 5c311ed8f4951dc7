"""Parts of pytest-goldsmith that need no guest."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.testing import artefacts
from goldsmith.testing.host import host_of
from goldsmith.verify.standing import Standing

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    "test",
    [
        "test_a.py",
        "tests/test_a.py::test_b[bios]",
        "tests/test_a.py::test_b[../../etc/passwd]",
        "tests/test_a.py::test_b[" + "x" * 400 + "]",
        "a.py::TestÄ::test[\N{SNOWMAN} \n]",
    ],
)
def test_a_folder_for_each_test(tmp_path: Path, test: str) -> None:
    folder = artefacts.folder_of(tmp_path, test)
    assert folder.parent == tmp_path
    assert len(folder.name) < 150
    folder.mkdir()
    assert artefacts.folder_of(tmp_path, test) == folder


def test_ids_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    folders = {artefacts.folder_of(tmp_path, test) for test in ("a::b", "a-b", "a/b", "a-::b", "a.b")}
    assert len(folders) == 5


class Console:
    def tail(self, lines: int) -> str:
        return "the end"


class Gone:
    """A machine that has ended."""

    console = Console()
    console_log = Path("/somewhere/console.log")

    def screendump(self, path: Path) -> None:
        raise HarnessError("QEMU is gone")


def test_a_guest_that_is_gone_leaves_its_console(tmp_path: Path) -> None:
    class Found:
        machine = Gone()

    lines = list(artefacts.keep(cast(Standing, Found()), tmp_path / "x"))
    assert lines[0] == "screen   cannot be had: QEMU is gone"
    assert (tmp_path / "x" / artefacts.CONSOLE).read_text() == "the end\n"
    assert "/somewhere/console.log" in lines[1]


class Shell:
    """Answers every command the same."""

    def __init__(self, **more: Any) -> None:
        self.answer = type(
            "Answer", (), {"returncode": 0, "stdout_bytes": b"", "stderr_bytes": b"", "cut": False, **more}
        )
        self.asked: list[str] = []

    def run(self, command: str, deadline: object) -> Any:
        self.asked.append(command)
        return self.answer


def test_testinfra_speaks_to_the_guest() -> None:
    shell = Shell(stdout_bytes=b"a\xff\n", returncode=3)
    host = host_of(cast(Any, shell), "golden", 1.0)
    result = host.run("cat %s", "/etc/a file")
    assert shell.asked == ["cat '/etc/a file'"]
    assert (result.rc, result.stdout_bytes) == (3, b"a\xff\n")
    assert "goldsmith://golden" in repr(host)


def test_an_answer_that_is_not_whole_is_none() -> None:
    host = host_of(cast(Any, Shell(cut=True)), "golden", 1.0)
    with pytest.raises(HarnessError, match="more than 1 MiB"):
        host.run("cat /dev/zero")


def test_silence_is_an_error_and_not_a_status() -> None:
    class Silent:
        def run(self, command: str, deadline: object) -> None:
            raise DeadlineError("the guest's command", 120)

    with pytest.raises(DeadlineError):
        host_of(cast(Any, Silent()), "golden", 1.0).run("sleep 1000")


def test_options_have_one_prefix_and_no_guest_is_booted_for_a_suite_without_one(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    shown = pytester.runpytest("--help").stdout.str()
    for name in ("image", "firmware", "property", "datasource", "artefacts", "fresh"):
        assert f"--goldsmith-{name}" in shown
    pytester.runpytest().assert_outcomes(passed=1)
    assert not (pytester.path / "goldsmith-artefacts").exists()


def test_two_firmwares_are_two_runs_of_each_test_of_a_guest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_guest(guest): pass
        def test_image(image): pass
        """
    )
    words = ["--collect-only", "-q", "--goldsmith-firmware", "bios", "--goldsmith-firmware", "uefi"]
    shown = pytester.runpytest(*words).stdout.str()
    assert "test_guest[bios]" in shown
    assert "test_guest[uefi]" in shown
    assert "test_image\n" in shown


def test_the_image_can_stand_in_the_ini(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ngoldsmith_image = images/mine.qcow2\n")
    pytester.makepyfile(
        "def test_image(goldsmith_options): assert str(goldsmith_options.image).endswith('s/mine.qcow2')"
    )
    pytester.runpytest().assert_outcomes(passed=1)
    pytester.makepyfile("def test_image(image): pass")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    assert "no such file" in result.stdout.str()
