"""The table of os_type and RealTimeIsUniversal, row by row, and the warning that goes with the value."""

from __future__ import annotations

import pytest

from goldsmith.recipe.clock import boot_error, is_universal, refusal, warnings


@pytest.mark.parametrize(
    ("os_type", "universal", "error"),
    [
        (None, False, "-G"),
        (None, True, "0"),
        ("Windows", True, "0"),
        ("windows", False, "H - G"),
        ("windows", True, "H"),
    ],
)
def test_rows(os_type: str | None, universal: bool, error: str) -> None:
    assert boot_error(os_type, universal) == error


def test_what_belongs_together() -> None:
    assert refusal("utc", "windows", True) is None
    assert refusal("local", "windows", False) is None
    assert "wrong by H at boot" in (refusal("local", "windows", True) or "")
    assert "wrong by H - G = -G" in (refusal("utc", "windows", False) or "")
    for os_type in (None, "linux", "Windows"):
        assert "nova gives the guest UTC" in (refusal("local", os_type, True) or "")


@pytest.mark.parametrize(
    ("value", "universal"),
    [
        (None, False),
        ((4, b"\x01\0\0\0"), True),
        ((4, bytes(4)), False),
        ((11, b"\x01" + bytes(7)), True),
        ((11, bytes(8)), False),
        ((1, b"1\0\0\0"), False),
        ((4, b"\x01"), False),
    ],
)
def test_reading(value: tuple[int, bytes] | None, universal: bool) -> None:
    assert is_universal(value) is universal


def test_the_hotfix() -> None:
    (text,) = warnings(True, (6, 1), ["KB976902"])
    assert "KB2800213" in text and "Server 2008 R2" in text
    assert warnings(True, (6, 1), ["kb2800213"]) == warnings(False, (6, 1)) == warnings(True, (10, 0)) == []
