"""What a comparison asks of an appliance, by stand-ins that answer as libguestfs does; and what is made of it."""

from __future__ import annotations

import contextlib
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest

from goldsmith.boot.systems import System
from goldsmith.errors import HarnessError, InputError
from goldsmith.host.progress import Progress
from goldsmith.inspection.comparison import compare, disks, reading, report
from goldsmith.inspection.comparison.compare import Below, Comparison, Explained, Subject, counterparts, manifest_beside
from goldsmith.inspection.comparison.contents import LIMIT, Content, Kind, reason
from goldsmith.inspection.comparison.differences import Difference
from goldsmith.inspection.comparison.disks import Disk, Opened, own_systems, place
from goldsmith.inspection.comparison.explain import Cause
from goldsmith.inspection.comparison.files import File, checksums, listing
from goldsmith.inspection.comparison.reading import both, contents
from goldsmith.inspection.image import Image
from goldsmith.inspection.storage import FileSystem

FILE = File("file", 0o644, 0, 0, 2, 10**18, digest="a")


class Handle:
    """A guest's file system of a few files: path to (mode, inode, links, xattrs, target)."""

    FILES: ClassVar[dict[str, tuple[int, int, int, dict[str, bytes], str]]] = {
        "": (stat.S_IFDIR | 0o755, 2, 1, {}, ""),
        "a": (stat.S_IFREG | 0o644, 10, 2, {"user.x": b"\0\xff", "user.y": b""}, ""),
        "b\nc": (stat.S_IFREG | 0o4755, 10, 2, {}, ""),
        "d": (stat.S_IFDIR | 0o700, 11, 2, {}, ""),
        "d/l": (stat.S_IFLNK | 0o777, 12, 1, {"security.selinux": b"u:o"}, "../a"),
        "d/null": (stat.S_IFCHR | 0o666, 13, 1, {}, ""),
    }

    def __init__(self, extra: bytes = b"") -> None:
        self.extra = extra
        self.questions: list[str] = []

    def find0(self, folder: str, target: str) -> None:
        names = [name.encode() for name in self.FILES if name]
        Path(target).write_bytes(b"".join(name + b"\0" for name in names) + self.extra)

    def checksums_out(self, kind: str, folder: str, target: str) -> None:
        Path(target).write_text(f"{'1' * 64}  ./a\n\\{'1' * 64}  ./b\\nc\n")

    def _of(self, folder: str, names: list[str]) -> list[tuple[int, int, int, dict[str, bytes], str]]:
        # As libguestfs: a name with a slash in it is refused.
        assert not any("/" in name for name in names)
        return [self.FILES["" if name == "." else f"{folder}/{name}".lstrip("/")] for name in names]

    def lstatnslist(self, folder: str, names: list[str]) -> list[dict[str, int]]:
        self.questions.append(folder)
        return [
            {
                "st_dev": 1,
                "st_ino": inode,
                "st_mode": mode,
                "st_nlink": links,
                "st_uid": 5,
                "st_gid": 6,
                "st_size": 7,
                "st_rdev": 0x103,
                "st_mtime_sec": 8,
                "st_mtime_nsec": 9,
            }
            for mode, inode, links, _, _ in self._of(folder, names)
        ]

    def readlinklist(self, folder: str, names: list[str]) -> list[str]:
        return [target for *_, target in self._of(folder, names)]

    def lxattrlist(self, folder: str, names: list[str]) -> list[dict[str, Any]]:
        found = []
        for *_, xattrs, _ in self._of(folder, names):
            found.append({"attrname": "", "attrval": str(len(xattrs)).encode() + b"\0"})
            found += [{"attrname": name, "attrval": value} for name, value in xattrs.items()]
        return found


