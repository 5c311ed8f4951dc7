"""The archive's state, asked of a mirror on the loopback that behaves and of ones that do not."""

import hashlib
import lzma
import socket
import threading
from collections.abc import Iterator

import pytest
from bake_help import DATE, EPOCH, RELEASE, Mirror, in_release, packages_xz

from goldsmith.bake.archive import Archive, newer_packages, parse_index, read_archive
from goldsmith.errors import ExitCode, HostError, InputError
from goldsmith.host.apt_sources import Mirrors
from goldsmith.store.manifest import PackageFact


def _read(mirror: Mirror, *, security: bool = False) -> Archive:
    found = read_archive(Mirrors(mirror.url, mirror.security_url if security else None), RELEASE, "amd64")
    assert found is not None
    return found


def _facts(**versions: str) -> list[PackageFact]:
    return [PackageFact(name=name, version=version, architecture="amd64") for name, version in versions.items()]


def test_without_a_mirror_nothing_is_known() -> None:
    assert read_archive(Mirrors(None, "http://mirror.example/security"), RELEASE, "amd64") is None


def test_the_state_is_each_suites_release_file(mirror: Mirror) -> None:
    mirror.publish(f"{RELEASE}-security", {}, at="security")
    found = _read(mirror, security=True)
    places = {
        f"{mirror.url}/dists/{RELEASE}": f"/debian/dists/{RELEASE}/InRelease",
        f"{mirror.url}/dists/{RELEASE}-updates": f"/debian/dists/{RELEASE}-updates/InRelease",
        f"{mirror.security_url}/dists/{RELEASE}-security": f"/security/dists/{RELEASE}-security/InRelease",
    }
    contents = {url: mirror.files[path] for url, path in places.items()}
    assert found.suites == {
        url: hashlib.sha256(content).hexdigest() for url, content in contents.items() if isinstance(content, bytes)
    }
    assert len(found.suites) == 3


def test_a_slash_at_the_end_makes_no_other_state(mirror: Mirror) -> None:
    assert read_archive(Mirrors(f"{mirror.url}/", None), RELEASE, "amd64") == _read(mirror)


def test_the_time_is_that_of_the_newest_suite(mirror: Mirror) -> None:
    mirror.publish(RELEASE, {}, date="Mon, 01 Jan 2024 00:00:00 UTC")
    mirror.publish(f"{RELEASE}-updates", {}, date=DATE)
    assert _read(mirror).epoch == EPOCH


def test_another_release_file_is_another_state(mirror: Mirror) -> None:
    before = _read(mirror).suites
    mirror.publish(f"{RELEASE}-updates", {"bash": "6"})
    after = _read(mirror).suites
    assert {url for url in after if after[url] != before[url]} == {f"{mirror.url}/dists/{RELEASE}-updates"}


def test_a_release_that_the_mirror_has_not(mirror: Mirror) -> None:
    with pytest.raises(InputError, match=r"the mirror has no release trixy: .*/dists/trixy does not exist") as caught:
        read_archive(Mirrors(mirror.url, None), "trixy", "amd64")
    assert caught.value.exit_code == ExitCode.BAD_INPUT == 2
    assert caught.value.where == "base.release"
    assert "GOLDSMITH_MIRROR" in (caught.value.hint or "")


def test_a_security_archive_without_the_release(mirror: Mirror) -> None:
    with pytest.raises(InputError, match=f"/security/dists/{RELEASE}-security does not exist"):
        _read(mirror, security=True)


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_mirror_that_refuses(mirror: Mirror, status: int) -> None:
    mirror.files[f"/debian/dists/{RELEASE}/InRelease"] = status
    with pytest.raises(HostError, match=f"the mirror answers {status} ") as caught:
        _read(mirror)
    assert caught.value.exit_code == ExitCode.HOST == 3
    assert caught.value.where == f"{mirror.url}/dists/{RELEASE}"


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_mirror_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = f"http://127.0.0.1:{_unused_port()}/debian"
    with pytest.raises(HostError, match=r"cannot be reached: .*Connection refused") as caught:
        read_archive(Mirrors(url, None), RELEASE, "amd64")
    assert caught.value.exit_code == ExitCode.HOST == 3
    assert caught.value.where == f"{url}/dists/{RELEASE}"
    assert "GOLDSMITH_MIRROR=http://HOST/debian" in (caught.value.hint or "")


