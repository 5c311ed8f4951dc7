"""Progress: plain lines that say what ended how, nothing where quiet was asked."""

import io
import re
import time

import pytest

from goldsmith.host.progress import Progress


def test_plain_step_says_begin_and_end() -> None:
    stream = io.StringIO()
    with Progress(stream=stream).step("bake"):
        pass
    begin, end = stream.getvalue().splitlines()
    assert begin == "  ... bake"
    assert re.fullmatch(r"   ok bake \[0\.\d s\]", end)
    assert "\x1b" not in stream.getvalue()


def test_failing_step_is_marked_and_passes_its_error_on() -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream)
    with pytest.raises(ValueError, match="boom"), progress.step("bake"):
        raise ValueError("boom")
    assert " FAIL bake" in stream.getvalue()
    assert [name for name, _ in progress.finished] == ["bake"]


def test_quiet_is_silent_and_still_measures() -> None:
    stream = io.StringIO()
    progress = Progress(quiet=True, live=True, stream=stream)
    progress.note("hello")
    with progress.step("bake"):
        time.sleep(0.02)
    assert stream.getvalue() == ""
    assert progress.finished[0][1] >= 0.02


def test_live_line_is_redrawn() -> None:
    stream = io.StringIO()
    with Progress(live=True, stream=stream).step("bake"):
        time.sleep(1.2)
    assert "\r\x1b[K  ... bake [1 s]" in stream.getvalue()
    assert stream.getvalue().endswith("s]\n")
