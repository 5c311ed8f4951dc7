"""The host's apt sources, in both formats."""

from pathlib import Path

import pytest

from goldsmith.host.apt_sources import Mirrors, Source, host_mirrors, mirrors_of, read_sources

DEBIAN = "http://mirror.example/debian"
SECURITY = "http://mirror.example/debian-security"

DEB822 = f"""\
# The distribution
Types: deb deb-src
URIs: {DEBIAN}
Suites: trixie
 trixie-updates
# a comment amid a field
\ttrixie-backports
Components: main
 non-free-firmware
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 Suites: not=this
 -----END PGP PUBLIC KEY BLOCK-----

# between paragraphs

types: deb
uris: {SECURITY} http://mirror.example/second
suites: trixie-security
components: main
"""


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    return tmp_path / "apt"


def _deb822(apt: Path, text: str) -> tuple[Source, ...]:
    (apt / "sources.list.d/test.sources").write_text(text)
    return read_sources(apt)


def _one_line(apt: Path, text: str) -> tuple[Source, ...]:
    (apt / "sources.list").write_text(text)
    return read_sources(apt)


def test_deb822_with_paragraphs_continued_lines_and_comments(apt: Path) -> None:
    components = ("main", "non-free-firmware")
    assert _deb822(apt, DEB822) == (
        Source(DEBIAN, "trixie", components),
        Source(DEBIAN, "trixie-updates", components),
        Source(DEBIAN, "trixie-backports", components),
        Source(SECURITY, "trixie-security", ("main",)),
        Source("http://mirror.example/second", "trixie-security", ("main",)),
    )


STANZA = "Types: {types}\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n"


@pytest.mark.parametrize("value", ["no", "No", "false", "off", "0", "disable", "without"])
def test_deb822_that_is_switched_off(apt: Path, value: str) -> None:
    assert _deb822(apt, STANZA.format(types="deb") + f"Enabled: {value}\n") == ()


@pytest.mark.parametrize("value", ["yes", "true", "1"])
def test_deb822_that_is_switched_on(apt: Path, value: str) -> None:
    assert _deb822(apt, f"Enabled: {value}\n" + STANZA.format(types="deb")) == (Source(DEBIAN, "trixie", ("main",)),)


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "no field at all\n", " continued from nothing\n", STANZA.format(types="deb-src"), "Types: deb\n"],
)
def test_deb822_without_binary_packages(apt: Path, text: str) -> None:
    assert _deb822(apt, text) == ()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"deb {DEBIAN} trixie main contrib", Source(DEBIAN, "trixie", ("main", "contrib"))),
        (f"  deb\t{DEBIAN}   trixie  main  # comment", Source(DEBIAN, "trixie", ("main",))),
        (
            f"deb [arch=amd64,i386 signed-by=/usr/share/keyrings/a.gpg] {DEBIAN} trixie main",
            Source(DEBIAN, "trixie", ("main",)),
        ),
        (f"deb [ trusted=yes ] {DEBIAN} trixie main", Source(DEBIAN, "trixie", ("main",))),
        (f"deb {DEBIAN} ./", Source(DEBIAN, "./", ())),
        (f"# deb {DEBIAN} trixie main", None),
        (f"deb-src {DEBIAN} trixie main", None),
        (f"debian {DEBIAN} trixie main", None),
        (f"deb {DEBIAN}", None),
        ("deb", None),
    ],
)
def test_one_line(apt: Path, line: str, expected: Source | None) -> None:
    assert _one_line(apt, f"\n{line}\n") == ((expected,) if expected else ())


def test_files_that_apt_reads_in_its_order(apt: Path) -> None:
    (apt / "sources.list").write_text("deb http://mirror.example/1 trixie main\n")
    (apt / "sources.list.d/b.list").write_text("deb http://mirror.example/3 trixie main\n")
    (apt / "sources.list.d/a.sources").write_text(STANZA.format(types="deb").replace(DEBIAN, "http://mirror.example/2"))
    assert [source.uri[-1] for source in read_sources(apt)] == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["a.list.save", "a.list.disabled", "a.sources.bak", "README", ".a.list", "a.list~"])