@pytest.fixture
def answering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a server that gives the same answer, whatever it is asked, and hangs up."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            # All suites are asked for at once.
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(request.param)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/debian"
        thread.join()


@pytest.mark.parametrize(
    "answering",
    [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nOrigin: Deb"],
    ids=["hangs up", "not HTTP", "breaks off"],
    indirect=True,
)
def test_an_answer_that_is_none(answering: str) -> None:
    with pytest.raises(HostError, match="the package mirror cannot be reached"):
        read_archive(Mirrors(answering, None), RELEASE, "amd64")


@pytest.mark.parametrize(
    "content",
    [b"<html>Please log in</html>", b"", in_release(RELEASE, date="yesterday"), b"Date: \xff\n"],
    ids=["login page", "empty", "no date", "not text"],
)
def test_a_page_that_is_no_release_file(mirror: Mirror, content: bytes) -> None:
    mirror.files[f"/debian/dists/{RELEASE}/InRelease"] = content
    with pytest.raises(HostError, match="not an InRelease file") as caught:
        _read(mirror)
    assert caught.value.where == f"{mirror.url}/dists/{RELEASE}/InRelease"


@pytest.mark.parametrize(
    ("installed", "offered", "newer"),
    [
        ("5.2.37-2", "5.2.37-2+deb13u1", True),
        ("5.2.37-2", "5.2.37-2", False),
        ("5.2.37-2", "5.2.37-1", False),
        # Text would order these four the other way round.
        ("9.1", "10.0", True),
        ("2.0", "1:1.0", True),
        ("1.0~rc1", "1.0", True),
        ("1.0", "1.0~rc1", False),
    ],
)
def test_a_version_is_newer_as_dpkg_sees_it(mirror: Mirror, installed: str, offered: str, newer: bool) -> None:
    mirror.publish(RELEASE, {"bash": offered})
    expected = [f"bash {installed} -> {offered}"] if newer else []
    assert newer_packages(_read(mirror), _facts(bash=installed)) == expected


def test_the_newest_of_all_suites_counts(mirror: Mirror) -> None:
    mirror.publish(RELEASE, {"bash": "1", "dash": "3", "sed": "1"})
    mirror.publish(f"{RELEASE}-updates", {"bash": "2", "dash": "2"})
    mirror.publish(f"{RELEASE}-security", {"bash": "3", "sed": "2"}, at="security")
    installed = _facts(bash="1", dash="3", sed="1", unknown="1")
    assert newer_packages(_read(mirror, security=True), installed) == ["bash 1 -> 3", "sed 1 -> 2"]


def test_a_package_named_with_its_architecture(mirror: Mirror) -> None:
    mirror.publish(RELEASE, {"libc6": "2.42"})
    installed = [PackageFact(name="libc6:amd64", version="2.41", architecture="amd64")]
    assert newer_packages(_read(mirror), installed) == ["libc6:amd64 2.41 -> 2.42"]


@pytest.mark.parametrize(
    "index",
    [
        packages_xz({"bash": "2"})[:-20],
        b"\xfd7zXZ\0" + bytes(40),
        b"Package: bash\n",
        b"",
        lzma.compress(b"Package: \xff\xfe\n"),
        404,
        500,
    ],
    ids=["truncated", "damaged", "not compressed", "empty", "not text", "absent", "refused"],
)
def test_an_index_that_cannot_be_read(mirror: Mirror, index: bytes | int) -> None:
    url = mirror.publish(RELEASE, {"bash": "2"})
    mirror.files[url.removeprefix(mirror.root)] = index
    with pytest.raises(HostError, match="the package index cannot be read: ") as caught:
        newer_packages(_read(mirror), _facts(bash="1"))
    assert caught.value.exit_code == ExitCode.HOST == 3
    assert caught.value.where == url


def test_parse_index() -> None:
    text = (
        "Package: bash\nEssential: yes\nVersion: 5.2.37-2\nDescription: shell\n Package: not this\n Version: 0\n\n"
        "Package: without-version\n\n"
        "Version: 1:2.0\nPython-Version: 3\nPackage: swapped\n\n\n"
    )
    assert list(parse_index(text)) == [("bash", "5.2.37-2"), ("swapped", "1:2.0")]
    assert list(parse_index("")) == []


def test_a_suite_that_vanished_between_both_questions(mirror: Mirror) -> None:
    archive = _read(mirror)
    mirror.files.clear()
    with pytest.raises(HostError, match="cannot be read: HTTP Error 404"):
        newer_packages(archive, [])
