"""Which Windows it is, and the updates that it has."""

from __future__ import annotations

import re
from dataclasses import dataclass

from goldsmith.errors import HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.inspection.windows.registry import Registry

_VERSION = ("Microsoft", "Windows NT", "CurrentVersion")
_PACKAGES = ("Microsoft", "Windows", "CurrentVersion", "Component Based Servicing", "Packages")
#: Package_for_KB4480056~31bf3856ad364e35~amd64~~10.0.1.1, Package_1_for_KB976902~...; parts of one update are several
_KB = re.compile(r"Package(?:_\d+)?_for_KB(\d{5,8})[^~]{0,40}~", re.IGNORECASE)
#: Package_for_RollupFix~31bf3856ad364e35~amd64~~17763.1879.1.4: the cumulative update, by the build that it makes
_ROLLUP = re.compile(
    r"Package_for_(?:RollupFix|DotNetRollup)[^~]{0,40}~[^~]*~[^~]*~[^~]*~([0-9.]{1,40})$", re.IGNORECASE
)
#: CurrentState of a package (Microsoft, "CBS Servicing States Chart")
_INSTALLED = (0x70, 0x80)
#: seconds for reading the names of packages, of which a Windows has thousands, before scaling
HOTFIX_SECONDS = 120.0


@dataclass(frozen=True)
class Product:
    #: as "Windows Server 2019 Standard"
    name: str | None
    edition: str | None
    #: "Server", "Server Core" or "Client"
    installation: str | None
    #: as "10.0"
    version: str | None
    #: as "17763.1879"; without the second part before Windows 10
    build: str | None
    #: as "1809" or "21H2"
    release: str | None
    service_pack: str | None


@dataclass(frozen=True)
class Hotfixes:
    #: KB numbers with their packages installed, as "KB4480056", by number
    installed: tuple[str, ...]
    #: builds of cumulative updates that are installed, as "17763.1879.1.4"
    rollups: tuple[str, ...]


def product(software: Registry) -> Product:
    """From the hive SOFTWARE.  Raises HarnessError where it has no version of Windows."""
    if not software.has(_VERSION):
        raise HarnessError("has no key Microsoft\\Windows NT\\CurrentVersion", where="SOFTWARE")
    major, minor = (software.number(_VERSION, f"Current{part}VersionNumber") for part in ("Major", "Minor"))
    # Windows 10 and later keep 6.3 in the old value, for the sake of old programs.
    version = software.text(_VERSION, "CurrentVersion") if major is None else f"{major}.{minor or 0}"
    build = software.text(_VERSION, "CurrentBuildNumber") or software.text(_VERSION, "CurrentBuild")
    revision = software.number(_VERSION, "UBR")
    return Product(
        name=software.text(_VERSION, "ProductName"),
        edition=software.text(_VERSION, "EditionID"),
        installation=software.text(_VERSION, "InstallationType"),
        version=version,
        build=build if build is None or revision is None else f"{build}.{revision}",
        release=software.text(_VERSION, "DisplayVersion") or software.text(_VERSION, "ReleaseId"),
        service_pack=software.text(_VERSION, "CSDVersion"),
    )


def hotfixes(software: Registry, seconds: float) -> Hotfixes:
    """Updates that Component Based Servicing has installed.  Raises HarnessError after ``seconds``, or without CBS."""
    if not software.has(_PACKAGES):
        raise HarnessError("has no packages of Component Based Servicing", where="SOFTWARE")
    deadline = Deadline.after(seconds)
    numbers: set[int] = set()
    rollups: set[str] = set()
    for name in software.names(_PACKAGES):
        if deadline.passed:
            raise HarnessError(f"has more packages than could be read in {seconds:.0f} s", where="SOFTWARE")
        update, rollup = _KB.match(name), _ROLLUP.match(name)
        if not (update or rollup) or (update and int(update[1]) in numbers):
            continue
        if software.number((*_PACKAGES, name), "CurrentState") not in _INSTALLED:
            continue
        if update:
            numbers.add(int(update[1]))
        elif rollup:
            rollups.add(rollup[1])
    by_number = sorted(rollups, key=lambda build: [int(part) for part in build.split(".") if part])
    return Hotfixes(tuple(f"KB{number}" for number in sorted(numbers)), tuple(by_number))


def architecture(system: Registry) -> str | None:
    """In the words of Nova, from the hive SYSTEM; None where it does not say."""
    key = (system.control_set(), "Control", "Session Manager", "Environment")
    word = (system.text(key, "PROCESSOR_ARCHITECTURE") or "").upper()
    return {"AMD64": "x86_64", "X86": "i686", "ARM64": "aarch64"}.get(word)