class TestListing:
    def test_every_kind_of_file(self) -> None:
        found = listing(Handle()).files
        assert set(found) == {"/", "/a", "/b\nc", "/d", "/d/l", "/d/null"}
        assert found["/a"] == File(
            "file", 0o644, 5, 6, 7, 8 * 10**9 + 9, "1" * 64, "", 0, {"user.x": "00ff", "user.y": ""}, ("/b\nc",)
        )
        assert (found["/b\nc"].mode, found["/b\nc"].digest, found["/b\nc"].links) == (0o4755, "1" * 64, ("/a",))
        assert found["/d"].kind == "folder" and found["/d"].size == 0 and found["/d"].links == ()
        assert found["/d/l"].target == "../a" and found["/d/l"].xattrs == {"security.selinux": b"u:o".hex()}
        assert (found["/d/null"].kind, found["/d/null"].device) == ("character device", 0x103)

    def test_each_folder_is_one_question(self) -> None:
        handle = Handle()
        listing(handle)
        assert handle.questions == ["/", "/", "/d"]

    def test_a_name_that_is_no_utf8_is_said(self) -> None:
        found = listing(Handle(extra=b"d/\xff\0"))
        assert found.unasked == ("/d/\udcff",)
        assert "/d/\udcff" not in found.files

    def test_a_name_with_a_backslash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def out(self: Handle, kind: str, folder: str, target: str) -> None:
            Path(target).write_text(f"\\{'2' * 64}  ./x\\\\n\n{'3' * 64}  ./plain\n")

        monkeypatch.setattr(Handle, "checksums_out", out)
        assert checksums(Handle()) == {"/x\\n": "2" * 64, "/plain": "3" * 64}


def file_system(device: str, uuid: str, kind: str = "ext4") -> FileSystem:
    return FileSystem(device, kind, "", uuid)


def system(root: str, mounts: dict[str, str]) -> System:
    return System(root, "linux", "debian", "Debian", "13.0", "x86_64", mounts)


