"""Mounts, by this host's own kernel and by tables as they are found."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from verify_standins import FakeShell, HostShell, Said

from goldsmith.errors import HarnessError
from goldsmith.verify.kinds.mounts import MountAssertion, mount, mount_live
from goldsmith.verify.subjects import LiveGuest
from goldsmith.verify.tree import FolderTree

FSTAB = r"""
# /etc/fstab: static file system information.
UUID=0a1b-2c3d / ext4 errors=remount-ro,noatime 0 1
LABEL="data" /srv/my\040data xfs defaults,nofail 0 2
tmpfs	/tmp	tmpfs	size=1g,nodev,nosuid	0	0
/dev/vdb1 /twice ext4 ro
/dev/vdb2 /twice/ ext4 rw
/dev/sdz none swap sw 0 0
short /line
"""


def on_disk(tree: FolderTree, **assertion: Any) -> list[tuple[str, str]]:
    return [(f.expected, f.seen) for f in mount(MountAssertion.model_validate(assertion), tree)]


@pytest.fixture
def tree(tmp_path: Path) -> FolderTree:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/fstab").write_text(FSTAB)
    return FolderTree(tmp_path)


@pytest.mark.parametrize(
    "good",
    [
        {"path": "/", "source": "UUID=0a1b-2c3d", "fstype": "ext4", "options": ["noatime"]},
        {"path": "/tmp/", "source": "tmpfs", "options": ["nodev", "size=1g"], "absent_options": ["noexec", "size"]},
        {"path": "/srv/my data", "source": "LABEL=data", "fstype": "xfs"},
        {"path": "/twice", "source": "/dev/vdb2"},
        {"path": "/line", "mounted": False},
        {"path": "/sr", "mounted": False},
    ],
)
def test_entries_of_fstab(tree: FolderTree, good: dict[str, Any]) -> None:
    assert on_disk(tree, **good) == []


def test_what_does_not_hold_of_fstab(tree: FolderTree) -> None:
    seen = "UUID=0a1b-2c3d on / type ext4 (errors=remount-ro,noatime)"
    assert on_disk(tree, path="/", source="/dev/vda1", fstype="xfs", options=["ro"], absent_options=["noatime"]) == [
        ("/ is mounted from /dev/vda1", seen),
        ("/ has file system xfs", seen),
        ("/ has option ro", seen),
        ("/ does not have option noatime", seen),
    ]
    assert on_disk(tree, path="/", mounted=False) == [("/ has no entry of /etc/fstab", seen)]
    assert on_disk(tree, path="/home") == [("/home has an entry of /etc/fstab", "none")]


def test_no_fstab_has_no_entries(tmp_path: Path) -> None:
    assert on_disk(FolderTree(tmp_path), path="/", mounted=False) == []
    assert on_disk(FolderTree(tmp_path), path="/") != []


MOUNTINFO = r"""24 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
25 24 0:22 / /proc rw,nosuid,nodev,noexec shared:12 - proc proc rw
30 24 0:30 / /tmp rw shared:2 - tmpfs tmpfs rw,size=1g
31 30 0:31 / /tmp rw,nodev - tmpfs over rw,size=2g
32 24 254:2 / /srv/my\040data rw,nodev shared:9 - xfs /dev/mapper/my\040vg ro,attr2
"""


def live(said: Said, **assertion: Any) -> list[tuple[str, str]]:
    guest = LiveGuest(FakeShell({"mountinfo": said}))
    return [(f.expected, f.seen) for f in mount_live(MountAssertion.model_validate(assertion), guest)]


@pytest.mark.parametrize(
    "good",
    [
        {"path": "/", "source": "/dev/vda1", "fstype": "ext4", "options": ["rw", "errors=remount-ro"]},
        {"path": "/tmp", "source": "over", "options": ["nodev", "size=2g"], "absent_options": ["size=1g"]},
        {"path": "/srv/my data", "options": ["ro"], "absent_options": ["rw"]},
        {"path": "/home", "mounted": False},
    ],
)
def test_the_kernels_table(good: dict[str, Any]) -> None:
    assert live(Said("/dev/vda1\n" + MOUNTINFO), **good) == []


def test_what_does_not_hold_of_the_table() -> None:
    said = Said("/dev/vdb1\n" + MOUNTINFO)
    assert live(said, path="/", source="LABEL=root")[0][0] == "/ is mounted from LABEL=root"
    assert live(said, path="/tmp", source="tmpfs", fstype="ext4", absent_options=["nodev"]) == [
        ("/tmp is mounted from tmpfs", "over on /tmp type tmpfs (rw,nodev,size=2g)"),
        ("/tmp has file system ext4", "over on /tmp type tmpfs (rw,nodev,size=2g)"),
        ("/tmp does not have option nodev", "over on /tmp type tmpfs (rw,nodev,size=2g)"),
    ]
    assert live(said, path="/proc", mounted=False) != []
    assert live(said, path="/home") == [("/home has a mount", "none")]


def test_a_tag_is_the_device_that_udev_links_it_to() -> None:
    shell = FakeShell({"mountinfo": Said("/dev/vda1\n" + MOUNTINFO)})
    assert mount_live(MountAssertion(path="/", source="UUID=0a1b"), LiveGuest(shell)) == []
    assert shell.asked[0].startswith("readlink -f -- /dev/disk/by-uuid/0a1b || echo; ")
    shell = FakeShell({"mountinfo": Said("\n" + MOUNTINFO)})
    assert mount_live(MountAssertion(path="/", source="PARTLABEL=it's"), LiveGuest(shell)) != []
    assert "by-partlabel/it'\"'\"'s" in shell.asked[0]


@pytest.mark.parametrize(
    "said", [Said(""), Said("\n"), Said("\nrubbish\n"), Said("\ufffd" * 2**20), Said("\n1 2 3 - 4\n"), Said("", 1)]
)
def test_nonsense_breaks_the_check(said: Said) -> None:
    with pytest.raises(HarnessError):
        live(said, path="/home", mounted=False)


def test_on_this_host() -> None:
    def findings(**assertion: Any) -> int:
        return len(mount_live(MountAssertion.model_validate(assertion), LiveGuest(HostShell())))

    argv = ["findmnt", "-n", "-o", "SOURCE,FSTYPE", "--target", "/proc"]
    source, fstype = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert findings(path="/proc", source=source, fstype=fstype) == 0
    assert findings(path="/proc", fstype="ext4") == findings(path="/proc", mounted=False) == 1
    assert findings(path="/proc/no-such", mounted=False) == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"path": "tmp"}, "should match pattern"),
        ({"path": "/tmp", "mounted": False, "fstype": "tmpfs"}, "cannot stand with"),
        ({"path": "/tmp", "options": "ro"}, "valid tuple"),
        ({"path": "/tmp", "source": "a b"}, "should match pattern"),
    ],
)
def test_wrong_assertions(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MountAssertion.model_validate(asked)
