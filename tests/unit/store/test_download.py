"""Downloads from a server that cuts, forgets, changes its mind and lies."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_help import Site, serving

from goldsmith.errors import ExitCode, GoldsmithError, HostError, InputError
from goldsmith.host.progress import Progress
from goldsmith.settings import Settings, from_environment
from goldsmith.store import download, http
from goldsmith.store.download import downloaded

CONTENT = os.urandom(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site({"a.qcow2": CONTENT})) as found:
        yield found


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    words = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    files = ["-keyout", folder / "key", "-out", folder / "certificate", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(["openssl", "req", "-x509", *words, *files], check=True, capture_output=True)
    return folder / "certificate", folder / "key"


def settings(tmp_path: Path, **environment: str) -> Settings:
    return from_environment({"HOME": str(tmp_path), "PATH": "/usr/bin", "no_proxy": "localhost", **environment})


@dataclasses.dataclass
class Fetch:
    """Downloads into ``folder``; ``said`` is what went to stderr."""

    folder: Path
    settings: Settings
    said: io.StringIO = dataclasses.field(default_factory=io.StringIO)

    def __call__(self, url: str, sha256: str = DIGEST) -> Path:
        return downloaded(url, sha256, self.folder, self.settings, Progress(stream=self.said), pause=0.0)

    def error(self, url: str, sha256: str = DIGEST) -> GoldsmithError:
        with pytest.raises(GoldsmithError) as caught:
            self(url, sha256)
        assert caught.value.where in (url, str(self.folder / f"{sha256}.part"), str(self.folder))
        return caught.value

    @property
    def kept(self) -> list[str]:
        return sorted(each.name.removeprefix(DIGEST) for each in self.folder.iterdir() if each.suffix != ".lock")


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    return Fetch(tmp_path / "downloads", settings(tmp_path))


def test_a_download_is_kept(fetch: Fetch, site: Site) -> None:
    path = fetch(site.url("a.qcow2"))
    assert path.read_bytes() == CONTENT
    assert not path.stat().st_mode & 0o222
    assert fetch.kept == [""]
    assert fetch(site.url("a.qcow2")) == path
    assert len(site.asked) == 1
    assert f"download {site.url('a.qcow2')}" in fetch.said.getvalue()


def test_one_that_was_damaged_is_fetched_again(fetch: Fetch, site: Site) -> None:
    path = fetch(site.url("a.qcow2"))
    path.chmod(0o644)
    path.write_bytes(b"rotten")
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT
    assert "was damaged" in fetch.said.getvalue()


def test_a_cut_connection_goes_on(fetch: Fetch, site: Site) -> None:
    site.cuts = [100_000, 50_000]
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT
    assert [each[1:] for each in site.asked] == [
        (None, None),
        ("bytes=100000-", '"one"'),
        ("bytes=150000-", '"one"'),
    ]


def test_a_killed_download_goes_on(fetch: Fetch, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.cuts = [120_000]

    def killed(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download.time, "sleep", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(site.url("a.qcow2"))
    assert fetch.kept == [".part", ".part.json"]
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT
    assert site.asked[1][1] == "bytes=120000-"
    assert fetch.kept == [""]


def test_a_server_without_ranges(fetch: Fetch, site: Site) -> None:
    site.cuts, site.ranges = [100_000], False
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT


@pytest.mark.parametrize("heeds", [True, False])
def test_a_file_that_changes_between(fetch: Fetch, site: Site, monkeypatch: pytest.MonkeyPatch, heeds: bool) -> None:
    """The old beginning and the new end are never one file, whether the server looks at If-Range or not."""
    site.files["a.qcow2"], site.cuts, site.heeds_if_range = bytes(300_000), [100_000], heeds

    def change(seconds: float) -> None:
        site.files["a.qcow2"], site.etag = CONTENT, '"two"'

    monkeypatch.setattr(download.time, "sleep", change)
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT
    assert ("do not belong together" in fetch.said.getvalue()) is not heeds


def test_a_weak_etag_proves_nothing(fetch: Fetch, site: Site) -> None:
    site.cuts, site.etag, site.heeds_if_range = [100_000], 'W/"one"', False
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT
    assert site.asked[1][1:] == ("bytes=100000-", None)


def test_a_part_that_is_the_whole(fetch: Fetch, site: Site) -> None:
    fetch.folder.mkdir()
    (fetch.folder / f"{DIGEST}.part").write_bytes(CONTENT)
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT
    assert len(site.asked) == 1


def test_a_part_that_is_more_than_the_whole(fetch: Fetch, site: Site) -> None:
    fetch.folder.mkdir()
    (fetch.folder / f"{DIGEST}.part").write_bytes(CONTENT + b"more")
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT


def test_a_server_that_keeps_its_length_to_itself(fetch: Fetch, site: Site) -> None:
    site.says_length = False
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT


def test_another_digest_is_kept_out(fetch: Fetch, site: Site) -> None:
    error = fetch.error(site.url("a.qcow2"), "0" * 64)
    assert error.message == f"has the sha256 {DIGEST}, expected {'0' * 64}"
    assert error.exit_code == ExitCode.BAD_INPUT
    assert fetch.kept == []


def test_what_is_not_there(fetch: Fetch, site: Site) -> None:
    error = fetch.error(site.url("b.qcow2"))
    assert isinstance(error, InputError)
    assert error.message == "the server says 404 Not Found"
    assert len(site.asked) == 1


def test_a_server_in_trouble(fetch: Fetch, site: Site) -> None:
    site.statuses = [503, 500, 429]
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT
    site.statuses = [503] * 20
    error = fetch.error(site.url("a.qcow2"), "1" * 64)
    assert isinstance(error, HostError)
    assert error.message == "the download fails: the server says 503 Service Unavailable"
    assert len(site.statuses) == 15


def test_progress_gives_new_tries(fetch: Fetch, site: Site) -> None:
    """A line that is cut each 20 kB is slow, and gets there."""
    site.cuts = [20_000] * 14
    assert fetch(site.url("a.qcow2")).read_bytes() == CONTENT


def test_nobody_listens(fetch: Fetch) -> None:
    error = fetch.error("http://localhost:1/a.qcow2")
    assert isinstance(error, HostError)
    assert "Connection refused" in error.message


def test_a_full_disk(fetch: Fetch, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, needed: int, what: str) -> None:
        if needed > len(CONTENT):
            raise HostError("no room", where=str(folder))

    with monkeypatch.context() as patch:
        patch.setattr(download, "require_space", full)
        assert fetch.error(site.url("a.qcow2")).message == "no room"

    def fill(*words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_append", fill)
    error = fetch.error(site.url("a.qcow2"))
    assert isinstance(error, HostError)
    assert error.message.startswith("cannot be written: No space left on device")
    assert fetch.kept == []


def test_redirects(fetch: Fetch, site: Site) -> None:
    site.redirects = {"latest": "/a.qcow2", "round": "/round"}
    site.cuts = [100_000]
    assert fetch(site.url("latest")).read_bytes() == CONTENT
    assert "leads on and on" in fetch.error(site.url("round"), "1" * 64).message


def test_https_is_not_left(tmp_path: Path, site: Site, certificate: tuple[Path, Path]) -> None:
    fetch = Fetch(tmp_path / "downloads", settings(tmp_path, SSL_CERT_FILE=str(certificate[0])))
    safe = Site({"a.qcow2": CONTENT}, redirects={"down": site.url("a.qcow2"), "file": "file:///etc/shadow"})
    with serving(safe, certificate):
        # The control: this certificate is taken.
        assert fetch(safe.url("a.qcow2")).read_bytes() == CONTENT
        for name in ("down", "file"):
            error = fetch.error(safe.url(name), "1" * 64)
            assert isinstance(error, InputError)
            assert "which is not https" in error.message
    assert site.asked == []


def test_a_certificate_of_nobody(fetch: Fetch, certificate: tuple[Path, Path]) -> None:
    with serving(Site({"a.qcow2": CONTENT}), certificate) as safe:
        error = fetch.error(safe.url("a.qcow2"))
    assert isinstance(error, HostError)
    assert "is not trusted: " in error.message
    assert "certificate verify failed" in error.message
    assert safe.asked == []


def test_a_proxy(tmp_path: Path, site: Site) -> None:
    """The proxy is asked for the whole URL; hosts of no_proxy are not asked of it."""
    through = settings(tmp_path, http_proxy=site.base, no_proxy="other.example")
    fetch = Fetch(tmp_path / "downloads", through)
    site.files["http://mirror.example/a.qcow2"] = CONTENT
    assert fetch("http://mirror.example/a.qcow2").read_bytes() == CONTENT
    assert site.asked[0][0] == "http://mirror.example/a.qcow2"
    assert http._proxies("http://other.example/", through) == {}
    assert http._proxies("http://mirror.example/", through) == {"http": site.base}


def test_a_deadline(fetch: Fetch, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "DOWNLOAD_SECONDS", 0.0)
    with pytest.raises(HostError, match=r"download .*: not within 0 s"):
        fetch(site.url("a.qcow2"))


def test_short_texts(tmp_path: Path, site: Site) -> None:
    site.files["SUMS"] = b"x" * 1000
    assert http.text_of(site.url("SUMS"), settings(tmp_path), 1000) == "x" * 1000
    with pytest.raises(InputError, match="longer than 999 bytes"):
        http.text_of(site.url("SUMS"), settings(tmp_path), 999)
    with pytest.raises(InputError, match="404"):
        http.text_of(site.url("NONE"), settings(tmp_path), 999)
    with pytest.raises(HostError, match="Connection refused"):
        http.text_of("http://localhost:1/SUMS", settings(tmp_path), 999)