class TestTwoDisksInOneAppliance:
    """What /etc/fstab names by an identifier that both disks have is mounted from the disk itself."""

    def test_the_twin_by_its_uuid(self) -> None:
        found = {
            "a": [file_system("/dev/sda1", "r"), file_system("/dev/sda15", "e", "vfat")],
            "b": [file_system("/dev/sdb1", "r"), file_system("/dev/sdb2", "e", "vfat")],
        }
        both_of = [system(f"/dev/sd{name}1", {"/": f"/dev/sd{name}1", "/boot/efi": "/dev/sdb2"}) for name in "ab"]
        (own,) = own_systems(both_of, found, "a")  # type: ignore[arg-type]
        assert own.mounts == {"/": "/dev/sda1", "/boot/efi": "/dev/sda15"}
        (own,) = own_systems(both_of, found, "b")  # type: ignore[arg-type]
        assert own.mounts == {"/": "/dev/sdb1", "/boot/efi": "/dev/sdb2"}

    def test_the_twin_by_its_number_only_where_the_type_is_the_same(self) -> None:
        found = {
            "a": [file_system("/dev/sda1", "r"), file_system("/dev/sda2", "h"), file_system("/dev/sda3", "v", "xfs")],
            "b": [file_system("/dev/sdb1", "s"), file_system("/dev/sdb2", "i"), file_system("/dev/sdb3", "w")],
        }
        listed = [system("/dev/sdb1", {"/": "/dev/sdb1", "/home": "/dev/sda2", "/var": "/dev/sda3", "/x": "/dev/vg/x"})]
        (own,) = own_systems(listed, found, "b")  # type: ignore[arg-type]
        assert own.mounts == {"/": "/dev/sdb1", "/home": "/dev/sdb2"}

    def test_names_are_those_of_a_disk_alone(self) -> None:
        assert place("/dev/sda15", "/dev/sda") == "partition 15"
        assert place("/dev/sda", "/dev/sda") == "disk"
        assert place("/dev/sdaa1", "/dev/sda") == "/dev/sdaa1"
        assert place("/dev/vg/root", "/dev/sda") == "/dev/vg/root"

    @pytest.mark.parametrize(("kind", "launches"), [("ext4", 1), ("btrfs", 2), ("LVM2_member", 2)])
    def test_what_the_kernel_finds_by_identifiers_is_not_mixed(
        self, kind: str, launches: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started = []

        class Running:
            @contextlib.contextmanager
            def disk(self, side: str) -> Iterator[tuple[Any, str]]:
                yield FileSystems(kind), f"/dev/sd{side}"

            def systems(self) -> list[System]:
                return []

        @contextlib.contextmanager
        def launched(images: dict[str, object], accelerator: object) -> Iterator[Running]:
            started.append(tuple(images))
            yield Running()

        monkeypatch.setattr(disks.appliance, "launched", launched)
        image = Image(Path("/x"), "raw", "", 1)
        with disks.opened(image, image, None) as opener, opener("b") as found:  # type: ignore[arg-type]
            assert found.side == "b"
            assert set(found.file_systems) == ({"a", "b"} if launches == 1 else {"b"})
        assert started == [("a", "b"), ("b",)][:launches]


class FileSystems:
    """Answers what is on partitions, one of each disk."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def list_partitions(self) -> list[str]:
        return ["/dev/sda1", "/dev/sdb1"]

    def list_filesystems(self) -> dict[str, str]:
        return {"/dev/sdb1": self._kind, "btrfsvol:/dev/sdb1/@": "btrfs"}

    def vfs_type(self, device: str) -> str:
        return self._kind

    vfs_label = vfs_uuid = vfs_type


class Tree:
    """Counts what is read of it."""

    def __init__(self) -> None:
        self.read_of: list[tuple[str, int]] = []

    def read(self, path: str) -> bytes:
        self.read_of.append((path, -1))
        return b"ab"

    def head(self, path: str, size: int) -> bytes:
        self.read_of.append((path, size))
        return b"ab"


class Running:
    """An appliance whose disks break when they are asked; ``alive`` says whether it outlives that."""

    def __init__(self, *, alive: bool, tree: Tree | None = None) -> None:
        self._alive = alive
        self._tree = tree

    @contextlib.contextmanager
    def disk(self, side: str, seconds: float = 0) -> Iterator[tuple[Any, str]]:
        raise HarnessError("input/output error\x1b[2J", where="/dev/sda1")
        yield  # type: ignore[unreachable]

    @contextlib.contextmanager
    def system(self, system: System, seconds: float) -> Iterator[tuple[Any, list[str]]]:
        yield self._tree, []

    def answers(self) -> bool:
        return self._alive


def opener_of(running: Running) -> Any:
    return lambda side: contextlib.nullcontext(Opened(running, side, {}, ()))  # type: ignore[arg-type]


class TestReading:
    def test_a_disk_that_cannot_be_read_is_wrong_input(self) -> None:
        paths = {"a": Path("/x/a"), "b": Path("/x/b")}
        with pytest.raises(InputError, match=r"^/x/a: /dev/sda1: cannot be read: input/output error\\x1b\[2J$"):
            both(opener_of(Running(alive=True)), paths, Progress(quiet=True))  # type: ignore[arg-type]
        with pytest.raises(HarnessError, match=r"^/dev/sda1: input"):
            both(opener_of(Running(alive=False)), paths, Progress(quiet=True))  # type: ignore[arg-type]

    @pytest.mark.parametrize(("only_a", "prefixes"), [(False, {""}), (True, {"partition 1:"})])
    def test_a_system_without_a_counterpart_is_compared_by_its_file_systems(
        self, only_a: bool, prefixes: set[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def disk(found: Opened, *, apart: bool) -> Disk:
            plain = replace(system("/dev/sda1", {"/": "/dev/sda1"}), type="")
            if apart or (only_a and found.side == "b"):
                return Disk({}, {}, {"partition 1:": plain})
            return Disk({}, {}, {"": replace(plain, type="freebsd")})

        class Answering(Running):
            @contextlib.contextmanager
            def disk(self, side: str, seconds: float = 0) -> Iterator[tuple[Any, str]]:
                yield Handle(extra=b"\xff\0"), "/dev/sda"

            @contextlib.contextmanager
            def system(self, system: System, seconds: float) -> Iterator[tuple[Any, list[str]]]:
                yield None, ["/srv"]

        monkeypatch.setattr(reading, "disk", disk)
        paths = {"a": Path("/x/a"), "b": Path("/x/b")}
        found = both(opener_of(Answering(alive=True)), paths, Progress(quiet=True))  # type: ignore[arg-type]
        (prefix,) = prefixes
        for side in found.values():
            assert set(side.trees) == prefixes
            assert "/a" in side.trees[prefix].listing.files
            assert side.unread == (f"{prefix}/srv: cannot be mounted", f"{prefix}/\udcff: a name that is no UTF-8")

    def test_of_a_large_file_the_head_is_read(self) -> None:
        tree = Tree()
        of = Disk({}, {}, {"": system("/dev/sda1", {"/": "/dev/sda1"})})
        files = [("/small", FILE), ("/large", replace(FILE, size=LIMIT + 1)), ("/empty", replace(FILE, size=0))]
        found = contents(opener_of(Running(alive=True, tree=tree)), Path("/x"), "a", of, {"": files})
        assert found["", "/small"] == Content(b"ab", 2)
        assert found["", "/large"].size == LIMIT + 1 and not found["", "/large"].is_whole
        assert found["", "/empty"].is_whole
        assert [path for path, _ in tree.read_of] == ["/small", "/large"]
        assert 0 < tree.read_of[1][1] < LIMIT

    def test_not_more_than_so_much_is_read_of_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "_MOST_READ", 3)
        of = Disk({}, {}, {"": system("/dev/sda1", {"/": "/dev/sda1"})})
        tree = Tree()
        running = opener_of(Running(alive=True, tree=tree))
        found = contents(running, Path("/x"), "a", of, {"": [("/one", FILE), ("/two", replace(FILE, size=3))]})
        assert found["", "/one"].is_whole and not found["", "/two"].is_whole
        assert reason(found["", "/two"], found["", "/two"], {}).says == "many others were read: not looked at"


def test_counterparts_are_of_one_place_and_differ() -> None:
    a = Disk({}, {"partition 1: UUID": "u-1", "disk: identifier": "d-1", "partition 3: UUID": "x"}, {})
    b = Disk({}, {"partition 1: UUID": "u-2", "disk: identifier": "d-1"}, {})
    assert counterparts(a, b) == {"u-1": "u-2"}


def test_a_manifest_is_that_of_the_file_itself(tmp_path: Path) -> None:
    inputs = {"recipe": "1"}
    document = {
        "name": "x",
        "recipe_digest": "0" * 64,
        "inputs": inputs,
        "base": {},
        "elements": [],
        "firmware": ["bios"],
        "sha256": "1" * 64,
        "sha512": "2" * 128,
        "size": 1,
        "virtual_size": 1,
        "goldsmith_version": "0",
    }
    (tmp_path / "image.json").write_text("{}")
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    image = Image(tmp_path / "image.qcow2", "qcow2", "1" * 64, 1)
    found = manifest_beside(image)
    assert found and found.inputs == inputs
    assert manifest_beside(replace(image, sha256="3" * 64)) is None


IMAGE = Image(Path("/x/a.qcow2"), "qcow2", "ab" * 32, 3 * 2**20)
SUBJECT = Subject(IMAGE)


def explained(
    path: str, kind: str = "lines", says: str = "other lines", shows: str = "", b: File | None = FILE
) -> Explained:
    return Explained("", Difference(path, FILE, b, ("content",) if b else ()), Cause(kind, says, shows))


class TestReport:
    def test_groups_are_by_cause_the_undoing_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        files = (
            *(explained(f"/bin/{number}", "package-version", "package x: 1 -> 2") for number in range(7)),
            explained("/etc/a\x1b", shows='line 1: "a" -> "b"'),
            explained("/etc/gone", "only", "in A only", b=None),
        )
        comparison = Comparison(SUBJECT, SUBJECT, "different", (Below("disk: size", "1", "2"),), files, (), (), 50)
        text = report.as_text(comparison)
        assert text.startswith("different: 9 of 50 paths, 1 fact of the disk\n")
        assert text.index("  1  other lines") < text.index("  1  in A only") < text.index("  7  package x: 1 -> 2")
        assert "    ~ /etc/a\\x1b\n        line 1" in text
        assert "    - /etc/gone" in text
        assert "/bin/4\n      and 2 more (--all shows them)" in text and "/bin/5" not in text
        assert "/bin/6" in report.as_text(comparison, everything=True)
        assert max(map(len, text.splitlines())) <= 100

    def test_what_could_not_be_compared_is_a_difference(self) -> None:
        comparison = Comparison(SUBJECT, SUBJECT, "different", unread=("A: /srv: cannot be mounted",), compared=5)
        assert report.summary(comparison) == "different: 0 of 5 paths, 1 thing could not be compared"
        assert "not compared\n  A: /srv: cannot be mounted" in report.as_text(comparison)
        assert report.document(comparison)["same"] is False

    def test_the_document_has_no_digest_of_a_file(self) -> None:
        secret = explained("/etc/shadow", "residue", "password")
        document = report.document(Comparison(SUBJECT, SUBJECT, "different", files=(secret,)))
        (found,) = json.loads(json.dumps(document))["files"]
        assert (found["path"], found["in"], found["cause"], found["shows"]) == ("/etc/shadow", "both", "residue", None)
        assert set(found["a"]) == {"kind", "mode", "uid", "gid", "size", "modified", "target", "xattrs"}

    def test_every_kind_of_cause_has_its_place(self) -> None:
        source = "".join(path.read_text() for path in Path(compare.__file__).parent.glob("*.py"))
        kinds = {*re.findall(r'(?:Cause|Reason)\(\s*"([a-z-]+)"', source), *get_args(Kind)}
        assert len(kinds) > 15
        assert kinds == set(report.ORDER)


def test_the_documentation_has_every_cause() -> None:
    text = (Path(__file__).parents[3] / "docs/diff.md").read_text()
    assert [kind for kind in report.ORDER if f"`{kind}`" not in text] == []
