from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from goldsmith import settings as settings_module
from goldsmith.errors import CheckFailedError, InputError
from goldsmith.publish import catalogue
from goldsmith.settings import Settings
from goldsmith.store.manifest import Manifest, Status, UsedElement, Verdict

SBOM = {"spdxVersion": "SPDX-2.3"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_module.from_environment({"HOME": str(tmp_path), "GOLDSMITH_IMAGES": str(tmp_path / "images")})


def settled(firmware: str, status: Status = "pass") -> Verdict:
    return Verdict.model_validate(
        {
            "layer": "live",
            "element": "goldsmith",
            "check": "settled",
            "says": "It boots.",
            "firmware": firmware,
            "status": status,
        }
    )


def offline(status: Status) -> Verdict:
    return Verdict(layer="offline", element="generalize", check="logs", says="Logs are empty.", status=status)


BOOTED = (settled("bios"), settled("uefi"))


def build(folder: Path, content: bytes = b"image one", verdicts: tuple[Verdict, ...] = BOOTED) -> tuple[Path, Manifest]:
    image = folder / "built.qcow2"
    image.write_bytes(content)
    manifest = Manifest(
        name="debian-13",
        recipe_digest="a" * 64,
        inputs={},
        base={},
        elements=(UsedElement(name="generalize", digest="c" * 64),),
        properties={"os_type": "linux"},
        firmware=("bios", "uefi"),
        sha256=hashlib.sha256(content).hexdigest(),
        sha512=hashlib.sha512(content).hexdigest(),
        size=len(content),
        virtual_size=2**30,
        verdicts=verdicts,
        goldsmith_version="0.1.0",
    )
    return image, manifest


def test_hives_as_they_were_stand_beside_the_image_until_one_without_them_comes(
    tmp_path: Path, settings: Settings
) -> None:
    image, manifest = build(tmp_path)
    hives = [tmp_path / "SYSTEM.before", tmp_path / "SOFTWARE.before"]
    for hive in hives:
        hive.write_bytes(hive.name.encode())
    other = settings.images_dir / "debian-13.5.SYSTEM.before"
    catalogue.publish(image, manifest, SBOM, settings, hives)
    other.touch()
    assert (settings.images_dir / "debian-13.SYSTEM.before").read_bytes() == b"SYSTEM.before"
    catalogue.publish(image, manifest, SBOM, settings, hives[1:])
    left = {path.name for path in settings.images_dir.glob("*.before")}
    assert left == {"debian-13.SOFTWARE.before", other.name}


def test_what_is_published_is_current(tmp_path: Path, settings: Settings) -> None:
    image, manifest = build(tmp_path)
    assert catalogue.current("debian-13", settings) is None
    entry = catalogue.publish(image, manifest, SBOM, settings)
    assert catalogue.current("debian-13", settings) == entry
    folder = settings.images_dir
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == [
        "debian-13.json",
        "debian-13.properties.json",
        "debian-13.qcow2",
        "debian-13.spdx.json",
    ]
    assert list(folder.glob(".publish-*")) == []
    assert json.loads((folder / "debian-13.properties.json").read_text()) == {"os_type": "linux"}
    assert json.loads((folder / "debian-13.spdx.json").read_text()) == SBOM
    entry.image.write_bytes(b"written to")
    assert image.read_bytes() == b"image one", "the published image shares nothing with the one that was built"


def test_the_next_one_takes_its_place(tmp_path: Path, settings: Settings) -> None:
    catalogue.publish(*build(tmp_path), SBOM, settings)
    catalogue.publish(*build(tmp_path, b"image two"), SBOM, settings)
    entry = catalogue.current("debian-13", settings)
    assert entry is not None
    assert entry.image.read_bytes() == b"image two"


@pytest.mark.parametrize(
    ("verdicts", "error", "text"),
    [
        ((), InputError, "no verdicts of a boot with bios and uefi"),
        ((offline("pass"),), InputError, "no verdicts of a boot with bios and uefi"),
        ((settled("bios"), offline("pass")), InputError, "no verdicts of a boot with uefi"),
        ((*BOOTED, offline("fail")), CheckFailedError, r"1 checks did not pass: generalize/logs \(offline, fail\)"),
        ((*BOOTED, offline("broken")), CheckFailedError, "generalize/logs"),
        ((settled("bios"), settled("uefi", "fail")), CheckFailedError, "goldsmith/settled"),
    ],
)
def test_an_unproven_image_is_refused(
    tmp_path: Path, settings: Settings, verdicts: tuple[Verdict, ...], error: type[Exception], text: str
) -> None:
    before = catalogue.publish(*build(tmp_path), SBOM, settings)
    with pytest.raises(error, match=text):
        catalogue.publish(*build(tmp_path, b"image two", verdicts), SBOM, settings)
    assert catalogue.current("debian-13", settings) == before


def test_another_image_than_the_manifests_is_refused(tmp_path: Path, settings: Settings) -> None:
    before = catalogue.publish(*build(tmp_path), SBOM, settings)
    image, manifest = build(tmp_path, b"image two")
    image.write_bytes(b"image 2!!")
    with pytest.raises(InputError, match="not the image of its manifest"):
        catalogue.publish(image, manifest, SBOM, settings)
    assert catalogue.current("debian-13", settings) == before
    assert list(settings.images_dir.glob(".publish-*")) == []


def test_a_publication_cut_short_is_told_from_a_whole_one(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.publish(*build(tmp_path), SBOM, settings)
    moved: list[str] = []
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.name == "debian-13.json":
            raise KeyboardInterrupt
        moved.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        catalogue.publish(*build(tmp_path, b"image two"), SBOM, settings)
    monkeypatch.undo()
    assert moved[0] == "debian-13.qcow2"
    with pytest.raises(InputError, match="not the image that its manifest speaks of"):
        catalogue.current("debian-13", settings)
    catalogue.publish(*build(tmp_path, b"image two"), SBOM, settings)
    assert catalogue.current("debian-13", settings) is not None


def test_what_a_dead_publication_left_is_removed(tmp_path: Path, settings: Settings) -> None:
    leftover = settings.images_dir / ".publish-dead"
    leftover.mkdir(parents=True)
    (leftover / "debian-13.qcow2").write_bytes(b"half")
    catalogue.publish(*build(tmp_path), SBOM, settings)
    assert not leftover.exists()


def test_names_cannot_leave_the_catalogue(settings: Settings) -> None:
    with pytest.raises(InputError, match="not a name"):
        catalogue.current("../debian-13", settings)


def test_a_copy_is_whole_where_the_kernel_cannot_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 5000)

    def half(reader: int, writer: int, count: int) -> int:
        raise OSError("another file system")

    monkeypatch.setattr("os.copy_file_range", half)
    catalogue.copy_file(source, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_no_room_is_said_before_anything_is_written(tmp_path: Path, settings: Settings) -> None:
    image, manifest = build(tmp_path)
    with pytest.raises(Exception, match="GiB are free"):
        catalogue.publish(image, manifest.model_copy(update={"size": 2**60}), SBOM, settings)
    assert not settings.images_dir.exists()
