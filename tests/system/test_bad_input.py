"""Bad input and bad hosts through the command line: one clear message, the exit code of its kind, nothing left."""

from __future__ import annotations

import http.server
import subprocess
import threading
from pathlib import Path

import pytest
from system_help import RECIPE, Workshop

from goldsmith.settings import from_environment

BASE = "name: bad\nbase: {distribution: debian, release: trixie}\n"


@pytest.fixture
def clean(workshop: Workshop, tmp_path: Path) -> dict[str, str]:
    """Cache and catalogue of this test's own."""
    return {"GOLDSMITH_CACHE": str(tmp_path / "cache"), "GOLDSMITH_IMAGES": str(tmp_path / "images")}


def _leftovers(tmp_path: Path) -> list[Path]:
    scratch = from_environment({"GOLDSMITH_CACHE": str(tmp_path / "cache")}).scratch_dirs
    work = [path for folder in scratch for path in folder.glob("build-*")]
    return [*work, *tmp_path.glob("cache/artefacts/image/*"), *tmp_path.glob("images/*")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [bad\n", "line 2"),
        (BASE + "elements: [networkdd]\n", "did you mean `networkd`"),
        (
            BASE + "elements: [networkd: {adress: []}]\n",
            "unknown parameter `adress`, did you mean `addresses`",
        ),
        (BASE.replace("trixie", "trixi"), "did you mean `trixie`"),
        (BASE + "elements: [cloud-init-datasources]\n", "DIB_CLOUD_INIT_DATASOURCES"),
        (BASE + "disk: {size: 4}\n", "write 4GiB"),
    ],
    ids=["yaml", "element", "parameter", "release", "variable", "size"],
)
def test_a_bad_recipe_is_refused_before_anything_is_built(workshop, clean, tmp_path, text, said):
    recipe = tmp_path / "bad.yaml"
    recipe.write_text(text)
    for command in ("plan", "build", "run"):
        done = workshop.goldsmith(command, recipe, environment=clean)
        assert done.returncode == 2
        assert str(recipe) in done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not _leftovers(tmp_path)


def test_a_recipe_that_does_not_exist(workshop, clean, tmp_path):
    done = workshop.goldsmith("run", tmp_path / "none.yaml", environment=clean)
    assert done.returncode == 2
    assert "none.yaml" in done.stderr


def test_no_network(workshop, clean, tmp_path):
    dead = {"GOLDSMITH_MIRROR": "http://127.0.0.1:9/debian", "GOLDSMITH_SECURITY_MIRROR": "http://127.0.0.1:9/security"}
    done = workshop.goldsmith("build", RECIPE, environment={**clean, **dead})
    assert done.returncode == 3
    assert "cannot be reached" in done.stderr
    assert "hint" in done.stderr
    assert not _leftovers(tmp_path)


def test_a_mirror_without_the_release(workshop, clean, tmp_path):
    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/debian"
        done = workshop.goldsmith("build", RECIPE, environment={**clean, "GOLDSMITH_MIRROR": url})
        server.shutdown()
    assert done.returncode == 2
    assert "no release trixie" in done.stderr
    assert not _leftovers(tmp_path)


def test_no_disk_space(workshop, clean, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    command = workshop.command("build", RECIPE)
    script = 'mount -t tmpfs -o size=64m none "$1" && shift && exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    done = subprocess.run(
        [*unshare, "sh", "-c", script, "sh", small, *command],
        env={**workshop.environment, **clean, "GOLDSMITH_WORK": str(small)},
        capture_output=True,
        text=True,
        timeout=300,
        cwd=RECIPE.parents[1],
    )
    assert done.returncode == 3, done.stderr
    assert "GiB are free" in done.stderr
    assert str(small) in done.stderr
    assert "Traceback" not in done.stderr
    assert not _leftovers(tmp_path)
