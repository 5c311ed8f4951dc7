"""goldsmith gc, as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from goldsmith import cli
from goldsmith.store.artefacts import ArtefactStore


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOLDSMITH_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def image(home: Path) -> Path:
    store = ArtefactStore(home / "artefacts")
    return store.put("image", "a" * 64, lambda part: (part / "disk").write_bytes(bytes(2**20))).folder


def test_all(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gc", "--all", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"image {'a' * 12}: would be removed, 1 MiB",
        "1 MiB would be freed, 0 MiB kept",
    ]
    assert image.exists()
    assert cli.main(["gc", "--all", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kept"] == 0 and document["freed"] > 2**20 and not document["dry_run"]
    assert not image.exists()


def test_what_fits_stays(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gc"]) == 0
    assert capsys.readouterr().out == "0 MiB freed, 1 MiB kept\n"
    assert image.exists()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--size", "5", "did you mean `5GiB`"), ("--unused", "1w", "write it as 30m, 6h or 7d")],
)
def test_wrong_values_are_refused(option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gc", option, value]) == 2
    error = capsys.readouterr().err
    assert option in error and said in error
