"""What diskimage-builder is told, and what is taken from it, with a disk-image-create that only takes notes."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from goldsmith.bake import dib
from goldsmith.bake.dib import Tree, build_tree
from goldsmith.errors import CommandFailedError, ExitCode, HarnessError, HostError
from goldsmith.host.jail import Jail
from goldsmith.host.run import Completed

#: notes its words and variables beside the tree, then does as DIB does: a tree, and a manifest for root alone
FAKE = """\
#!/bin/sh
printf '%s\n' "$@" > words
env > variables
pwd > folder
export TMP_BUILD_DIR="$TMP_DIR/dib_build.1"
for line in 1 2 3; do echo "line $line"; echo "warning $line" >&2; done
test "$DIB_T_MODE" = fail && { echo "E: Unable to locate package bahs" >&2; "$EXTRA_DETACH"; exit 100; }
mkdir -p "$TMP_DIR/dib_build.1/mnt/tmp"
echo tree > "$TMP_BUILD_DIR/mnt/file"
touch "$TMP_BUILD_DIR/mnt/tmp/packages-are-installed"
sleep "${DIB_T_SECONDS:-0}"
mkdir -p "$DIB_MANIFEST_SAVE_DIR/dib-manifests"
echo 'declare -x DIB_A="1"' > "$DIB_MANIFEST_SAVE_DIR/dib-manifests/dib_environment"
chmod 0600 "$DIB_MANIFEST_SAVE_DIR/dib-manifests/dib_environment"
test "$DIB_T_MODE" = unfinished && { "$EXTRA_DETACH"; exit 0; }
touch "$TMP_BUILD_DIR/tree-is-finished"
"$EXTRA_DETACH"
sleep "${DIB_T_SECONDS:-0}"
test "$DIB_T_MODE" = "fail at the end" && { echo "E: target is busy" >&2; exit 1; }
touch ended
"""


@dataclass
class Followed:
    """What was told, and whether DIB had ended when it was."""

    work: Path
    installed_at: Path | None = None
    tree: Tree | None = None
    ended: bool = False

    def installed(self, root: Path) -> None:
        assert (root / "file").read_text() == "tree\n"
        self.installed_at = root

    def left(self, tree: Tree) -> None:
        self.tree, self.ended = tree, (self.work / "ended").exists()


Builder = Callable[..., Followed]


@pytest.fixture
def build(jail: Jail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    """Runs build_tree with the fake; keywords are variables, ``packages`` is what it is given."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "disk-image-create").write_text(FAKE)
    (tools / "disk-image-create").chmod(0o755)
    # Of that module alone: whatever runs beside the tests starts programs with the true one.
    monkeypatch.setattr(dib, "sys", SimpleNamespace(executable=str(tools / "python")))
    (tmp_path / "work").mkdir()

    def run(packages: tuple[str, ...] = (), **variables: str) -> Followed:
        followed = Followed(tmp_path / "work")
        build_tree(
            jail,
            tmp_path / "work",
            elements=("debian-minimal", "networkd"),
            packages=packages,
            environment={"DIB_RELEASE": "trixie", **variables},
            elements_path=[tmp_path / "mine", tmp_path / "yours"],
            cache=tmp_path / "cache",
            architecture="amd64",
            log_file=tmp_path / "dib.log",
            follower=followed,
        )
        return followed

    return run


def _variables(folder: Path) -> dict[str, str]:
    lines = (folder / "work/variables").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_the_words_that_dib_gets(build: Builder, tmp_path: Path) -> None:
    followed = build(packages=("htop", "vim-tiny"))
    output = str(tmp_path / "work/dib/image")
    assert (tmp_path / "work/words").read_text().split("\n")[:-1] == [
        *("-n", "-a", "amd64", "-t", "raw", "-o", output, "-p", "htop,vim-tiny"),
        *("debian-minimal", "networkd", "tree-only", "no-final-image", "kept-downloads", "work-beside"),
        "one-initramfs",
    ]
    assert followed.tree is not None
    assert (followed.tree.root / "file").read_text() == "tree\n"


