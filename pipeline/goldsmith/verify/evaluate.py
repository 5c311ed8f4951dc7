"""One check on one subject, to a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from goldsmith.errors import GoldsmithError, HarnessError
from goldsmith.store.manifest import Firmware, Layer, Status, Verdict
from goldsmith.verify.compare import Finding
from goldsmith.verify.kinds import (
    boot_menu,
    files,
    guest,
    live_files,
    logs,
    mounts,
    network,
    packages,
    ports,
    registry,
    residue,
    screen,
    services,
    sysctl_files,
)
from goldsmith.verify.model import Assertion, BoundCheck
from goldsmith.verify.subjects import LiveGuest, MetadataTally, Screen
from goldsmith.verify.tree import Tree

Subject = Tree | LiveGuest | Screen | MetadataTally


@dataclass(frozen=True)
class Place:
    """Where checks are evaluated: the layer, with which firmware, and what a verdict tells of it."""

    layer: Layer
    firmware: Firmware | None
    #: the last lines of the serial console, when asked
    console: Callable[[], tuple[str, ...]] = tuple
    #: the command that runs a check again, for its name
    repeat: Callable[[str], str] = lambda name: ""


def judge(place: Place, element: str, check: str, says: str, look: Callable[[], list[Finding]]) -> Verdict:
    """The verdict of ``look``: pass where it finds nothing, fail where it does, broken where it cannot look.

    Only goldsmith's own errors are caught: a defect of ours is no verdict.
    """
    started = time.monotonic()
    status: Status
    try:
        findings = look()
    except GoldsmithError as error:
        status, expected, seen = "broken", "", str(error)
    else:
        status = "fail" if findings else "pass"
        expected = "\n".join(finding.expected for finding in findings)
        seen = "\n".join(finding.seen for finding in findings)
    seconds = time.monotonic() - started
    passed = status == "pass"
    return Verdict(
        layer=place.layer,
        element=element,
        check=check,
        says=says,
        firmware=place.firmware,
        status=status,
        expected=expected,
        seen=seen,
        seconds=round(seconds, 3),
        console=() if passed else place.console(),
        repeat="" if passed else place.repeat(f"{element}/{check}"),
    )


def evaluate(bound: BoundCheck, subject: Subject, place: Place) -> Verdict:
    """Evaluate a check on the subject of its layer."""
    return judge(place, bound.element, bound.id, bound.check.says, lambda: findings(bound.check.assertion, subject))


def broken(place: Place, element: str, check: str, says: str, error: GoldsmithError) -> Verdict:
    """The verdict of a check that was not reached."""

    def look() -> list[Finding]:
        raise error

    return judge(place, element, check, says, look)


def findings(assertion: Assertion, subject: Subject) -> list[Finding]:
    """What does not hold.  Raises HarnessError for a subject that the kind cannot look at."""
    match assertion, subject:
        case files.FileAssertion(), Tree():
            return files.file(assertion, subject)
        case files.FileAssertion(), LiveGuest():
            return live_files.file(assertion, subject)
        case files.AbsentAssertion(), Tree():
            return files.absent(assertion, subject)
        case files.AbsentAssertion(), LiveGuest():
            return live_files.absent(assertion, subject)
        case packages.PackageAssertion(), Tree():
            return packages.package(assertion, subject)
        case packages.PackageAssertion(), LiveGuest():
            return packages.package_live(assertion, subject)
        case residue.ResidueAssertion(), Tree():
            return residue.residue(assertion, subject)
        case registry.RegistryAssertion(), Tree():
            return registry.registry(assertion, subject)
        case services.ServiceAssertion(), Tree():
            return services.service(assertion, subject)
        case services.ServiceAssertion(), LiveGuest():
            return services.service_live(assertion, subject)
        case guest.CommandAssertion(), LiveGuest():
            return guest.command(assertion, subject)
        case guest.UnitAssertion(), LiveGuest():
            return guest.unit(assertion, subject)
        case guest.KernelArgumentAssertion(), Tree():
            return boot_menu.kernel_argument(assertion, subject)
        case guest.KernelArgumentAssertion(), LiveGuest():
            return guest.kernel_argument(assertion, subject)
        case guest.SysctlAssertion(), Tree():
            return sysctl_files.sysctl(assertion, subject)
        case guest.SysctlAssertion(), LiveGuest():
            return guest.sysctl(assertion, subject)
        case network.RouteAssertion(), LiveGuest():
            return network.route(assertion, subject)
        case network.AddressAssertion(), LiveGuest():
            return network.address(assertion, subject)
        case network.MetadataAssertion(), MetadataTally():
            return network.metadata(assertion, subject)
        case ports.PortAssertion(), LiveGuest():
            return ports.port(assertion, subject)
        case mounts.MountAssertion(), Tree():
            return mounts.mount(assertion, subject)
        case mounts.MountAssertion(), LiveGuest():
            return mounts.mount_live(assertion, subject)
        case logs.LogLineAssertion(), Tree():
            return logs.log_line(assertion, subject)
        case logs.LogLineAssertion(), LiveGuest():
            return logs.log_line_live(assertion, subject)
        case screen.ScreenAssertion(), Screen():
            return screen.screen(assertion, subject)
    raise HarnessError(f"{type(assertion).__name__} cannot be evaluated on {type(subject).__name__}")
