"""Options of pytest-goldsmith, all with one prefix, and what they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import pytest

from goldsmith.boot.hardware import Firmware
from goldsmith.boot.properties import firmware_from, properties_of
from goldsmith.boot.seed import Datasource
from goldsmith.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP = "goldsmith"
ARTEFACTS = "goldsmith-artefacts"


@dataclass(frozen=True)
class Options:
    """What the suite's guests are, as the user asked."""

    #: None where no image was named
    image: Path | None
    #: empty: what the properties say, else what the image's disk is made for, BIOS first
    firmwares: tuple[Firmware, ...]
    properties: Mapping[str, str]
    datasource: Datasource
    artefacts: Path
    #: boot, whatever is saved
    fresh: bool


def add(parser: pytest.Parser) -> None:
    """Add them to pytest's own."""
    group = parser.getgroup(GROUP, "golden images (pytest-goldsmith)")
    group.addoption("--goldsmith-image", metavar="FILE", help="the image under test, qcow2 or raw")
    group.addoption(
        "--goldsmith-firmware",
        action="append",
        default=[],
        choices=get_args(Firmware),
        help="boot with this firmware; given twice, every test of a guest runs with both",
    )
    group.addoption(
        "--goldsmith-property",
        metavar="K=V",
        action="append",
        default=[],
        help="shape the machine by this image property, as Nova does; can be given several times",
    )
    group.addoption(
        "--goldsmith-datasource",
        choices=get_args(Datasource),
        default="metadata",
        help="where the guest learns about itself (default: the metadata service)",
    )
    group.addoption(
        "--goldsmith-artefacts",
        metavar="FOLDER",
        help=f"consoles, and a folder for each test that failed (default: {ARTEFACTS} below the rootdir)",
    )
    group.addoption(
        "--goldsmith-fresh", action="store_true", help="boot the guest, even where one of an earlier run was saved"
    )
    parser.addini("goldsmith_image", "the image under test, by a path from the rootdir")


def of(config: pytest.Config) -> Options:
    """Read them.  Raises pytest.UsageError for a property that is none."""
    named = config.getoption("--goldsmith-image")
    listed = config.getini("goldsmith_image")
    image = Path(named).absolute() if named else config.rootpath / listed if listed else None
    try:
        properties = properties_of(config.getoption("--goldsmith-property"), "--goldsmith-property")
    except InputError as error:
        raise pytest.UsageError(str(error)) from error
    artefacts = config.getoption("--goldsmith-artefacts")
    firmwares = tuple(config.getoption("--goldsmith-firmware"))
    if not firmwares and (of_property := firmware_from(properties)):
        firmwares = (of_property,)
    return Options(
        image=image,
        firmwares=cast("tuple[Firmware, ...]", firmwares),
        properties=properties,
        datasource=config.getoption("--goldsmith-datasource"),
        artefacts=Path(artefacts).absolute() if artefacts else config.rootpath / ARTEFACTS,
        fresh=config.getoption("--goldsmith-fresh"),
    )
