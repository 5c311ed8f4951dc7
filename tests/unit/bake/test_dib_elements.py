"""The elements that goldsmith gives diskimage-builder: their scripts, run as it runs them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from goldsmith.bake.dib import OWN_ELEMENTS
from goldsmith.errors import CommandFailedError
from goldsmith.host.jail import Jail

BESIDE = OWN_ELEMENTS / "work-beside"
KEPT = OWN_ELEMENTS / "kept-downloads"
#: takes as long as the test wants
SLOW = """#!/bin/sh
echo "begun $*" >> /tmp/course
while [ ! -e /tmp/go ]; do sleep 0.05; done
echo "ended $*" >> /tmp/course
exit "$(cat /tmp/status)"
"""


class Build:
    """A user's namespace that has /usr/sbin, /usr/local/sbin, /etc and /tmp of its own."""

    def __init__(self, jail: Jail, folder: Path) -> None:
        self.jail, self.folder = jail, folder
        for name in ("sbin", "local", "tmp", "etc/kernel/postinst.d"):
            (folder / name).mkdir(parents=True)
        self.program("sbin/depmod", SLOW)
        self.program("sbin/update-initramfs", "#!/bin/sh\n")
        for script in ("pre-install.d/02", "install.d/98", "post-install.d/94"):
            shutil.copy(BESIDE / f"{script}-work-beside", folder / "tmp" / script.partition(".")[0])
        (folder / "tmp/status").write_text("0")

    def program(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def run(self, script: str) -> str:
        places = "sbin:/usr/sbin local:/usr/local/sbin etc:/etc tmp:/tmp"
        mounts = f'cd "$1"; for at in {places}; do mount --bind "${{at%:*}}" "${{at#*:}}"; done'
        path = "export PATH=/usr/local/sbin:/usr/sbin:/usr/bin; cd /"
        words = ["unshare", "--mount", "bash", "-euc", f"{mounts}; {path}; {script}", "bash", self.folder]
        return self.jail.run(words, deadline=60).stdout


@pytest.fixture
def build(jail: Jail, tmp_path: Path) -> Build:
    return Build(jail, tmp_path / "build")


def test_depmod_runs_beside_and_is_waited_for(build: Build) -> None:
    said = build.run(
        "/tmp/pre-install; depmod 6.1; depmod 6.2; cat /tmp/course 2>/dev/null | grep ended || echo none ended;"
        "touch /tmp/go; /tmp/post-install; cat /tmp/course; ls /tmp /usr/local/sbin"
    )
    lines = said.splitlines()
    first, second = (["begun 6.1", "ended 6.1"], ["begun 6.2", "ended 6.2"])
    # One at a time; which is the first that gets the lock is anybody's guess.
    assert lines[:5] in (["none ended", *first, *second], ["none ended", *second, *first])
    # Nothing of it is left in the tree.
    assert not {"work-beside", "depmod", "py3compile"} & set(lines)


def test_what_is_asked_of_the_database_is_answered_at_once(build: Build) -> None:
    if not Path("/usr/bin/systemd-hwdb").exists():
        pytest.skip("there is no systemd-hwdb whose place could be taken")
    update = 'case "$*" in *update*) while [ ! -e /tmp/go ]; do sleep 0.05; done ;; esac'
    build.program("tmp/hwdb", f'#!/bin/sh\n{update}\necho "said $*" | tee -a /tmp/course\n')
    said = build.run(
        "mount --bind /tmp/hwdb /usr/bin/systemd-hwdb; /tmp/pre-install; systemd-hwdb query x; rm /tmp/course;"
        "systemd-hwdb --usr update; ls /tmp/course 2>/dev/null || echo later; touch /tmp/go; /tmp/post-install"
    )
    assert said.splitlines() == ["said query x", "later", "said --usr update"]


def test_the_installation_goes_before_it(build: Build) -> None:
    build.program("sbin/depmod", "#!/bin/sh\nnice > /tmp/nice; cat /proc/self/autogroup > /tmp/group\n")
    build.run("/tmp/pre-install; depmod 6.1; /tmp/post-install")
    assert (build.folder / "tmp/nice").read_text() == "15\n"
    if group := (build.folder / "tmp/group").read_text():
        assert group.endswith("nice 15\n")


def test_a_depmod_that_fails_fails_the_build(build: Build) -> None:
    with pytest.raises(CommandFailedError):
        build.run("echo 3 > /tmp/status; touch /tmp/go; /tmp/pre-install; depmod 6.1; /tmp/post-install")
    assert (build.folder / "tmp/work-beside/failed").read_text() == "/sbin/depmod 6.1\n"


def test_python_is_compiled_before_packages_are_removed(build: Build) -> None:
    if not Path("/usr/bin/py3compile").exists():
        pytest.skip("there is no py3compile whose place could be taken")
    build.program("tmp/py3compile", SLOW)
    said = build.run(
        "mount --bind /tmp/py3compile /usr/bin/py3compile;"
        "/tmp/pre-install; py3compile -p a; depmod 6.1; sleep 0.3; touch /tmp/go; /tmp/install; cat /tmp/course;"
        "/tmp/post-install"
    )
    assert "ended -p a" in said.splitlines()


@pytest.mark.parametrize("hook", ["dracut", "dkms", "none, and no update-initramfs"])
def test_where_its_answer_is_read_at_once_it_is_waited_for(build: Build, hook: str) -> None:
    if "none" in hook:
        (build.folder / "sbin/update-initramfs").unlink()
    else:
        (build.folder / "etc/kernel/postinst.d" / hook).touch()
    said = build.run("/tmp/pre-install; touch /tmp/go; depmod 6.1; cat /tmp/course; /tmp/post-install")
    assert said.splitlines() == ["begun 6.1", "ended 6.1"]


def test_a_build_without_a_kernel(build: Build) -> None:
    assert build.run("/tmp/pre-install; /tmp/post-install") == ""


class Downloads:
    """What mmdebstrap and diskimage-builder have on the disk."""

    def __init__(self, root: Path) -> None:
        self.kept, self.tree, self.cache = root / "kept", root / "tree", root / "cache"
        self.archives = self.cache / "apt/debian"
        self.archives.mkdir(parents=True)
        self.tree.mkdir()

    def write(self, *names: str) -> None:
        for name in names:
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    def hook(self, kind: str) -> None:
        subprocess.run([KEPT / f"mmdebstrap-{kind}", self.kept, self.tree], check=True)

    def script(self, name: str) -> None:
        environment = {
            **os.environ,
            "DIB_KEPT_DOWNLOADS": str(self.kept),
            "DIB_IMAGE_CACHE": str(self.cache),
            "DISTRO_NAME": "debian",
            "TARGET_ROOT": str(self.tree),
        }
        # Not everybody who tests may be root, and nothing here needs it.
        sudo = self.cache / "bin/sudo"
        sudo.parent.mkdir(exist_ok=True)
        sudo.write_text('#!/bin/sh\nexec "$@"\n')
        sudo.chmod(0o755)
        environment["PATH"] = f"{sudo.parent}:{environment['PATH']}"
        subprocess.run([KEPT / name], check=True, env=environment)

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    return Downloads(tmp_path)


def test_the_first_build_finds_nothing(downloads: Downloads) -> None:
    downloads.hook("setup")
    downloads.script("extra-data.d/10-kept-downloads")
    assert downloads.names(downloads.tree / "var/cache/apt/archives") == []
    assert downloads.names(downloads.archives) == []


def test_the_next_finds_what_the_first_has_downloaded(downloads: Downloads, tmp_path: Path) -> None:
    downloads.hook("setup")
    lists = "var/lib/apt/lists"
    downloads.write("var/cache/apt/archives/dash_1_amd64.deb", f"{lists}/host_dists_trixie_InRelease", f"{lists}/lock")
    downloads.hook("customize")
    # Packages are no part of the tree; lists are read on.
    assert downloads.names(downloads.tree / "var/cache/apt/archives") == []
    assert downloads.names(downloads.tree / lists) == ["host_dists_trixie_InRelease", "lock"]
    downloads.write(f"{lists}/host_dists_trixie-security_InRelease")
    downloads.script("root.d/76-kept-downloads")
    (downloads.archives / "linux_2_amd64.deb").write_text("2")
    (downloads.archives / "lock").touch()
    downloads.script("block-device.d/05-kept-downloads")

    following = Downloads(tmp_path / "following")
    following.kept = downloads.kept
    following.hook("setup")
    found = following.names(following.tree / "var/cache/apt/archives")
    assert found == ["dash_1_amd64.deb", "linux_2_amd64.deb"]
    assert following.names(following.tree / lists) == [
        "host_dists_trixie-security_InRelease",
        "host_dists_trixie_InRelease",
    ]
    following.script("extra-data.d/10-kept-downloads")
    assert following.names(following.archives) == ["dash_1_amd64.deb", "linux_2_amd64.deb"]


def test_what_apt_has_removed_of_the_lists_is_there_again(downloads: Downloads) -> None:
    lists = downloads.tree / "var/lib/apt/lists"
    downloads.write("var/lib/apt/lists/host_dists_trixie-security_InRelease")
    downloads.script("root.d/76-kept-downloads")
    shutil.rmtree(lists)
    downloads.hook("setup")
    (lists / "host_dists_trixie-security_InRelease").unlink()
    downloads.hook("customize")
    assert downloads.names(lists) == ["host_dists_trixie-security_InRelease"]


@pytest.mark.parametrize("damage", ["none", "flipped", "cut", "of another release"])
def test_a_list_that_is_not_what_the_archive_has_signed_is_not_given_to_apt(downloads: Downloads, damage: str) -> None:
    names = [f"host_dists_trixie_{name}" for name in ("InRelease", "main_binary-amd64_Packages")]
    release, packages = (downloads.kept / "lists" / name for name in names)
    packages.parent.mkdir(parents=True)
    content = b"Package: dash\nVersion: 1\n"
    digest = hashlib.sha256(content).hexdigest()
    release.write_text(f"SHA256:\n {digest} {len(content)} main/binary-amd64/Packages\n")
    packages.write_bytes({"none": content, "flipped": b"p" + content[1:], "cut": content[:9]}.get(damage, b"other"))
    downloads.hook("setup")
    assert downloads.names(downloads.tree / "var/lib/apt/lists") == (names if damage == "none" else names[:1])


def test_a_list_is_kept_as_a_whole_or_not_at_all(downloads: Downloads) -> None:
    name = "host_dists_trixie_main_binary-amd64_Packages"
    downloads.write(f"var/lib/apt/lists/{name}")
    # Killed while it was copied.
    (downloads.kept / "lists").mkdir(parents=True)
    (downloads.kept / "lists/.part").write_text("half")
    downloads.script("root.d/76-kept-downloads")
    assert downloads.names(downloads.kept / "lists") == [name]
    assert (downloads.kept / "lists" / name).read_text() == f"var/lib/apt/lists/{name}"