def test_the_tree_is_handed_over_before_dib_ends(build: Builder, tmp_path: Path) -> None:
    followed = build(DIB_T_SECONDS="2")
    assert not followed.ended
    assert (tmp_path / "work/ended").exists()


@pytest.mark.parametrize("in_memory", [True, False])
def test_that_packages_are_installed_is_told_where_the_tree_stays(
    build: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    # "stat --file-system", which the test must not depend on.
    stat = tmp_path / "tools/stat"
    stat.write_text(f"#!/bin/sh\necho {'tmpfs' if in_memory else 'ext2/ext3'}\n")
    stat.chmod(0o755)
    ran = Jail.run

    def run(self: Jail, argv: Sequence[str | os.PathLike[str]], **named: Any) -> Completed:
        return ran(self, [stat, *argv[1:]] if argv[0] == "stat" else argv, **named)

    monkeypatch.setattr(Jail, "run", run)
    followed = build(DIB_T_SECONDS="1")
    assert (followed.installed_at is not None) == in_memory
    assert (_variables(tmp_path).get("DIB_NO_TMPFS") == "1") == in_memory
    assert followed.tree is not None


def test_a_failure_after_that_is_one(build: Builder) -> None:
    with pytest.raises(CommandFailedError) as caught:
        build(DIB_T_MODE="fail at the end")
    assert caught.value.tail.splitlines()[-1] == "E: target is busy"


def test_an_unfinished_tree_is_not_handed_over(build: Builder) -> None:
    with pytest.raises(HarnessError, match="diskimage-builder left no tree"):
        build(DIB_T_MODE="unfinished")


def test_without_packages_there_is_no_option_for_them(build: Builder, tmp_path: Path) -> None:
    build()
    assert "-p" not in (tmp_path / "work/words").read_text().split()


def test_the_variables_that_dib_gets(build: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIB_LEAK", "1")
    build()
    got = _variables(tmp_path)
    assert got["DIB_RELEASE"] == "trixie"
    assert "DIB_LEAK" not in got
    path = got["ELEMENTS_PATH"].split(":")
    assert path[:2] == [f"{tmp_path}/mine", f"{tmp_path}/yours"]
    assert len(path) == 3
    assert (Path(path[2]) / "tree-only").is_dir()
    assert got["PATH"].split(":")[0] == f"{tmp_path}/tools"
    assert "/usr/sbin" in got["PATH"].split(":")
    assert got["DIB_IMAGE_CACHE"] == f"{tmp_path}/cache"


def test_dib_writes_below_its_work_folder_alone(build: Builder, tmp_path: Path) -> None:
    build()
    got = _variables(tmp_path)
    for name in ("HOME", "TMP_DIR", "DIB_LOCKFILES", "DIB_MANIFEST_SAVE_DIR"):
        assert Path(got[name]).is_relative_to(tmp_path / "work/dib"), name
    assert (tmp_path / "work/folder").read_text() == f"{tmp_path}/work\n"


def test_a_recipe_cannot_lead_dib_elsewhere(build: Builder, tmp_path: Path) -> None:
    build(DIB_LOCKFILES="/elsewhere", DIB_IMAGE_CACHE="/elsewhere")
    assert "/elsewhere" not in _variables(tmp_path).values()


def test_both_of_dibs_streams_are_in_the_log(build: Builder, tmp_path: Path) -> None:
    build()
    lines = (tmp_path / "dib.log").read_text().splitlines()
    assert sorted(lines) == [*(f"line {n}" for n in (1, 2, 3)), *(f"warning {n}" for n in (1, 2, 3))]


def test_a_failure_shows_the_end_of_the_log_and_where_it_is(build: Builder, tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match=r"command exited 100: .*disk-image-create -n -a amd64") as caught:
        build(DIB_T_MODE="fail")
    assert caught.value.tail.splitlines()[-1] == "E: Unable to locate package bahs"
    assert "warning 3" in caught.value.tail
    assert caught.value.hint == f"the whole log of the build is {tmp_path}/dib.log"
    assert "DIB_RELEASE=trixie" in caught.value.command
    assert caught.value.exit_code == ExitCode.HOST


def test_without_dib(build: Builder, tmp_path: Path) -> None:
    (tmp_path / "tools/disk-image-create").unlink()
    with pytest.raises(HostError, match="could not be started: FileNotFoundError"):
        build()


def test_manifests_can_be_read_by_the_caller(build: Builder) -> None:
    tree = build().tree
    assert tree is not None
    path = tree.manifests / "dib-manifests/dib_environment"
    assert path.read_text() == 'declare -x DIB_A="1"\n'
    assert path.stat().st_mode & 0o044 == 0o044


def test_downloads_are_kept_by_distribution_and_release(build: Builder, tmp_path: Path) -> None:
    build(DISTRO_NAME="debian", DIB_MMDEBSTRAP_EXTRA_ARGS="--mine")
    got = _variables(tmp_path)
    assert got["DIB_KEPT_DOWNLOADS"] == f"{tmp_path}/cache/kept/debian-trixie"
    words = got["DIB_MMDEBSTRAP_EXTRA_ARGS"]
    assert words.startswith("--mine --skip=essential/unlink")
    # As DIB hands them to a shell.
    for hook in shlex.split(words)[-2:]:
        program, kept, root = shlex.split(hook.partition("=")[2])
        assert os.access(program, os.X_OK) and kept == got["DIB_KEPT_DOWNLOADS"] and root == "$1"


def test_a_name_that_shells_take_apart_is_not_given_to_mmdebstrap() -> None:
    assert dib._mmdebstrap(Path("/home/o'brien/kept")) == []


def test_the_block_device_is_asked_once(build: Builder, tmp_path: Path) -> None:
    # A Python that says what it is given, and answers as dib_block_device.py does.
    python = tmp_path / "tools/python"
    python.write_text(
        'echo "$*" >>"$LOG"; case $1 in *dib_block_device.py) mkdir "$2"; echo img > "$2/root-label" ;; esac\n'
    )
    python.write_text(f"#!/bin/sh\n{python.read_text()}")
    python.chmod(0o755)
    build()
    interpreter = _variables(tmp_path)["DIB_PYTHON_EXEC"]
    log = tmp_path / "asked"
    environment = {"PATH": os.environ["PATH"], "TMP_BUILD_DIR": str(tmp_path), "LOG": str(log)}

    def ask(*words: str) -> str:
        return subprocess.run([interpreter, *words], env=environment, capture_output=True, text=True, check=True).stdout

    device = "/lib/dib-block-device.py"
    assert ask(device, "init") == ""
    assert ask(device, "getval", "root-label") == "img\n"
    assert ask(device, "umount") == ask(device, "cleanup") == ""
    assert len(log.read_text().splitlines()) == 1
    # There is no image; what was not foreseen is asked as ever, and all else is Python's.
    assert ask(device, "getval", "image-path") == "none\n"
    ask(device, "getval", "image-block-device")
    ask("-c", "print(1)")
    assert log.read_text().splitlines()[1:] == [f"{device} getval image-block-device", "-c print(1)"]


def test_the_answers_are_diskimage_builders_own(tmp_path: Path) -> None:
    parameters = tmp_path / "parameters.yaml"
    (tmp_path / "config.yaml").write_text(
        "- local_loop: {name: image0}\n- mkfs: {base: image0, name: mkfs_root, mount: {mount_point: /}}\n"
    )
    parameters.write_text(
        f"config: {tmp_path}/config.yaml\nimage-dir: {tmp_path}\nroot-fs-type: xfs\nroot-label: mine\n"
        f"mount-base: {tmp_path}/mnt\nbuild-dir: {tmp_path}/build\n"
    )
    answers = tmp_path / "answers"
    environment = {**os.environ, "DIB_BLOCK_DEVICE_PARAMS_YAML": str(parameters)}
    subprocess.run([sys.executable, dib.dib_block_device.__file__, answers], env=environment, check=True)
    found = {path.name: path.read_text() for path in answers.iterdir()}
    assert set(found) == set(dib.dib_block_device.QUESTIONS)
    assert found["root-label"].strip() == "mine"
