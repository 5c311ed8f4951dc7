"""Options of cloudbase-init's files: set once, and nothing else changed."""

from __future__ import annotations

import configparser

import pytest

from goldsmith.bake.ini import set_option
from goldsmith.errors import InputError

CONF = b"""[DEFAULT]\r
username=Admin\r
# real_time_clock_utc=false\r
plugins=cloudbaseinit.plugins.common.mtu.MTUPlugin,\r
        cloudbaseinit.plugins.windows.ntpclient.NTPClientPlugin\r
\r
[other]\r
real_time_clock_utc=no\r
"""


def read(content: bytes) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False, default_section="none")
    parser.read_string(content.decode("utf-8-sig"))
    return parser


def utc(content: bytes) -> bytes:
    return set_option(content, "DEFAULT", "real_time_clock_utc", "true")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (CONF, CONF.replace(b"NTPClientPlugin\r\n", b"NTPClientPlugin\r\nreal_time_clock_utc=true\r\n")),
        (b"[DEFAULT]\na=1\nreal_time_clock_utc = False \n", b"[DEFAULT]\na=1\nreal_time_clock_utc=true\n"),
        (b"[DEFAULT]\nreal_time_clock_utc: true\n", b"[DEFAULT]\nreal_time_clock_utc: true\n"),
        (b"[DEFAULT]\nreal_time_clock_utc=\n  false\nb=2", b"[DEFAULT]\nreal_time_clock_utc=true\nb=2"),
        (b"[DEFAULT]\n" + b"real_time_clock_utc=1\n" * 2, b"[DEFAULT]\n" + b"real_time_clock_utc=true\n" * 2),
        (b"[DEFAULT]\na=1", b"[DEFAULT]\na=1\nreal_time_clock_utc=true\n"),
        (b"\xef\xbb\xbf[DEFAULT]\r\na=1\r\n", b"\xef\xbb\xbf[DEFAULT]\r\na=1\r\nreal_time_clock_utc=true\r\n"),
        (b"[x]\nreal_time_clock_utcx=1\n", b"[x]\nreal_time_clock_utcx=1\n[DEFAULT]\nreal_time_clock_utc=true\n"),
        (b"", b"[DEFAULT]\nreal_time_clock_utc=true\n"),
    ],
)  # fmt: skip
def test_set(content: bytes, wanted: bytes) -> None:
    assert utc(content) == wanted
    assert utc(wanted) == wanted
    assert read(wanted)["DEFAULT"]["real_time_clock_utc"] == "true"


def test_the_rest_of_a_real_file_is_read_the_same() -> None:
    before, after = read(CONF), read(utc(CONF))
    assert after["DEFAULT"].pop("real_time_clock_utc") == "true"
    assert before == after


def test_utf_16_is_refused() -> None:
    with pytest.raises(InputError, match="UTF-16"):
        utc("[DEFAULT]\r\n".encode("utf-16"))
