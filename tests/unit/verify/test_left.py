"""What a boot leaves on the disk."""

from __future__ import annotations

from goldsmith.verify.left import MOST, Entry, left


def test_new_and_gone_by_their_topmost() -> None:
    before = ["/etc", "/etc/old", "/etc/old/a", "/etc/old/b", "/var", "/var/log"]
    after = [
        "/etc",
        "/etc/machine-id",
        "/var",
        "/var/log",
        "/var/log/j",
        "/var/log/j/1",
        "/var/log/j/1/s",
        "/var/log/j-2",
    ]
    found = left("bios", before, after)
    assert found.added == (
        Entry(path="/etc/machine-id"),
        Entry(path="/var/log/j", below=2),
        Entry(path="/var/log/j-2"),
    )
    assert found.removed == (Entry(path="/etc/old", below=2),)
    assert (found.added_count, found.removed_count) == (5, 3)


def test_the_same_leaves_nothing() -> None:
    found = left("uefi", ["/a", "/b"], ["/b", "/a"])
    assert (found.added, found.removed, found.added_count, found.removed_count) == ((), (), 0, 0)


def test_a_full_disk_is_no_report_of_its_size() -> None:
    found = left("bios", [], [f"/tmp/{number:05d}" for number in range(10 * MOST)])
    assert len(found.added) == MOST
    assert found.added_count == 10 * MOST


def test_names_of_a_hostile_guest_are_safe_to_print() -> None:
    (entry,) = left("bios", [], ["/tmp/\x1b]0;x\x07\n\u202e"]).added
    assert entry.path == "/tmp/\\x1b]0;x\\x07\\n\\u202e"