def test_files_that_apt_passes_over(apt: Path, name: str) -> None:
    (apt / "sources.list.d" / name).write_text(f"deb {DEBIAN} trixie main\n")
    assert read_sources(apt) == ()


def test_what_cannot_be_read_is_passed_over(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (apt / "sources.list.d/folder.list").mkdir()
    (apt / "sources.list.d/dangling.sources").symlink_to("nowhere")
    (apt / "sources.list.d/secret.list").write_text(f"deb {SECURITY} trixie main\n")
    (apt / "sources.list.d/latin.list").write_bytes(b"# \xe4\ndeb " + DEBIAN.encode() + b" trixie main\n")
    whole = Path.read_text

    def read_text(path: Path, **named: str) -> str:
        # root may read everything, so the mode alone would prove nothing here
        if path.name == "secret.list":
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path, **named)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert read_sources(apt) == (Source(DEBIAN, "trixie", ("main",)),)


def test_a_host_without_apt(tmp_path: Path) -> None:
    assert read_sources(tmp_path / "nothing") == ()


def _source(uri: str, suite: str, *components: str) -> Source:
    return Source(uri, suite, components or ("main",))


@pytest.mark.parametrize("suite", ["trixie-security", "trixie/updates"])
def test_mirrors_by_their_suites(suite: str) -> None:
    sources = (_source(SECURITY, suite), _source(DEBIAN, "trixie"), _source(DEBIAN, "trixie-updates"))
    assert mirrors_of(sources, "trixie") == Mirrors(DEBIAN, SECURITY)


def test_a_vendors_archive_is_no_mirror() -> None:
    """Vendors call their suite as the distribution does; only the distribution's has updates, or a `main`."""
    vendors = (
        _source("http://vendor.example/one", "trixie", "main"),
        _source("http://vendor.example/two", "trixie", "stable"),
    )
    own = (_source(DEBIAN, "trixie"), _source(DEBIAN, "trixie-updates"))
    assert mirrors_of((*vendors, *own), "trixie").url == DEBIAN
    assert mirrors_of((vendors[1], own[0]), "trixie").url == DEBIAN
    assert mirrors_of((vendors[1],), "trixie").url is None


@pytest.mark.parametrize(
    "uri",
    ["cdrom:[Debian", "file:/srv/mirror", "mirror+file:/etc/apt/mirrors/debian.list", "ftp://mirror.example/debian"],
)
def test_only_http_serves_a_build(uri: str) -> None:
    odd = (_source(uri, "trixie"), _source(uri, "trixie-updates"), _source(uri, "trixie-security"))
    assert mirrors_of(odd, "trixie") == Mirrors(None, None)
    secure = "https://mirror.example/debian"
    assert mirrors_of((*odd, _source(secure, "trixie")), "trixie") == Mirrors(secure, None)


def test_suites_of_other_releases_are_not_the_hosts() -> None:
    others = (_source(DEBIAN, "bookworm"), _source(DEBIAN, "trixie-backports"), _source(DEBIAN, "stable"))
    assert mirrors_of(others, "trixie") == Mirrors(None, None)


@pytest.mark.parametrize(
    ("os_release", "expected"),
    [
        ("ID=debian\nVERSION_CODENAME=trixie\n", Mirrors(DEBIAN, SECURITY)),
        ('# comment\nNAME="Debian GNU/Linux"\nID="debian"\nVERSION_CODENAME="trixie"\n', Mirrors(DEBIAN, SECURITY)),
        ("ID=debian\nVERSION_CODENAME=bookworm\n", Mirrors(None, None)),
        ("ID=debian\n", Mirrors(None, None)),
        ("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=trixie\n", Mirrors(None, None)),
        ("", Mirrors(None, None)),
        (None, Mirrors(None, None)),
    ],
)
def test_the_hosts_own_mirrors(apt: Path, os_release: str | None, expected: Mirrors) -> None:
    (apt / "sources.list.d/debian.sources").write_text(DEB822)
    path = apt / "os-release"
    if os_release is not None:
        path.write_text(os_release)
    assert host_mirrors("debian", os_release=path, apt=apt) == expected
