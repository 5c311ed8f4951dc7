"""Which cause a difference gets from what is known around it, and which it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inspection_help import fill

from goldsmith.inspection.comparison.contents import Content
from goldsmith.inspection.comparison.differences import Difference, differences, said
from goldsmith.inspection.comparison.explain import (
    Cause,
    Known,
    below_cause,
    cause,
    elements_that_differ,
    folders_of_changes,
    inputs_that_differ,
)
from goldsmith.inspection.comparison.files import File
from goldsmith.inspection.comparison.packages import Packages, owner, packages
from goldsmith.store.manifest import Manifest
from goldsmith.verify.tree import FolderTree

FILE = File("file", 0o644, 0, 0, 2, 10**18, digest="a")
OTHER = replace(FILE, digest="b")
LINK = File("link", 0o777, 0, 0, 0, 10**18, target="x")
FOLDER = File("folder", 0o755, 0, 0, 0, 10**18)
CURL = "/usr/bin/curl"
OWNED = Known(a=Packages({CURL: "curl"}, {"curl": "8.1"}), b=Packages({CURL: "curl"}, {"curl": "8.1"}))
UPGRADED = replace(OWNED, b=Packages({CURL: "curl"}, {"curl": "8.2"}))
REMOVED = replace(OWNED, b=Packages({}, {"vim": "9"}))


def why(path: str, a: File | None, b: File | None, known: Known = Known(), *texts: str) -> Cause:  # noqa: B008
    (found,) = differences({path: a} if a else {}, {path: b} if b else {})
    one, other = (Content(text.encode(), len(text.encode())) for text in texts or ("a\n", "b\n"))
    return cause(found, known, one, other)


class TestDifferences:
    def test_none(self) -> None:
        assert differences({"/a": FILE, "/l": LINK}, {"/a": FILE, "/l": LINK}) == []

    @pytest.mark.parametrize(
        ("change", "what", "words"),
        [
            ({"digest": "b"}, "content", ""),
            ({"mode": 0o4755}, "mode", "mode 0644 -> 4755"),
            ({"uid": 1000}, "owner", "owner 0:0 -> 1000:0"),
            ({"modified": 10**18 + 5 * 10**8}, "time", "time 2001-09-09T01:46:40Z -> 2001-09-09T01:46:40.5Z"),
            ({"xattrs": {"user.a": "00"}}, "xattrs", "xattrs user.a"),
            ({"links": ("/b",)}, "links", "other names: none -> /b"),
            ({"kind": "folder"}, "kind", "file -> folder"),
        ],
    )
    def test_each_attribute(self, change: dict[str, Any], what: str, words: str) -> None:
        (found,) = differences({"/a": FILE}, {"/a": replace(FILE, **change)})
        assert (found.path, found.what, found.only) == ("/a", (what,), None)
        assert said(found, what) == words

    def test_links_and_devices(self) -> None:
        (found,) = differences({"/l": LINK}, {"/l": replace(LINK, target="y")})
        assert said(found, "target") == "link to x -> y"
        device = File("character device", 0o666, 0, 0, 0, 0, device=0x103)
        (found,) = differences({"/d": device}, {"/d": replace(device, device=0x105)})
        assert said(found, "device") == "device 0x103 -> 0x105"

    def test_on_one_side_only(self) -> None:
        found = differences({"/b": FILE, "/a": FILE}, {"/c": FILE, "/a": FILE})
        assert [(each.path, each.only) for each in found] == [("/b", "a"), ("/c", "b")]

    def test_a_time_that_no_calendar_has(self) -> None:
        assert said(Difference("/a", FILE, replace(FILE, modified=2**63 - 1), ("time",)), "time").endswith("Z")
        assert said(Difference("/a", FILE, replace(FILE, modified=10**30), ("time",)), "time").endswith(" s")


class TestPackages:
    def test_another_version(self) -> None:
        assert why(CURL, FILE, OTHER, UPGRADED) == Cause("package-version", "package curl: 8.1 -> 8.2")

    def test_of_that_package_its_own_files_too(self) -> None:
        found = why("/var/lib/dpkg/info/curl.md5sums", FILE, OTHER, UPGRADED)
        assert found.kind == "package-version"
        assert why("/var/lib/dpkg/info/vim.md5sums", FILE, OTHER, UPGRADED).kind == "package-database"

    def test_it_came_or_went(self) -> None:
        assert why(CURL, FILE, None, REMOVED) == Cause("package-only", "package curl 8.1: in A only")
        back = replace(REMOVED, a=REMOVED.b, b=REMOVED.a)
        assert why(CURL, None, FILE, back).says == "package curl 8.1: in B only"

    def test_the_same_version_is_looked_into(self) -> None:
        found = why(CURL, FILE, OTHER, OWNED)
        assert (found.kind, found.says) == ("lines", "other lines, of package curl (8.1 in both)")

    def test_a_file_of_no_package_is_not_explained_by_one(self) -> None:
        assert why("/usr/bin/other", FILE, OTHER, UPGRADED).kind == "lines"

    def test_databases_only_where_packages_differ(self) -> None:
        assert why("/var/lib/dpkg/status", FILE, OTHER, UPGRADED).kind == "package-database"
        assert why("/var/lib/dpkg/status", FILE, OTHER, OWNED).kind == "lines"
        assert why("/var/lib/other", FILE, OTHER, UPGRADED).kind == "lines"


class TestElements:
    def test_of_an_element_that_differs(self) -> None:
        known = Known(elements={"/etc/mark": "marked"})
        assert why("/etc/mark", FILE, OTHER, known) == Cause("element", "of element marked, which differs")
        assert why("/etc/other", FILE, OTHER, known).kind == "lines"

    def test_by_the_manifests(self) -> None:
        a = manifest({"element:x:static/etc/a": "1", "element:x:static/etc/b": "1", "element:x:install.d/50-x": "1"})
        b = manifest({"element:x:static/etc/a": "1", "element:x:static/etc/b": "2", "element:x:install.d/50-x": "2"})
        assert elements_that_differ(a, b) == {"/etc/b": "x"}
        assert inputs_that_differ(a, b) == ["element x: install.d/50-x changed", "element x: static/etc/b changed"]
        assert (elements_that_differ(a, None), inputs_that_differ(None, b)) == ({}, [])


def manifest(inputs: dict[str, str]) -> Manifest:
    return Manifest.model_construct(inputs=inputs)


class TestAttributes:
    def test_which_is_said(self) -> None:
        found = why("/a", FILE, replace(FILE, mode=0o600, modified=0))
        assert found.says == "the content is the same, not: mode, time"
        assert found.shows.startswith("mode 0644 -> 0600; time 2001-")

    def test_a_folders_time_where_a_name_came(self) -> None:
        listed = differences({"/d": FOLDER}, {"/d": replace(FOLDER, modified=0), "/d/new": FILE})
        folders = folders_of_changes(listed)
        assert folders == {"/d"}
        later = replace(FOLDER, modified=0)
        assert why("/d", FOLDER, later, Known(folders=folders)).kind == "entries"
        assert why("/e", FOLDER, later, Known(folders=folders)).kind == "attributes"
        assert why("/d", FOLDER, replace(later, mode=0o700), Known(folders=folders)).kind == "attributes"

    def test_a_link_that_leads_elsewhere(self) -> None:
        assert why("/l", LINK, replace(LINK, target="y", modified=0)).kind == "target"
        assert why("/l", LINK, replace(LINK, target="y", uid=5)).kind == "attributes"

    def test_another_kind(self) -> None:
        assert why("/l", LINK, FILE) == Cause("kind", "another kind of file", "link -> file")

    def test_a_mode_beside_the_content_is_said_and_a_time_is_not(self) -> None:
        found = why("/a", FILE, replace(OTHER, mode=0o600, modified=0))
        assert found.shows == 'line 1: "a" -> "b"; mode 0644 -> 0600'

    def test_on_one_side_only(self) -> None:
        assert why("/a", None, FILE) == Cause("only", "in B only")
        assert why(CURL, FILE, None, OWNED).says == "in A only, of package curl (8.1 in both)"


class TestSecrets:
    SEEN = "SEEN-NOWHERE"

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("/etc/shadow", "root:{}:1::\n"),
            ("/etc/gshadow", "root:{}::\n"),
            ("/etc/ssh/ssh_host_rsa_key", "{}\n"),
            ("/etc/machine-id", "{}\n"),
            ("/root/.ssh/authorized_keys", "ssh-rsa {}\n"),
            ("/var/lib/systemd/random-seed", "{}\n"),
            ("/srv/own/.netrc", "machine x login y pass {}\n"),
            ("/etc/apt/auth.conf", "machine x password {}\n"),
        ],
    )
    def test_they_are_named_and_never_shown(self, path: str, text: str) -> None:
        known = Known(homes=("/root", "/srv/own"))
        found = why(path, FILE, OTHER, known, text.format(self.SEEN), text.format(f"{self.SEEN}-2"))
        assert self.SEEN not in f"{found.says}{found.shows}"

    def test_a_rule_of_residue_is_the_cause(self) -> None:
        assert why("/etc/ssh/ssh_host_rsa_key", FILE, OTHER).says == "SSH host key (ssh-host-keys)"
        assert why("/etc/machine-id", FILE, OTHER, Known(), "a" * 32, "b" * 32).says == "machine-id (machine-id)"
        assert why("/etc/machine-id", FILE, OTHER, Known(), "", "uninitialized\n").kind == "lines"

    def test_not_where_only_the_time_differs(self) -> None:
        assert why("/etc/ssh/ssh_host_rsa_key", FILE, replace(FILE, modified=0)).kind == "attributes"

    def test_a_path_that_no_rule_names_is_looked_into(self) -> None:
        assert why("/etc/ssh/sshd_config", FILE, OTHER).kind == "lines"


class TestIdentifiers:
    def test_grubs_core_image(self) -> None:
        path = "/boot/grub/i386-pc/core.img"
        assert why(path, FILE, OTHER, Known(identifiers={"a-b": "c-d"}), "\0a", "\0b").kind == "disk-identifier"
        assert why(path, FILE, OTHER, Known(), "\0a", "\0b").kind == "bytes"

    @pytest.mark.parametrize(
        ("about", "other_recipe", "identifiers", "says"),
        [
            ("partition 1: UUID", True, True, "follows from the digest"),
            ("partition 1: UUID", False, True, "each disk can have its own"),
            ("partition 14: bytes", False, True, "may be GRUB"),
            ("boot code", False, True, "may be GRUB"),
            ("partition 14: bytes", True, False, ""),
            ("partition 1: size", True, True, ""),
        ],
    )
    def test_below_the_files(self, about: str, other_recipe: bool, identifiers: bool, says: str) -> None:
        found = below_cause(about, other_recipe=other_recipe, identifiers=identifiers)
        assert found.startswith(says)
        assert bool(found) == bool(says)


def test_what_was_not_read_is_said() -> None:
    (found,) = differences({"/a": FILE}, {"/a": OTHER})
    assert cause(found, Known(), None, None) == Cause("not-read", "not looked at")


class TestPackagesOfATree:
    STATUS = (
        "Package: curl\nStatus: install ok installed\nVersion: 8.1\nDescription: a\n b\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        "Package: libc6\nStatus: hold ok installed\nVersion: 2.41\nMulti-Arch: same\n"
    )

    def test_by_dpkgs_files(self, tmp_path: Path) -> None:
        fill(
            tmp_path,
            {
                "var/lib/dpkg/status": self.STATUS,
                "var/lib/dpkg/info/curl.list": "/.\n/usr/bin/curl\n/bin/c\n/libexec/x\n",
                "var/lib/dpkg/info/libc6:amd64.list": "/.\n/lib/x.so\n",
                "var/lib/dpkg/info/curl.postinst": "/usr/bin/not\n",
                "bin": "-> usr/bin",
            },
        )
        found = packages(FolderTree(tmp_path))
        assert found.versions == {"curl": "8.1", "libc6": "2.41"}
        assert owner(found, "/usr/bin/curl") == "curl"
        # /bin is merged in this tree, /lib is not.
        assert (owner(found, "/usr/bin/c"), owner(found, "/lib/x.so")) == ("curl", "libc6")
        assert owner(found, "/libexec/x") == "curl"
        assert (owner(found, "/usr/bin/not"), owner(found, "/usr/lib/x.so")) == ("", "")
        assert owner(found, "/var/lib/dpkg/info/libc6:amd64.list") == "libc6"
        assert owner(found, "/var/lib/dpkg/info/gone.list") == ""

    def test_none_without_dpkg(self, tmp_path: Path) -> None:
        assert packages(FolderTree(tmp_path)) == Packages()
