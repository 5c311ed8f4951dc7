"""The image that a recipe starts from: identified, fetched, looked at, copied; and hostile ones through the command."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_samples import image, qemu_img

from goldsmith import cli
from goldsmith.errors import GoldsmithError, HostError, InputError
from goldsmith.host.progress import Progress
from goldsmith.images import base as bases
from goldsmith.images.base import identified, obtained, working_copy
from goldsmith.recipe.loader import load
from goldsmith.recipe.model import Recipe
from goldsmith.settings import Settings, from_environment

OTHER = "b" * 64


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return from_environment({"HOME": str(tmp_path / "home"), "PATH": "/usr/bin", "no_proxy": "127.0.0.1"})


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return image(tmp_path, "qcow2")


@dataclasses.dataclass
class Work:
    folder: Path
    settings: Settings
    said: io.StringIO = dataclasses.field(default_factory=io.StringIO)

    def recipe(self, base: str) -> Recipe:
        return load(self.file(base), self.settings)

    def file(self, base: str) -> Path:
        path = self.folder / "recipe.yaml"
        path.write_text(f"name: test\nbase: {{{base}}}\ndisk: {{firmware: [bios]}}\n")
        return path

    @property
    def progress(self) -> Progress:
        return Progress(stream=self.said)

    def identified(self, base: str) -> str | None:
        return identified(self.recipe(base), self.settings, self.progress)

    def wrong(self, base: str) -> tuple[str, str]:
        with pytest.raises(InputError) as caught:
            self.identified(base)
        (problem,) = caught.value.problems
        return problem.path, problem.message


@pytest.fixture
def work(tmp_path: Path, settings: Settings) -> Work:
    return Work(tmp_path, settings)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_local_file(work: Work, disk: Path) -> None:
    digest = sha256(disk)
    assert work.identified("image: a.qcow2") == digest
    assert work.identified(f"image: a.qcow2, sha256: {digest}") == digest
    (work.folder / "SUMS").write_text(f"{digest} *a.qcow2\n")
    assert work.identified("image: a.qcow2, sha256sums: SUMS") == digest
    assert work.identified("distribution: debian, release: trixie") is None


def test_another_digest(work: Work, disk: Path) -> None:
    path, message = work.wrong(f"image: a.qcow2, sha256: {OTHER}")
    assert (path, message) == ("base.sha256", f"is {OTHER}, and {disk} has {sha256(disk)}")
    (work.folder / "SUMS").write_text(f"{OTHER} *a.qcow2\n")
    assert work.wrong("image: a.qcow2, sha256sums: SUMS")[0] == "base.sha256sums"


def test_a_raw_image_that_is_a_qcow2(work: Work, disk: Path) -> None:
    """By the recipe's word, or by its name."""
    assert work.wrong("image: a.qcow2, format: raw") == ("base.format", "is raw, and a.qcow2 is qcow2")
    disk.rename(work.folder / "a.raw")
    assert work.wrong("image: a.raw") == ("base.image", "a.raw is qcow2, unlike its name")
    assert work.identified("image: a.raw, format: qcow2")
    (work.folder / "a.raw").rename(work.folder / "a.img")
    assert work.identified("image: a.img")


def test_a_vhd_by_its_usual_name(work: Work, tmp_path: Path) -> None:
    image(tmp_path, "vhd")
    assert work.identified("image: a.vhd, format: vhd") == work.identified("image: a.vhd")


@pytest.mark.parametrize("command", ["plan", "build"])
def test_a_hostile_base_through_the_command(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    qemu_img("create", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", work.folder / "a.qcow2", "8M")
    monkeypatch.setenv("GOLDSMITH_CACHE", str(work.folder / "cache"))
    file = work.file("image: a.qcow2")
    assert cli.main([command, str(file)]) == 2
    said = capsys.readouterr().err
    assert f"{file}: base.image: a.qcow2: is not safe to open: Image has a backing file" in said
    assert "Traceback" not in said


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Serves the folder ``site``."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words: object) -> None:
            super().__init__(*words, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_url(work: Work, disk: Path, site: str) -> None:
    digest = sha256(disk)
    disk.rename(work.folder / "site/a.qcow2")
    recipe = work.recipe(f"image: {site}/a.qcow2, sha256: {digest}")
    assert identified(recipe, work.settings, work.progress) == digest
    found = obtained(recipe, digest, work.settings, work.progress)
    assert (found.path, found.header.format) == (work.settings.cache_dir / "downloads" / digest, "qcow2")
    assert found.origin == f"{site}/a.qcow2"
    (work.folder / "site/a.qcow2").unlink()
    assert obtained(recipe, digest, work.settings, work.progress) == found


def test_a_hostile_url(work: Work, site: str) -> None:
    path = work.folder / "site/a.qcow2"
    qemu_img("create", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", path, "8M")
    digest = sha256(path)
    recipe = work.recipe(f"image: {site}/a.qcow2, sha256: {digest}")
    with pytest.raises(InputError) as caught:
        obtained(recipe, digest, work.settings, work.progress)
    assert "backing file" in caught.value.problems[0].message


def test_a_list_of_the_net(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched each time, and remembered for when it cannot be."""
    lists = [f"{OTHER}  disk.qcow2\n", HostError("no route"), f"{OTHER}  other.qcow2\n"]

    def text_of(url: str, settings: Settings, limit: int) -> str:
        found = lists.pop(0)
        if isinstance(found, GoldsmithError):
            raise found
        return found

    monkeypatch.setattr(bases, "text_of", text_of)
    base = "image: https://images.example/disk.qcow2, sha256sums: https://images.example/SHA256SUMS"
    assert work.identified(base) == OTHER
    assert work.identified(base) == OTHER
    assert "no route; the list that was fetched last is taken" in work.said.getvalue()
    assert work.wrong(base) == ("base.sha256sums", "https://images.example/SHA256SUMS does not have `disk.qcow2`")
    lists.append(HostError("no route"))
    with pytest.raises(HostError, match="no route"):
        work.identified(base.replace("SHA256SUMS", "SUMS"))


def test_a_working_copy(work: Work, disk: Path) -> None:
    qemu_img("snapshot", "-c", "one", disk)
    digest = sha256(disk)
    recipe = work.recipe("image: a.qcow2")
    found = obtained(recipe, digest, work.settings, work.progress)
    copy = working_copy(found, work.settings, work.progress)
    assert "its 1 internal snapshots are left out" in work.said.getvalue()
    qemu_img("compare", "-f", "qcow2", "-F", "qcow2", disk, copy)
    before = copy.stat().st_mtime_ns
    assert working_copy(found, work.settings, work.progress) == copy
    assert copy.stat().st_mtime_ns == before
    assert sha256(disk) == digest
    with pytest.raises(InputError, match="no longer the file"):
        working_copy(dataclasses.replace(found, sha256=OTHER), work.settings, work.progress)
