"""pytest-goldsmith as a user has it: the wheel in a fresh environment, and the suite of docs/ on a booted image."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pytest_virtualenv import VirtualEnv

from goldsmith.host.files import file_digest
from goldsmith.settings import PROJECT_ROOT

pytestmark = pytest.mark.system

FAILING = """
def test_it_fails(guest):
    guest.run("echo on the screen >/dev/tty1")
    assert guest.file("/etc/hostname").content_string == "nonsense"


def test_a_crowd_is_told(guest):
    guest.check_output("head -c 3000000 /dev/zero")


def test_bytes_are_bytes(guest):
    assert guest.run(r"printf '\\377\\000x'").stdout_bytes == b"\\xff\\x00x"
"""


@dataclass(frozen=True)
class Run:
    """One run of pytest in the user's environment."""

    returncode: int
    output: str
    #: name of each test to its outcome; none where pytest did not come to run any
    outcomes: dict[str, str]


@dataclass(frozen=True)
class User:
    """A user's environment and folder."""

    python: Path
    folder: Path
    environment: dict[str, str]

    def pytest(self, *words: str | Path) -> Run:
        results = self.folder / "results.xml"
        results.unlink(missing_ok=True)
        argv = [self.python, "-m", "pytest", "-p", "no:cacheprovider", "-rA", f"--junitxml={results}", *words]
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=1500,
        )
        found = {}
        for case in ElementTree.parse(results).iter("testcase") if results.exists() else ():
            bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            found[str(case.get("name"))] = bad[0] if bad else "passed"
        return Run(done.returncode, done.stdout, found)


@pytest.fixture(scope="module")
def user(workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    folder = tmp_path_factory.mktemp("user")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(PROJECT_ROOT / name, source)
    shutil.copytree(
        PROJECT_ROOT / "pipeline", source / "pipeline", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__")
    )
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder / "dist", source], check=True, timeout=600)
    (wheel,) = (folder / "dist").glob("goldsmith-*.whl")
    # libguestfs' bindings are the distribution's.
    environment = VirtualEnv(args=["--system-site-packages"])
    install = [environment.python, "-m", "pip", "-q", "--disable-pip-version-check", "install"]
    subprocess.run([*install, f"goldsmith[pytest] @ {wheel.as_uri()}", "pytest-xdist"], check=True, timeout=900)
    suite = folder / "suite"
    shutil.copytree(PROJECT_ROOT / "docs" / "example-suite", suite)
    (suite / "pytest.ini").write_text("[pytest]\n")
    kept = {name: value for name, value in workshop.environment.items() if not name.startswith("PYTEST_")}
    yield User(Path(str(environment.python)), suite, kept)
    environment.teardown()


@pytest.fixture(scope="module")
def first(user: User, golden_image: Path) -> Run:
    shutil.rmtree(Path(user.environment["GOLDSMITH_CACHE"]) / "saved", ignore_errors=True)
    return user.pytest("--goldsmith-image", golden_image, "test_image.py")


def test_the_example_suite_passes_on_the_golden_image(first: Run) -> None:
    assert first.returncode == 0, first.output
    assert set(first.outcomes.values()) == {"passed"}
    assert len(first.outcomes) == 10


def test_it_is_the_wheel_that_runs(user: User) -> None:
    argv = [str(user.python), "-c", "import goldsmith.verify.standing as s; print(s.__file__)"]
    where = subprocess.run(argv, cwd=user.folder, env=user.environment, capture_output=True, text=True, check=True)
    assert str(PROJECT_ROOT) not in where.stdout
    assert "site-packages" in where.stdout


def test_later_runs_and_other_processes_go_on_from_what_was_saved(first: Run, user: User, golden_image: Path) -> None:
    assert first.returncode == 0, first.output
    before = file_digest(golden_image)
    again = user.pytest("--goldsmith-image", golden_image, "-n", "2", "test_image.py")
    assert again.returncode == 0, again.output
    assert again.outcomes == first.outcomes
    folders = sorted(path.name for path in (user.folder / "goldsmith-artefacts").glob("boot-*"))
    assert folders == ["boot-bios", "boot-bios-gw0", "boot-bios-gw1"]
    assert file_digest(golden_image) == before
    # The boot's console came along, and no second boot is on it.
    console = (user.folder / "goldsmith-artefacts/boot-bios-gw0/console.log").read_text(errors="replace")
    assert len(re.findall(r"Linux version", console)) == 1


def test_what_fails_leaves_its_screen_and_console(first: Run, user: User, golden_image: Path) -> None:
    assert first.returncode == 0, first.output
    (user.folder / "test_failing.py").write_text(FAILING)
    run = user.pytest("--goldsmith-image", golden_image, "--goldsmith-artefacts", "kept", "test_failing.py")
    assert run.returncode == 1, run.output
    assert run.outcomes == {
        "test_it_fails": "failure",
        "test_a_crowd_is_told": "failure",
        "test_bytes_are_bytes": "passed",
    }
    (folder,) = (user.folder / "kept").glob("test_failing.py-test_it_fails-*")
    assert (folder / "screen.png").read_bytes().startswith(b"\x89PNG")
    assert "login:" in (folder / "console.txt").read_text()
    assert str(folder / "screen.png") in run.output
    assert "wrote more than 1 MiB" in run.output
    assert not list((user.folder / "kept").glob("*bytes*"))
    assert not [path for path in (user.folder / "kept").rglob("*") if path.suffix in (".qcow2", ".sock")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no image to test: give --goldsmith-image"),
        (["--goldsmith-image", "none.qcow2"], "no such file"),
        (["--goldsmith-image", "test_image.py"], "no disk image"),
        (["--goldsmith-image", "IMAGE", "--goldsmith-property", "hw_disk_bus=virtoi"], "did you mean `virtio`"),
        (["--goldsmith-property", "x"], "is not of the form K=V"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(user: User, golden_image: Path, words: list[str], says: str) -> None:
    given = [str(golden_image) if word == "IMAGE" else word for word in words]
    run = user.pytest(*given, "test_image.py::test_there_is_one_way_out")
    assert run.returncode != 0
    assert says in run.output
    assert "Traceback" not in run.output
    assert "site-packages/goldsmith" not in run.output
