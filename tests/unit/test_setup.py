"""setup/prepare: where it cannot go on, it says at once and in plain words what is missing.

What it does on a bare machine is seen by running it on one; here the host's tools are played by small scripts.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from goldsmith.settings import PROJECT_ROOT

#: what the script takes for granted: packages that are essential in Debian
ESSENTIAL = (
    "bash",
    "sh",
    "cat",
    "cmp",
    "dirname",
    "env",
    "flock",
    "grep",
    "sed",
    "sha256sum",
    "sort",
    "stat",
    "tail",
    "rm",
)

#: plays the environment's interpreter: pip does as pip-status says
PYTHON = """\
[ "$1" = -m ] || exit 0
echo "pip $*"
exit "$(cat pip-status)"
"""

#: a Debian that has every package
DEBIAN = {
    "dpkg": "echo amd64",
    "dpkg-query": 'shift 3; for name in "$@"; do echo "installed $name"; done',
    "apt-get": 'echo "apt-get $*"',
    "apt-cache": 'printf "%s:\\n  Candidate: 1.0\\n" "$2"',
    "id": "case $1 in -un) echo someone ;; *) echo 0 ;; esac",
}
#: one that lacks mtools
LACKING = {"dpkg-query": 'shift 3; for name in "$@"; do [ $name = mtools ] || echo "installed $name"; done; exit 1'}
USER = {"id": "case $1 in -un) echo someone ;; *) echo 1000 ;; esac"}


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


class Machine:
    """A checkout, and a PATH that holds only what the test puts there."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.tools = folder / "bin"
        self.tools.mkdir()
        shutil.copytree(PROJECT_ROOT / "setup", self.checkout / "setup")
        (self.checkout / "pyproject.toml").write_text("[project]\n")
        self.venv = self.checkout / ".venv"
        (self.venv / "bin").mkdir(parents=True)
        (self.venv / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
        for name, script in (("python", PYTHON), ("goldsmith", "exit 0")):
            _script(self.venv / "bin" / name, script)
        self.services = self.checkout / ".venv-services"
        (self.services / "bin").mkdir(parents=True)
        _script(self.services / "bin/python", PYTHON)
        self.pip_ends(0)
        for name in ESSENTIAL:
            if path := shutil.which(name):
                (self.tools / name).symlink_to(path)

    def pip_ends(self, status: int) -> None:
        (self.checkout / "pip-status").write_text(str(status))

    def prepare(self, *words: str, **scripts: str) -> subprocess.CompletedProcess[str]:
        for name, script in scripts.items():
            _script(self.tools / name, script)
        return subprocess.run(
            [self.checkout / "setup/prepare", *words],
            env={"PATH": str(self.tools), "HOME": str(self.checkout)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_other_distribution_is_told_what_to_install(machine: Machine) -> None:
    done = machine.prepare(id=DEBIAN["id"])
    assert done.returncode == 3
    assert "this is not Debian" in done.stderr
    assert "\n  qemu-system-x86\n" in done.stderr
    assert "#" not in done.stderr


def test_other_architecture_is_refused(machine: Machine) -> None:
    done = machine.prepare(**(DEBIAN | {"dpkg": "echo arm64"}))
    assert done.returncode == 3
    assert "this host is arm64" in done.stderr


def test_only_what_is_missing_is_installed(machine: Machine) -> None:
    done = machine.prepare(**(DEBIAN | LACKING))
    assert done.returncode == 0, done.stderr
    assert "installing 1 system packages: mtools" in done.stdout
    calls = [line for line in done.stdout.splitlines() if line.startswith("apt-get")]
    assert [call.split()[-1] for call in calls] == ["update", "mtools"]
    assert "install --no-install-recommends mtools" in calls[1]


def test_nothing_is_installed_where_all_is_there(machine: Machine) -> None:
    done = machine.prepare(**DEBIAN)
    assert done.returncode == 0, done.stderr
    assert "apt-get" not in done.stdout
    assert "pip -m pip install" in done.stdout


def test_second_time_does_nothing(machine: Machine) -> None:
    assert machine.prepare(**DEBIAN).returncode == 0
    done = machine.prepare(**DEBIAN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_tests_need_more_than_the_image_and_serve_both(machine: Machine) -> None:
    assert "--editable ." in machine.prepare(**DEBIAN).stdout
    assert "--editable .[test]" in machine.prepare("test", **DEBIAN).stdout
    assert machine.prepare(**DEBIAN).stdout == ""
    assert machine.prepare("test", **DEBIAN).stdout == ""


def test_services_are_installed_for_the_tests_alone(machine: Machine) -> None:
    wanted = "--requirement setup/services-requirements.txt"
    assert wanted not in machine.prepare(**DEBIAN).stdout
    assert wanted in machine.prepare("test", **DEBIAN).stdout
    assert machine.prepare("test", **DEBIAN).stdout == ""
    with (machine.checkout / "setup/services-requirements.txt").open("a") as requirements:
        requirements.write("# another\n")
    assert wanted in machine.prepare("test", **DEBIAN).stdout


def test_services_that_do_not_work_are_said_and_not_taken_for_good(machine: Machine) -> None:
    _script(
        machine.services / "bin/python", PYTHON.replace("exit 0", "case $* in *keystone*) exit 1 ;; *) exit 0 ;; esac")
    )
    for _ in range(2):
        done = machine.prepare("test", **DEBIAN)
        assert done.returncode == 3
        assert "the environment in .venv-services does not work" in done.stderr


def test_what_is_measured_against_is_installed_for_the_benchmark_alone(machine: Machine) -> None:
    scripts = {**DEBIAN, "dpkg-query": LACKING["dpkg-query"].replace("mtools", "mkosi")}
    assert "apt-get" not in machine.prepare("test", "root", **scripts).stdout
    assert "installing 1 system packages: mkosi" in machine.prepare("test", "bench", "root", **scripts).stdout


def test_other_dependencies_are_installed_and_keep_the_tests(machine: Machine) -> None:
    assert machine.prepare("test", **DEBIAN).returncode == 0
    (machine.checkout / "pyproject.toml").write_text("[project]\ndependencies = []\n")
    assert "--editable .[test]" in machine.prepare(**DEBIAN).stdout


def test_environment_that_does_not_work_is_made_again(machine: Machine) -> None:
    assert machine.prepare(**DEBIAN).returncode == 0
    _script(machine.venv / "bin/goldsmith", "exit 1")
    done = machine.prepare(**DEBIAN)
    assert "pip -m pip install" in done.stdout
    # pip mended nothing here, so it is said, and not taken for good the next time.
    assert done.returncode == 3
    assert "the environment in .venv does not work" in done.stderr
    assert machine.prepare(**DEBIAN).returncode == 3


def test_user_goes_through_sudo(machine: Machine) -> None:
    done = machine.prepare(**(DEBIAN | LACKING | USER), sudo='[ "$1" = --non-interactive ] || echo "sudo $*"')
    assert "sudo env DEBIAN_FRONTEND=noninteractive apt-get" in done.stdout


@pytest.mark.parametrize(
    ("sudo", "said"),
    [({}, "sudo is not installed"), ({"sudo": "exit 1"}, "sudo asks for a password and there is no terminal")],
)
def test_user_without_sudo_is_told_the_command(machine: Machine, sudo: dict[str, str], said: str) -> None:
    done = machine.prepare(**(DEBIAN | LACKING | USER | sudo))
    assert done.returncode == 3
    assert said in done.stderr
    assert "as root: apt-get install --no-install-recommends mtools" in done.stderr


def test_sudo_is_asked_for_only_where_it_will_be_needed(machine: Machine) -> None:
    scripts = DEBIAN | USER | {"sudo": "exit 1"}
    assert machine.prepare(**scripts).returncode == 0
    done = machine.prepare("root", **scripts)
    assert done.returncode == 3
    assert "it is needed to build images" in done.stderr


def test_no_network_is_said(machine: Machine) -> None:
    scripts = LACKING | {"apt-get": "exit 100", "apt-cache": 'printf "%s:\\n  Candidate: (none)\\n" "$2"'}
    done = machine.prepare(**(DEBIAN | scripts))
    assert done.returncode == 3
    assert "apt knows no package mtools" in done.stderr
    assert "no network" in done.stderr


def test_failed_installation_is_said(machine: Machine) -> None:
    fail = {"apt-get": 'case "$*" in *install*) exit 100 ;; esac'}
    done = machine.prepare(**(DEBIAN | LACKING | fail))
    assert done.returncode == 3
    assert "apt-get could not install the packages" in done.stderr


def test_unknown_word_is_wrong_input(machine: Machine) -> None:
    done = machine.prepare("tests")
    assert done.returncode == 2
    assert done.stderr == "usage: setup/prepare [test] [bench] [root]\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_checkout_of_another_is_said(machine: Machine) -> None:
    machine.checkout.chmod(0o555)
    try:
        done = machine.prepare(**DEBIAN)
    finally:
        machine.checkout.chmod(0o755)
    assert done.returncode == 3
    assert "belongs to another user" in done.stderr


def test_failure_of_pip_is_said(machine: Machine) -> None:
    machine.pip_ends(1)
    done = machine.prepare(**DEBIAN)
    assert done.returncode == 3
    assert "pip could not install goldsmith's Python packages" in done.stderr
    machine.pip_ends(0)
    assert machine.prepare(**DEBIAN).returncode == 0


def test_help_of_make_names_the_commands() -> None:
    shown = subprocess.run(
        ["make", "-C", PROJECT_ROOT, "--no-print-directory"], capture_output=True, text=True, check=True
    )
    for word in ("make image", "make test"):
        assert word in shown.stdout
