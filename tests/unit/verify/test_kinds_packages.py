from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from verify_standins import FakeShell, HostShell, Said

from goldsmith.errors import HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.verify.kinds.packages import PackageAssertion, package, package_live
from goldsmith.verify.subjects import LiveGuest
from goldsmith.verify.tree import FolderTree

STATUS = """\
Package: bash
Status: install ok installed
Version: 5.2

Package: cloud-init
Status: deinstall ok config-files
Version: 25.1

Package: linux-image
Status: hold ok installed
"""


def seen(tree: FolderTree, name: str, installed: bool) -> list[str]:
    return [f.seen for f in package(PackageAssertion(name=name, installed=installed), tree)]


def make_dpkg(root: Path) -> None:
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text(STATUS)


def make_rpm(root: Path, folder: str, *names: str) -> Path:
    """The tables that rpm makes (lib/backend/sqlite.c), as far as they matter here; the writes stay in the WAL."""
    (root / folder).mkdir(parents=True)
    path = root / folder / "rpmdb.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        database.execute(
            "CREATE TABLE 'Name' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL, "
            "FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum))"
        )
        for name in names:
            database.execute("INSERT INTO Name VALUES (?, 1, 0)", (name,))
        database.commit()
    return path


def test_packages_of_dpkg(tmp_path: Path) -> None:
    make_dpkg(tmp_path)
    tree = FolderTree(tmp_path)
    assert seen(tree, "bash", True) == seen(tree, "linux-image", True) == []
    assert seen(tree, "cloud-init", False) == seen(tree, "ifupdown", False) == []
    assert seen(tree, "bash", False) == ["install ok installed"]
    assert seen(tree, "cloud-init", True) == ["deinstall ok config-files"]
    assert seen(tree, "bas", True) == ["unknown to dpkg"]


@pytest.mark.parametrize("folder", ["var/lib/rpm", "usr/lib/sysimage/rpm"])
def test_packages_of_rpm(tmp_path: Path, folder: str) -> None:
    make_rpm(tmp_path, folder, "bash", "NetworkManager", "kernel-core")
    tree = FolderTree(tmp_path)
    assert seen(tree, "bash", True) == seen(tree, "NetworkManager", True) == seen(tree, "kernel", False) == []
    assert seen(tree, "bash", False) == ["installed"]
    assert seen(tree, "networkmanager", True) == seen(tree, "kernel", True) == ["unknown to rpm"]


def test_what_rpm_wrote_last_is_still_in_its_log(tmp_path: Path) -> None:
    path = make_rpm(tmp_path / "guest", "var/lib/rpm", "bash")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO Name VALUES ('late', 2, 0)")
        database.commit()
        # As the files are on a disk while rpm has them open.
        left = tmp_path / "left/var/lib/rpm"
        left.mkdir(parents=True)
        for name in ("rpmdb.sqlite", "rpmdb.sqlite-wal"):
            (left / name).write_bytes((path.parent / name).read_bytes())
    assert (left / "rpmdb.sqlite-wal").stat().st_size
    assert seen(FolderTree(tmp_path / "left"), "late", True) == []


def test_databases_that_cannot_be_read(tmp_path: Path) -> None:
    tree = FolderTree(tmp_path)
    with pytest.raises(HarnessError, match="no database of dpkg or rpm"):
        seen(tree, "bash", True)
    rpm = tmp_path / "var/lib/rpm"
    rpm.mkdir(parents=True)
    (rpm / "Packages").write_bytes(b"\0" * 512)
    with pytest.raises(HarnessError, match=r"is Berkeley DB, which is read in the guest only") as caught:
        seen(tree, "bash", True)
    assert "layers: [live]" in str(caught.value)
    for content, message in ((b"", "no index of names"), (b"SQLite format 3\0" + b"\xff" * 600, "cannot be read")):
        (rpm / "rpmdb.sqlite").write_bytes(content)
        with pytest.raises(HarnessError, match=message):
            seen(tree, "bash", False)


def test_a_view_is_no_index(tmp_path: Path) -> None:
    """A schema of the image's must run nothing here."""
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(tmp_path / "var/lib/rpm/rpmdb.sqlite")) as database:
        database.execute("CREATE VIEW Name AS SELECT 'bash' AS key")
        database.commit()
    with pytest.raises(HarnessError, match="no index of names"):
        seen(FolderTree(tmp_path), "bash", True)


def live(guest: LiveGuest, name: str, installed: bool = True) -> list[str]:
    return [f.seen for f in package_live(PackageAssertion(name=name, installed=installed), guest)]


def test_live_by_this_hosts_dpkg() -> None:
    guest = LiveGuest(HostShell())
    assert live(guest, "bash") == live(guest, "no-such-package", installed=False) == []
    assert live(guest, "bash", installed=False) == ["install ok installed"]
    assert live(guest, "no-such-package") == ["unknown to dpkg"]


class RpmGuest(HostShell):
    """This host without the database of its dpkg."""

    def run(self, command: str, deadline: Deadline) -> Said:
        return super().run(command.replace("/var/lib/dpkg/status", "/nothing"), deadline)


def test_live_by_rpm(tmp_path: Path) -> None:
    """A stand-in for rpm that answers as it does; the way to it is real."""
    tool = tmp_path / "rpm"
    tool.write_text(
        "#!/bin/sh\n"
        '[ "$1 $2 $3 $4" = "-q --qf %{NAME}\\\\n --" ] || exit 9\n'
        'case $5 in bash) echo bash ;; broken) exit 2 ;; *) echo "package $5 is not installed"; exit 1 ;; esac\n'
    )
    tool.chmod(0o755)
    guest = LiveGuest(RpmGuest(f"{tmp_path}:/usr/bin:/bin"))
    assert live(guest, "bash") == live(guest, "zsh", installed=False) == []
    assert live(guest, "bash", installed=False) == ["bash"]
    assert live(guest, "zsh") == ["package zsh is not installed"]
    with pytest.raises(HarnessError, match="exited 1"):
        live(guest, "broken")


def test_a_guest_with_neither_or_with_nonsense() -> None:
    for said in (Said("none\n"), Said(""), Said("\ufffd" * 2**20)):
        with pytest.raises(HarnessError, match="neither dpkg nor rpm"):
            live(LiveGuest(FakeShell({"dpkg": said})), "bash")
