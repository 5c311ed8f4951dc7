"""Why the bytes of two files differ: each reason where it holds, and not where it does not."""

from __future__ import annotations

import gzip
import io
import marshal
import struct

import pytest

from goldsmith.inspection.comparison.contents import LIMIT, Content, Reason, reason

UUID_A, UUID_B = "ed0ff7a0-f06c-5fda-9686-72b934b919b8", "bcd88a2c-a7c6-532e-8c9a-8d9cf621bb4d"
SERIAL_A, SERIAL_B = "42BB-9C33", "32AB-FEB3"
IDENTIFIERS = {UUID_A: UUID_B, SERIAL_A: SERIAL_B}


def why(a: bytes | str, b: bytes | str, identifiers: dict[str, str] | None = None) -> Reason:
    one, other = (each.encode() if isinstance(each, str) else each for each in (a, b))
    return reason(Content(one, len(one)), Content(other, len(other)), identifiers or {})


def packed(content: bytes, mtime: int, level: int = 9) -> bytes:
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", mtime=mtime, compresslevel=level) as file:
        file.write(content)
    return stream.getvalue()


def pyc(source_time: int, code: str = "x = 1", flags: int = 0) -> bytes:
    return b"\xa7\r\r\n" + struct.pack("<III", flags, source_time, 5) + marshal.dumps(compile(code, "x", "exec"))


class TestGzip:
    def test_the_time_in_the_header(self) -> None:
        found = why(packed(b"manual", 1_700_000_000), packed(b"manual", 1_700_000_100))
        assert found == Reason(
            "gzip-time", "the time in a gzip's header", "2023-11-14T22:13:20Z -> 2023-11-14T22:15:00Z"
        )

    def test_the_same_inside(self) -> None:
        text = b"".join(b"%d words\n" % number for number in range(3000))
        assert why(packed(text, 0, 9), packed(text, 0, 1)).kind == "packing"

    def test_what_differs_inside_is_looked_at(self) -> None:
        found = why(packed(b"a\nb\n", 5), packed(b"b\na\n", 5))
        assert (found.kind, found.says) == ("order", "packed by gzip, inside: the same lines in another order")

    @pytest.mark.parametrize("other", [b"\x1f\x8b\x08\0damaged", packed(packed(b"twice", 1), 1)])
    def test_what_cannot_be_unpacked_is_bytes(self, other: bytes) -> None:
        assert why(packed(b"manual", 5), other).kind == "bytes"

    def test_a_bomb_is_not_unpacked(self) -> None:
        assert why(packed(bytes(LIMIT + 1), 0), packed(bytes(LIMIT + 2), 0)).says == "other bytes in what gzip packed"


class TestPyc:
    def test_the_sources_time(self) -> None:
        assert why(pyc(1_700_000_000), pyc(1_700_000_001)).kind == "pyc-time"

    def test_not_where_the_code_differs_too(self) -> None:
        assert why(pyc(1_700_000_000), pyc(1_700_000_001, "x = 2")).kind != "pyc-time"

    def test_not_where_it_goes_by_a_hash(self) -> None:
        assert why(pyc(1_700_000_000, flags=1), pyc(9, flags=1)).kind != "pyc-time"


class TestIdentifiersOfTheDisk:
    def test_they_explain_text(self) -> None:
        found = why(
            f"UUID={UUID_A} / ext4\nUUID={SERIAL_A} /boot/efi vfat\n",
            f"UUID={UUID_B} / ext4\nUUID={SERIAL_B} /boot/efi vfat\n",
            IDENTIFIERS,
        )
        assert (found.kind, found.shows) == ("disk-identifier", "")

    def test_in_any_case_and_among_other_bytes(self) -> None:
        a, b = (b"\0\1" + each.encode() + b"\0" for each in (UUID_A.upper(), UUID_B))
        assert why(a, b, IDENTIFIERS).kind == "disk-identifier"

    def test_not_where_something_else_differs_too(self) -> None:
        assert why(f"UUID={UUID_A} / ext4\n", f"UUID={UUID_B} / xfs\n", IDENTIFIERS).kind == "lines"

    def test_not_where_it_is_no_disks(self) -> None:
        assert why(f"id {UUID_A}\n", f"id {UUID_B}\n").kind == "identifier"


