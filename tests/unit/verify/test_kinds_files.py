from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goldsmith.verify.kinds.files import AbsentAssertion, FileAssertion, absent, file
from goldsmith.verify.tree import FolderTree


@pytest.fixture
def tree(tmp_path: Path) -> FolderTree:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("build-host\n")
    (tmp_path / "etc/hostname").chmod(0o640)
    (tmp_path / "etc/resolv.conf").symlink_to("/run/stub")
    (tmp_path / "etc/localtime").symlink_to("hostname")
    return FolderTree(tmp_path)


def test_file_findings(tree: FolderTree) -> None:
    def findings(path: str, **more: Any) -> list[tuple[str, str]]:
        return [(f.expected, f.seen) for f in file(FileAssertion.model_validate({"path": path, **more}), tree)]

    name = "/etc/hostname"
    assert findings(name) == []
    assert findings(name, mode="0640", content={"equals": "build-host"}) == []
    assert findings(name, mode="640") == []
    assert findings("/etc/nothing", exists=False) == []
    assert findings("/etc/resolv.conf", symlink="/run/stub") == []
    assert findings("/etc/localtime", symlink="hostname", content={"contains": "host"}) == []
    assert findings("/etc/nothing") == [("/etc/nothing exists", "nothing of this name")]
    assert findings(name, exists=False) == [("/etc/hostname does not exist", "/etc/hostname exists")]
    assert findings("/etc/resolv.conf", exists=False) != [], "a dangling link is there, too"
    assert findings(name, mode="0644", content={"equals": "x"}) == [
        ("/etc/hostname has mode 0644", "0640"),
        ("/etc/hostname is 'x'", "build-host"),
    ]
    assert findings(name, symlink="x") == [("/etc/hostname is a symbolic link to x", "no symbolic link")]
    assert findings("/etc/resolv.conf", symlink="x")[0][1] == "a link to /run/stub"
    assert findings("/etc/resolv.conf", mode="0644")[0][1] == "a link that leads nowhere"
    assert findings("/etc", content={"equals": "x"})[0][1] == "something else"


def test_owner_by_the_trees_own_names(tree: FolderTree) -> None:
    found = tree.stat("/etc/hostname")
    assert found is not None
    (tree.root / "etc/passwd").write_text(f"builder:x:{found.uid}:1::/:\n")
    (tree.root / "etc/group").write_text(f"builders:x:{found.gid}:\n")

    def seen(owner: str) -> list[str]:
        return [f.seen for f in file(FileAssertion(path="/etc/hostname", owner=owner), tree)]

    assert seen("builder") == seen("builder:builders") == []
    assert seen("root") == ["builder"]
    assert seen("builder:root") == ["builder:builders"]


def test_absent_shows_what_was_found(tree: FolderTree) -> None:
    def findings(**assertion: Any) -> list[tuple[str, str]]:
        return [(f.expected, f.seen) for f in absent(AbsentAssertion.model_validate(assertion), tree)]

    assert findings(paths=["/root/*", "/etc/ssh_*"]) == []
    assert findings(paths=["/etc/h*", "/etc/res*"]) == [
        ("nothing matches /etc/h*", "/etc/hostname"),
        ("nothing matches /etc/res*", "/etc/resolv.conf"),
    ]
    assert findings(content=[{"glob": "/etc/**", "pattern": "mirror"}]) == []
    assert findings(content=[{"glob": "/etc/**", "pattern": "^build"}]) == [
        ("no file of /etc/** holds '^build'", "/etc/hostname: build-host")
    ]
    for number in range(30):
        (tree.root / f"etc/key-{number:02}").touch()
    assert findings(paths=["/etc/key-*"])[0][1].splitlines()[-1] == "... and 10 more"
