"""goldsmith diff, as it is typed, on small disks that differ in known ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import differing_disks
import pytest
from differing_disks import NAME, PYTHON, SECRET, UUIDS, Compared
from early_jobs import EarlyJobs
from system_help import Workshop

pytestmark = pytest.mark.system

#: path to cause, and what beside it must be said; all that differs and nothing else
EXPECTED = {
    "/boot/efi/menu.cfg": ("disk-identifier", ""),
    "/etc/fstab": ("disk-identifier", ""),
    "/etc/link": ("target", "link to mode -> time"),
    "/etc/mode": ("attributes", "mode 0644 -> 0600"),
    f"/{NAME}": ("lines", ""),
    "/etc/only-a": ("only", ""),
    "/etc/only-b": ("only", ""),
    "/etc/order": ("order", 'line 1: "a" -> "b"'),
    "/etc/shadow": ("residue", ""),
    "/etc/stamp": ("time", 'line 1: "made 2026-11-01" -> "made 2026-12-01"'),
    "/etc/time": ("attributes", "time 2023-11-14T22:13:20Z -> 2023-11-14T22:14:20Z"),
    "/etc/xattr": ("attributes", "xattrs user.mark"),
    "/usr/bin/other": ("package-version", ""),
    f"/{PYTHON}": ("pyc-time", "2023-11-14T22:13:20Z -> 2023-11-14T22:13:21Z"),
    "/usr/share/page.gz": ("gzip-time", "2023-11-14T22:13:20Z -> 2023-11-14T22:13:21Z"),
    "/usr/share/tool/table": ("lines", 'line 2: "two deux" -> "two zwei"'),
    "/var/lib/dpkg/status": ("package-database", ""),
}


def begin_early(jobs: EarlyJobs) -> None:
    jobs.begin("diffs", differing_disks.comparisons)


@pytest.fixture(scope="module")
def done(early: EarlyJobs) -> dict[str, Compared]:
    return early.result("diffs")


def appliances(compared: Compared) -> bool:
    return "diff: all files of A" in compared.result.stderr


def by_path(compared: Compared) -> dict[str, dict[str, Any]]:
    return {each["path"]: each for each in compared.result.document["files"]}


def test_what_differs_is_found_with_its_cause_and_nothing_else(done: dict[str, Compared]) -> None:
    result = done["differing"].result
    assert result.returncode == 1, result.stderr
    assert (result.document["verdict"], result.document["unread"]) == ("different", [])
    found = by_path(done["differing"])
    assert {path: each["cause"] for path, each in found.items()} == {path: kind for path, (kind, _) in EXPECTED.items()}
    for path, (_, shows) in EXPECTED.items():
        assert (found[path]["shows"] or "").startswith(shows)
    assert found["/usr/bin/other"]["why"] == "package other: 2.0 -> 2.1"
    assert found["/usr/share/tool/table"]["package"] == "tool"
    assert found["/etc/only-b"]["in"] == "b"


def test_below_the_files_the_roots_uuid_and_the_boot_partition_differ(done: dict[str, Compared]) -> None:
    uuid, core = done["differing"].result.document["disk"]
    assert (uuid["about"], uuid["a"], uuid["b"]) == ("partition 1: UUID", UUIDS["a"], UUIDS["b"])
    assert (core["about"], core["why"][:11]) == ("partition 14: bytes", "may be GRUB")


def test_a_secret_is_named_and_nowhere_shown(done: dict[str, Compared]) -> None:
    result = done["differing"].result
    assert SECRET not in json.dumps(result.document) + result.stderr


def test_the_same_disk_packed_otherwise(done: dict[str, Compared]) -> None:
    result = done["packed"].result
    assert (result.returncode, result.document["verdict"], result.document["same"]) == (0, "disk", True)
    assert not appliances(done["packed"])


def test_one_file_twice(done: dict[str, Compared]) -> None:
    result = done["twice"].result
    assert (result.returncode, result.document["verdict"], result.document["same"]) == (0, "file", True)
    assert not appliances(done["twice"])


def test_other_bytes_where_no_file_lies(done: dict[str, Compared]) -> None:
    result = done["free"].result
    assert (result.returncode, result.document["verdict"]) == (0, "content"), result.stderr
    assert appliances(done["free"])
    assert result.document["files"] == result.document["disk"] == result.document["unread"] == []
    assert result.document["compared"] > len(EXPECTED)


def test_disks_without_a_system_are_compared_too(done: dict[str, Compared]) -> None:
    result = done["data"].result
    assert result.returncode == 1, result.stderr
    (found,) = result.document["files"]
    assert (found["path"], found["shows"]) == ("partition 1:/data/file", 'line 1: "1" -> "2"')
    assert result.document["disk"] == []


@pytest.mark.matrix
def test_two_btrfs_of_one_uuid_are_not_taken_for_one(workshop: Workshop, tmp_path: Path) -> None:
    compared = differing_disks.tangled(workshop, tmp_path)
    result = compared.result
    assert compared.unchanged
    assert result.returncode == 1, result.stderr
    (found,) = result.document["files"]
    assert (found["path"], found["shows"]) == ("/etc/mark", 'line 1: "1" -> "2"')


def test_no_image_is_written_to(done: dict[str, Compared]) -> None:
    assert [name for name, compared in done.items() if not compared.unchanged] == []