class TestText:
    def test_another_order(self) -> None:
        found = why("a\nb\nc\n", "a\nc\nb\n")
        assert (found.kind, found.shows) == ("order", 'line 2: "b" -> "c"')

    def test_a_line_twice_is_no_order(self) -> None:
        assert why("a\nb\na\n", "a\nb\nb\n").kind == "lines"

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            ("built 2026-11-30\n", "built 2026-12-01\n"),
            ("built 2026-11-30T12:14:33Z\n", "built 2026-12-01T00:00:00Z\n"),
            ("# Mon Nov 30 12:14:33 UTC 2026\n", "# Tue Dec  1 08:01:00 UTC 2026\n"),
            ("Date: Mon, 30 Nov 2026 12:14:33 +0000\n", "Date: Tue, 1 Dec 2026 12:14:34 +0000\n"),
            ("epoch 1700000000 end\n", "epoch 1700000001 end\n"),
            ("version 20261130\n", "version 20261201\n"),
            (b"\0compiled Nov 30 2026 12:14:33\0", b"\0compiled Dec 02 2026 02:24:43\0"),
        ],
    )
    def test_a_date_or_time(self, a: str | bytes, b: str | bytes) -> None:
        assert why(a, b).kind == "time"

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            ("size 1700000000000\n", "size 1700000000001\n"),
            ("version 13.1\n", "version 13.2\n"),
            ("built 2026-11-30 by a\n", "built 2026-12-01 by b\n"),
            ("port 1234\n", "port 1235\n"),
        ],
    )
    def test_no_date(self, a: str, b: str) -> None:
        assert why(a, b).kind == "lines"

    @pytest.mark.parametrize(
        ("a", "b"), [(f"{UUID_A}\n", f"{UUID_B}\n"), ("0123456789abcdef\n", "fedcba9876543210\n"), ("a" * 64, "b" * 64)]
    )
    def test_an_identifier(self, a: str, b: str) -> None:
        assert why(a, b).kind == "identifier"

    @pytest.mark.parametrize(
        ("a", "b"), [("a" * 32, "b" * 40), ("abcd\n", "bcde\n"), (f"{UUID_A} x\n", f"{UUID_B} y\n")]
    )
    def test_no_identifier(self, a: str, b: str) -> None:
        assert why(a, b).kind == "lines"

    def test_both(self) -> None:
        found = why(f"2026-11-30 {UUID_A}\n", f"2026-12-01 {UUID_B}\n")
        assert (found.kind, found.says) == ("identifier", "time stamps and identifiers")

    def test_the_first_line_that_differs_is_shown(self) -> None:
        assert why("a\nb 1\nc\n", "a\nb 2\nd\n") == Reason("lines", "other lines", 'line 2: "b 1" -> "b 2"')
        assert why("a\n", "a\nb\n").shows == 'line 2: no line -> "b"'
        assert why("a\n", "a").shows == "line ends"

    def test_it_is_printable_and_short(self) -> None:
        shows = why("\x1b[2J" + "x" * 500 + "\n", "y\n").shows
        assert "\x1b" not in shows
        assert len(shows) < 120

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            ("password = hunter2\n", "password = hunter3\n"),
            ("root:$6$abc:1::\n", "root:$6$abd:1::\n"),
            ("export OS_TOKEN=a\n", "export OS_TOKEN=b\n"),
        ],
    )
    def test_a_line_that_may_be_secret_is_not(self, a: str, b: str) -> None:
        assert why(a, b).shows == "line 1"

    def test_nothing_of_a_key_is(self) -> None:
        key = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n"
        assert why(key.format("MIIEaaaa"), key.format("MIIEbbbb")).shows == ""
        assert why(packed(key.format("MIIEaaaa").encode(), 1), packed(key.format("MIIEbb").encode(), 1)).shows == ""


class TestBytes:
    @pytest.mark.parametrize("form", ["<I", ">I"])
    def test_a_number_that_reads_as_a_time(self, form: str) -> None:
        a, b = (b"\0" * 8 + struct.pack(form, each) + b"\0rest" for each in (1_700_000_000, 1_700_086_400))
        found = why(a, b)
        assert (found.kind, found.shows) == ("time", "at byte 8: 2023-11-14T22:13:20Z -> 2023-11-15T22:13:20Z")

    def test_not_where_it_is_not_aligned_or_letters(self) -> None:
        a, b = (b"\0" * 6 + struct.pack("<I", each) for each in (1_700_000_000, 1_700_086_400))
        assert why(a, b).kind == "bytes"
        assert why(b"\0\0\0\0abcd", b"\0\0\0\0abce").kind == "bytes"

    @pytest.mark.parametrize("other", [5, 2**32 - 1, 1_200_000_000])
    def test_a_number_that_does_not(self, other: int) -> None:
        a, b = (b"\0" * 8 + struct.pack("<I", each) for each in (1_700_000_000, other))
        assert why(a, b).kind == "bytes"

    def test_a_time_and_something_else_is_bytes(self) -> None:
        a, b = (
            b"\0" * 8 + struct.pack("<I", each) + mark for each, mark in ((1_700_000_000, b"a"), (1_700_000_900, b"b"))
        )
        assert why(a, b).kind == "bytes"

    def test_where(self) -> None:
        assert why(b"\0" * 5000 + b"a", b"\0" * 5000 + b"b") == Reason("bytes", "other bytes", "from byte 5000 on")
        assert why(b"\0ab", b"\0abc").shows == "3 bytes -> 4 bytes, the shorter begins the longer"

    @pytest.mark.parametrize(
        ("magic", "what"),
        [
            (b"070701", "an archive (cpio)"),
            (b"PK\x03\x04", "an archive (zip)"),
            (b"\x28\xb5\x2f\xfd", "packed by zstd"),
            (b"\x7fELF", "a program or library (ELF)"),
            (b"\0" * 257 + b"ustar", "an archive (tar)"),
        ],
    )
    def test_archives_are_said_to_be_such(self, magic: bytes, what: str) -> None:
        assert why(magic + b"\0one", magic + b"\0two, longer").says == f"other bytes in {what}"

    def test_nothing_else_is(self) -> None:
        assert why(b"\0PK\x03\x04a", b"\0PK\x03\x04b").says == "other bytes"

    def test_a_large_file_is_named_by_its_head(self) -> None:
        initrd = [Content(b"070701" + bytes(100), LIMIT + size) for size in (1, 2)]
        assert reason(initrd[0], initrd[1], {}) == Reason("not-read", "larger than 4 MiB: an archive (cpio)")
        unknown = Content(bytes(100), LIMIT + 1)
        assert reason(unknown, unknown, {}).says == "larger than 4 MiB: not looked at"
