"""pytest-goldsmith: fixtures for suites that test an image (docs/pytest.md).

    def test_the_clock_is_utc(guest):
        assert guest.check_output("date +%Z") == "UTC"

    pytest --goldsmith-image my.qcow2

The guest is booted once, its state is saved, and later runs and other processes of pytest-xdist go on from there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from goldsmith.testing import options

if TYPE_CHECKING:
    from testinfra.host import Host

    from goldsmith.boot.console import Console
    from goldsmith.boot.hardware import Firmware
    from goldsmith.boot.lab import Lab
    from goldsmith.testing.offline import OfflineImage
    from goldsmith.testing.options import Options
    from goldsmith.testing.views import MetadataView, ScreenView
    from goldsmith.verify.standing import Standing

_GUEST = pytest.StashKey["Standing"]()
_OPTIONS = pytest.StashKey["Options"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    # What is wrong with them is said before anything else is done.
    config.stash[_OPTIONS] = options.of(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    firmwares = metafunc.config.stash[_OPTIONS].firmwares
    if "firmware" in metafunc.fixturenames and len(firmwares) > 1:
        metafunc.parametrize("firmware", firmwares, scope="session")


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """goldsmith's errors say where and what to do; a traceback through its code would hide that."""
    from goldsmith.errors import GoldsmithError

    try:
        yield
    except GoldsmithError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def goldsmith_options(pytestconfig: pytest.Config) -> Options:
    """The options of this session."""
    return pytestconfig.stash[_OPTIONS]


@pytest.fixture(scope="session")
def image(goldsmith_options: Options) -> Path:
    """The image under test.  Its file is never written to."""
    from goldsmith.images.untrusted import image_format

    if goldsmith_options.image is None:
        pytest.fail("no image to test: give --goldsmith-image FILE, or goldsmith_image in pytest's ini", pytrace=False)
    with _plainly():
        image_format(goldsmith_options.image)
    return goldsmith_options.image


@pytest.fixture(scope="session")
def firmware(image: Path, goldsmith_options: Options) -> Firmware:
    """What the guest boots with, "bios" or "uefi"; with two asked for, each in its turn."""
    from goldsmith.images.untrusted import image_format
    from goldsmith.verify.firmwares import bootable_with

    with _plainly():
        return (goldsmith_options.firmwares or bootable_with(image, image_format(image)))[0]


@pytest.fixture(scope="session")
def goldsmith_guest(
    image: Path,
    firmware: Firmware,
    goldsmith_options: Options,
    goldsmith_appliance: OfflineImage,
    request: pytest.FixtureRequest,
) -> Iterator[Standing]:
    """The booted guest with its machine and lab, for what the other fixtures do not offer."""
    from goldsmith.boot import accelerator
    from goldsmith.boot.properties import shape_here
    from goldsmith.host.files import file_digest
    from goldsmith.host.progress import Progress
    from goldsmith.images.untrusted import image_format
    from goldsmith.settings import from_environment
    from goldsmith.verify import appliance, channels
    from goldsmith.verify.machines import BootPlan, discard
    from goldsmith.verify.standing import standing

    # Each process of pytest-xdist has a guest of its own.
    worker = getattr(request.config, "workerinput", {}).get("workerid", "")
    if not worker and any("offline" in getattr(item, "fixturenames", ()) for item in request.session.items):
        # A test to come wants it, and which process of pytest-xdist that runs in nobody knows.
        goldsmith_appliance.begin()
    folder = goldsmith_options.artefacts / f"boot-{firmware}{worker and f'-{worker}'}"
    with _plainly(), contextlib.ExitStack() as stack:
        settings = from_environment()
        chosen = accelerator.choose(settings)
        form = image_format(image)
        way = channels.chosen(image, form, file_digest(image), settings, chosen, appliance.launched)
        shape = shape_here(goldsmith_options.properties, firmware)
        plan = BootPlan(image, form, firmware, folder, settings, chosen, way, shape, goldsmith_options.datasource)
        stack.callback(discard, folder)
        found = stack.enter_context(standing(plan, Progress(), anew=goldsmith_options.fresh))
        yield found


@pytest.fixture
def goldsmith_clean(request: pytest.FixtureRequest, goldsmith_guest: Standing) -> Standing:
    """The guest of this test, as it was when it had just booted where an earlier test asked to change it."""
    request.node.stash[_GUEST] = goldsmith_guest
    if goldsmith_guest.dirty:
        with _plainly():
            goldsmith_guest.clean()
    return goldsmith_guest


@pytest.fixture
def guest(goldsmith_clean: Standing) -> Host:
    """The running guest as testinfra's host: run(), check_output(), file(), service(), package() and the others.

    All tests share it, so a test that changes something asks for ``clean_guest`` instead.
    """
    return _host(goldsmith_clean)


@pytest.fixture
def clean_guest(goldsmith_clean: Standing) -> Host:
    """The same, for this test alone: it may change what it likes, and the next test finds the guest as it was."""
    if not goldsmith_clean.dirty:
        goldsmith_clean.soil()
    return _host(goldsmith_clean)


def _host(found: Standing) -> Host:
    try:
        from goldsmith.testing.host import host_of
    except ImportError:
        pytest.fail("pytest-testinfra is not installed: pip install 'goldsmith[pytest]'", pytrace=False)
    return host_of(found.machine.guest, found.instance.hostname, found.machine.scale)


@pytest.fixture
def console(goldsmith_clean: Standing) -> Console:
    """The serial console, ttyS0: text(), lines(), wait_for(pattern, deadline), send(text, deadline)."""
    return goldsmith_clean.machine.console


@pytest.fixture
def screen(goldsmith_clean: Standing, artefacts: Path) -> ScreenView:
    """The screen and the keyboard: size, text, screenshot(name), type(text)."""
    from goldsmith.testing.views import ScreenView

    return ScreenView(goldsmith_clean, artefacts)


@pytest.fixture
def metadata(goldsmith_clean: Standing) -> MetadataView:
    """What the guest asked of the metadata service since power-on: requests, connections, by_path."""
    from goldsmith.testing.views import MetadataView

    return MetadataView(goldsmith_clean)


@pytest.fixture
def lab(goldsmith_clean: Standing) -> Lab:
    """The networks that the guest is on, and their servers."""
    return goldsmith_clean.lab


@pytest.fixture(scope="session")
def goldsmith_appliance(image: Path) -> Iterator[OfflineImage]:
    """libguestfs's appliance for the image, which takes as long to start as a saved guest does to go on."""
    from goldsmith.testing.offline import OfflineImage

    with contextlib.closing(OfflineImage(image)) as found:
        yield found


@pytest.fixture(scope="session")
def offline(goldsmith_appliance: OfflineImage) -> Any:
    """The image as it is, not booted: a libguestfs handle (guestfs.GuestFS) with its root mounted, read-only."""
    with _plainly():
        return goldsmith_appliance.handle()


@pytest.fixture
def artefacts(request: pytest.FixtureRequest, goldsmith_options: Options) -> Path:
    """A folder of this test's own, made from its id; it is there when somebody writes to it."""
    from goldsmith.testing.artefacts import folder_of

    return folder_of(goldsmith_options.artefacts, request.node.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    found = item.stash.get(_GUEST, None)
    if found is not None and report.failed and call.when == "call":
        from goldsmith.testing import artefacts as kept

        folder = kept.folder_of(options.of(item.config).artefacts, item.nodeid)
        report.sections.append(("goldsmith", "\n".join(kept.keep(found, folder))))
    return report
