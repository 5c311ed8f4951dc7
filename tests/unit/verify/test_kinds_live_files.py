"""The live view of files held against the offline one, on a folder of this host with real tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from verify_standins import FakeShell, HostShell, Said

from goldsmith.errors import HarnessError
from goldsmith.verify import tree as trees
from goldsmith.verify.compare import Finding
from goldsmith.verify.kinds import files, live_files
from goldsmith.verify.kinds.files import AbsentAssertion, FileAssertion
from goldsmith.verify.subjects import TIMED_OUT, LiveGuest
from goldsmith.verify.tree import FolderTree

#: names that a careless shell would run, split or expand
NASTY = (
    "a b",
    "-n",
    "'; touch pwned; '",
    '"$(touch pwned)"',
    "back\\slash",
    "new\nline",
    "* ?[x]",
    "ünïcode",
    "trail ",
    "(a|b)+.{2}^$",
)


def live(assertion: dict[str, Any]) -> list[Finding]:
    shell = HostShell()
    found = live_files.file(FileAssertion.model_validate(assertion), LiveGuest(shell))
    assert len(shell.asked) == 1, "one command for all that is asked"
    return found


def offline(assertion: dict[str, Any]) -> list[Finding]:
    return files.file(FileAssertion.model_validate(assertion), FolderTree(Path("/")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plain").write_text("first\nsecond\n")
    (tmp_path / "plain").chmod(0o4640)
    (tmp_path / "empty").touch()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\0raw\n")
    (tmp_path / "nowhere").symlink_to("/nothing/at all")
    (tmp_path / "link").symlink_to("plain")
    (tmp_path / "odd-link").symlink_to("new\nline ")
    os.mkfifo(tmp_path / "fifo")
    for name in NASTY:
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"exists": False},
        {"mode": "4640", "owner": "root:root", "content": {"equals": "first\nsecond"}},
        {"symlink": "new\nline "},
        {"mode": "0600", "owner": "daemon:games", "symlink": "plain", "content": {"contains": "raw", "count": 2}},
    ],
    ids=str,
)
def test_live_says_what_offline_says(folder: Path, asked: dict[str, Any]) -> None:
    seen = set()
    names = ("plain", "empty", "bytes", "nowhere", "link", "odd-link", "fifo", "nothing", "plain/below", ".")
    for name in names:
        assertion = {"path": f"{folder}/{name}", **asked}
        assert live(assertion) == offline(assertion), name
        seen.add(bool(offline(assertion)))
    assert seen == {True, False} or len(asked) > 3


def test_any_path_is_only_a_path(folder: Path) -> None:
    for name in NASTY:
        assert live({"path": f"{folder}/{name}", "content": {"equals": name}}) == []
        assert live({"path": f"{folder}/{name}x"}) != []
    assert not (folder / "pwned").exists()
    assert not Path("/pwned").exists()


def test_a_user_without_a_name_is_its_number(folder: Path) -> None:
    os.chown(folder / "plain", 54321, 54322)
    path = str(folder / "plain")
    assert live({"path": path, "owner": "54321:54322"}) == []
    assert [f.seen for f in live({"path": path, "owner": "root:root"})] == ["54321:54322"]


def test_a_large_file_is_not_compared_by_its_beginning(folder: Path) -> None:
    (folder / "large").write_bytes(b"x" * live_files.LIVE_LIMIT)
    assert live({"path": str(folder / "large"), "content": {"not_contains": "y"}}) == []
    (folder / "large").write_bytes(b"x" * live_files.LIVE_LIMIT + b"y")
    with pytest.raises(HarnessError, match="is larger than 512 KiB"):
        live({"path": str(folder / "large"), "content": {"not_contains": "y"}})
    # What does not ask for the content does not bring it.
    assert live({"path": str(folder / "large"), "owner": "root"}) == []


@pytest.mark.parametrize(
    "said",
    [
        Said(""),
        Said("\n"),
        Said("plain\n"),
        Said("plain\nnot numbers at all\nroot\nroot\n"),
        Said("plain\n81a4 0 0 3\nroot\nroot\n"),
        Said("plain\n81a4 0 0 3\nroot\nroot\nYWJj"),
        Said("plain\n81a4 0 0 3\nroot\nroot\n!!!!\nend\n"),
        Said("plain\n81a4 0 0 3\nroot\nroot\n\ufffd\ufffd\nend\n"),
        Said("\ufffd" * 2**20),
        Said("", 127, "sh: stat: not found"),
        Said("plain\n81a4 0 0 3", TIMED_OUT),
    ],
)
def test_a_guest_that_talks_nonsense_breaks_the_check(said: Said) -> None:
    assertion = FileAssertion.model_validate({"path": "/x", "content": {"not_contains": "y"}})
    with pytest.raises(HarnessError):
        live_files.file(assertion, LiveGuest(FakeShell({"/x": said})))


PATTERNS = (
    "plain",
    "*",
    "nothing*",
    "no-folder/*",
    "?mpty",
    "[a-l]*",
    "[!a-l]*",
    "[]x-z]*",
    "sub/*",
    "linked/*",
    "*/inner",
    "*/.hidden",
    "**/inner",
    "**",
    "sub/**",
    "linked/**",
    "**/*.conf",
    "(a|b)+.{2}^$",
    "(a|b)+.{2}^*",
    "* [?][[]x]",
    "nowhere",
    "nowhere/*",
)


def globbed(pattern: str) -> list[str]:
    return live_files._glob(LiveGuest(HostShell()), pattern)


@pytest.fixture
def tree(folder: Path) -> Path:
    (folder / "sub/deep").mkdir(parents=True)
    for name in ("sub/inner", "sub/.hidden", "sub/deep/inner", "sub/deep/x.conf"):
        (folder / name).write_text(f"text of {name}\n")
    (folder / "linked").symlink_to("sub")
    (folder / "sub/to-inner").symlink_to("inner")
    return folder


@pytest.mark.parametrize("pattern", PATTERNS)
def test_globs_find_what_a_tree_finds(tree: Path, pattern: str) -> None:
    whole = FolderTree(Path("/"))
    assert globbed(f"{tree}/{pattern}") == whole.glob(f"{tree}/{pattern}")


@pytest.mark.parametrize("pattern", ["sub/*", "linked/*", "*/inner", "**/inner", "sub/**", "**/*.conf", "none/**"])
def test_contents_are_those_of_a_tree(tree: Path, pattern: str) -> None:
    found = live_files._contents(LiveGuest(HostShell()), f"{tree}/{pattern}")
    assert sorted(found) == sorted(FolderTree(Path("/")).contents(f"{tree}/{pattern}"))


def test_absent_live(tree: Path) -> None:
    def findings(**assertion: Any) -> list[Finding]:
        return live_files.absent(AbsentAssertion.model_validate(assertion), LiveGuest(HostShell()))

    assert findings(paths=[f"{tree}/nothing*", f"{tree}/no/folder"]) == []
    assert findings(content=[{"glob": f"{tree}/**", "pattern": "not in any file"}]) == []
    assert findings(paths=[f"{tree}/sub/in*"])[0].seen == f"{tree}/sub/inner"
    assert findings(content=[{"glob": f"{tree}/sub/*", "pattern": "^text of"}])[0].seen.splitlines() == [
        f"{tree}/sub/.hidden: text of sub/.hidden",
        f"{tree}/sub/inner: text of sub/inner",
    ]


def test_more_than_the_channel_holds_breaks_the_check(tree: Path) -> None:
    for number in range(3):
        (tree / f"sub/large-{number}").write_bytes(b"x" * (live_files.LIVE_LIMIT // 2))
    with pytest.raises(HarnessError, match="more than 512 KiB"):
        list(live_files._contents(LiveGuest(HostShell()), f"{tree}/sub/*"))


@pytest.mark.parametrize("said", [Said(""), Said("", 1, "find: lost\n1\n"), Said("", TIMED_OUT)])
def test_a_find_that_fails_finds_no_absence(said: Said) -> None:
    guest = LiveGuest(FakeShell({"find": said}))
    with pytest.raises(HarnessError):
        live_files.absent(AbsentAssertion(paths=("/x/*",)), guest)
    with pytest.raises(HarnessError):
        live_files.absent(AbsentAssertion.model_validate({"content": [{"glob": "/x/*", "pattern": "x"}]}), guest)


def test_the_kernels_own_trees_are_left_out_below_the_root() -> None:
    for pattern in ("/*", "/**/x"):
        assert "-path /proc" in live_files._find(pattern)[1]
    assert "-path /proc" not in live_files._find("/proc/sys/**")[1]
    assert trees.split("/a/b*/c") == ("/a", ("b*", "c"))
