"""Settings: the environment is read once, and paths are absolute."""

import os
from pathlib import Path

import pytest

from goldsmith.settings import PROJECT_ROOT, from_environment


def test_defaults_lie_under_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = from_environment({"HOME": "/home/someone", "PATH": "/usr/bin"})
    assert settings.cache_dir == Path("/home/someone/.cache/goldsmith")
    assert settings.work_dir == Path("/home/someone/.cache/goldsmith/work")
    assert str(settings.memory_dir).startswith(f"/dev/shm/goldsmith-{os.getuid()}-")
    assert settings.memory_dir != from_environment({"HOME": "/home/another"}).memory_dir
    assert settings.scratch_dirs == (settings.work_dir, settings.memory_dir)
    assert settings.images_dir == tmp_path / "images"
    assert settings.elements_path == (PROJECT_ROOT / "elements",)
    assert settings.mirror is None
    assert not settings.plain_progress


def test_cache_folder_of_the_desktop_standard_is_used() -> None:
    assert from_environment({"XDG_CACHE_HOME": "/c", "HOME": "/h"}).cache_dir == Path("/c/goldsmith")
    # The standard says that an empty variable is as good as none.
    assert from_environment({"XDG_CACHE_HOME": "", "HOME": "/h"}).cache_dir == Path("/h/.cache/goldsmith")


def test_own_variables_win_and_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = from_environment(
        {
            "HOME": "/h",
            "GOLDSMITH_CACHE": "cache",
            "GOLDSMITH_WORK": "/w",
            "GOLDSMITH_IMAGES": "out",
            "GOLDSMITH_MIRROR": "http://mirror.example/debian",
        }
    )
    assert (settings.cache_dir, settings.work_dir, settings.images_dir) == (
        tmp_path / "cache",
        Path("/w"),
        tmp_path / "out",
    )
    assert settings.mirror == "http://mirror.example/debian"
    # Who names a place for scratch gets it there.
    assert settings.scratch_dirs == (Path("/w"),)


def test_own_elements_come_last_and_once(tmp_path: Path) -> None:
    own = PROJECT_ROOT / "elements"
    settings = from_environment({"HOME": "/h", "ELEMENTS_PATH": f"{tmp_path}::{own}"})
    assert settings.elements_path == (tmp_path, own)


@pytest.mark.parametrize(
    ("variables", "plain"), [({"CI": "true"}, True), ({"TERM": "dumb"}, True), ({"CI": ""}, False)]
)
def test_ci_and_dumb_terminals_get_plain_progress(variables: dict[str, str], plain: bool) -> None:
    assert from_environment({"HOME": "/h", **variables}).plain_progress is plain


def test_subprocesses_inherit_little_and_find_the_administrators_tools() -> None:
    environment = from_environment(
        {"HOME": "/h", "PATH": "/opt/bin:/usr/bin", "SECRET": "x", "http_proxy": ""}
    ).base_environment
    assert "SECRET" not in environment
    assert "http_proxy" not in environment
    assert environment["PATH"].split(":") == ["/opt/bin", "/usr/bin", "/usr/sbin", "/sbin", "/bin"]


def test_proxies_and_certificates() -> None:
    env = {
        "HOME": "/h",
        "http_proxy": "http://proxy.example:1",
        "HTTP_PROXY": "http://of-a-client.example",
        "HTTPS_PROXY": "http://proxy.example:2",
        "NO_PROXY": "localhost",
        "REQUESTS_CA_BUNDLE": "/etc/own.pem",
    }
    settings = from_environment(env)
    assert settings.proxies == {"http": "http://proxy.example:1", "https": "http://proxy.example:2"}
    assert settings.no_proxy == "localhost"
    assert settings.ca_certificates == Path("/etc/own.pem")
    bare = from_environment({"HOME": "/h"})
    assert (dict(bare.proxies), bare.no_proxy, bare.ca_certificates) == ({}, "", None)
