from __future__ import annotations

from pathlib import Path

import pytest

from goldsmith.errors import HarnessError
from goldsmith.verify import tree as tree_module
from goldsmith.verify.tree import FolderTree


@pytest.fixture
def tree(tmp_path: Path) -> FolderTree:
    for name, text in {
        "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
        "etc/ssh/ssh_host_ed25519_key": "secret",
        "etc/ssh/.hidden": "hidden",
        "etc/ssh/sshd_config.d/a.conf": "deep",
        "usr/bin/sh": "shell",
        "secret": "the tree's own",
    }.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    root = tmp_path / "root"
    (root / "bin").symlink_to("usr/bin")
    (root / "absolute").symlink_to("/secret")
    (root / "out").symlink_to("../../../../secret")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("/nowhere")
    (tmp_path / "secret").write_text("the host's")
    return FolderTree(root)


@pytest.mark.parametrize("path", ["/absolute", "/out", "/bin/../../secret", "/../secret"])
def test_links_never_lead_out_of_the_tree(tree: FolderTree, path: str) -> None:
    assert tree.read(path) == b"the tree's own"


def test_links(tree: FolderTree) -> None:
    assert tree.read("/bin/sh") == b"shell"
    assert tree.is_symlink("/bin") and not tree.is_symlink("/bin/sh")
    assert tree.readlink("/dangling") == "/nowhere"
    assert tree.exists("/dangling") and tree.stat("/dangling") is None
    assert tree.exists("/loop") and tree.stat("/loop") is None
    assert not tree.exists("/nowhere") and not tree.exists("/secret/below")
    with pytest.raises(HarnessError, match="not a symbolic link"):
        tree.readlink("/secret")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/etc/ssh/ssh_host_*", ["/etc/ssh/ssh_host_ed25519_key"]),
        ("/etc/ssh/*", ["/etc/ssh/.hidden", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/sshd_config.d"]),
        ("/*/sh", ["/bin/sh"]),
        ("/bin/*", ["/bin/sh"]),
        ("/**/*.conf", ["/etc/ssh/sshd_config.d/a.conf"]),
        ("/etc/**/a.conf", ["/etc/ssh/sshd_config.d/a.conf"]),
        ("/etc/ssh/sshd_config.d/**", ["/etc/ssh/sshd_config.d/a.conf"]),
        ("/etc/**/passwd", ["/etc/passwd"]),
        ("/[!a-z]*", []),
        ("/se?ret", ["/secret"]),
        ("/dangling", ["/dangling"]),
        ("/nothing", []),
        ("/nothing/*", []),
        ("/nothing/**", []),
        ("/secret/*", []),
    ],
)
def test_globs(tree: FolderTree, pattern: str, found: list[str]) -> None:
    assert tree.glob(pattern) == found


def test_contents_are_of_plain_files_only(tree: FolderTree) -> None:
    assert dict(tree.contents("/etc/ssh/*")) == {
        "/etc/ssh/.hidden": b"hidden",
        "/etc/ssh/ssh_host_ed25519_key": b"secret",
    }
    assert set(dict(tree.contents("/**"))) == {
        "/etc/passwd",
        "/etc/ssh/.hidden",
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/ssh/sshd_config.d/a.conf",
        "/secret",
        "/usr/bin/sh",
    }
    assert dict(tree.contents("/nothing/**")) == {}
    assert dict(tree.contents("/absolute")) == {}


def test_reading_what_is_no_plain_file_or_too_large(tree: FolderTree, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError, match="not a plain file"):
        tree.read("/etc")
    monkeypatch.setattr(tree_module, "READ_LIMIT", 3)
    with pytest.raises(HarnessError, match="larger than"):
        tree.read("/secret")
    with pytest.raises(HarnessError, match="larger than"):
        dict(tree.contents("/etc/**"))


def test_names_of_owners_are_the_trees_own(tree: FolderTree) -> None:
    assert tree.user_name(0) == "root"
    assert tree.user_name(4711) == "4711"
    assert tree.group_name(0) == "0", "the tree has no /etc/group"
