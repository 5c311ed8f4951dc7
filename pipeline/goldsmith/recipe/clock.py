"""The clock of a Windows guest: os_type and RealTimeIsUniversal are one decision, judged by one table.

nova's libvirt driver gives a guest the host's local time where os_type is exactly ``windows``, else UTC
(``<clock offset='localtime'>``, nova/virt/libvirt/driver.py).  Windows takes what it is given for its own
local time, or for UTC where RealTimeIsUniversal is not 0.  H is the host's offset from UTC, G the guest's:

    os_type   RealTimeIsUniversal   error at boot
    unset     absent or 0           -G
    unset     1                     0
    windows   absent or 0           H - G
    windows   1                     H
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

Hosts = Literal["utc", "local"]

#: the element whose parameters this judges
ELEMENT = "windows-clock"
KEY = r"HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation"
VALUE = "RealTimeIsUniversal"
#: (os_type is windows, the value is set) -> the clock's error at boot
_ERRORS = {(False, False): "-G", (False, True): "0", (True, False): "H - G", (True, True): "H"}
_LETTERS = "H is the host's offset from UTC, G the guest's"
#: (hosts, the value is set) of os_type=windows -> why it is refused
_REFUSED: dict[tuple[Hosts, bool], str] = {
    ("local", True): (
        "with os_type=windows nova gives the guest the host's local time, and RealTimeIsUniversal=1 takes it for UTC: "
        f"the clock is wrong by H at boot, and H is not 0 where hosts are not on UTC ({_LETTERS})"
    ),
    ("utc", False): (
        "with os_type=windows a host on UTC gives the guest UTC, and without RealTimeIsUniversal=1 it takes it for its "
        f"own local time: the clock is wrong by H - G = -G at boot ({_LETTERS})"
    ),
}
#: where a guest on hosts that keep local time stands
LOCAL_COSTS = (
    "hosts: local: the clock is right at boot only where the guest's time zone is the host's (its error is H - G), and "
    "off by an hour between a change of daylight saving time and the next synchronisation; hosts on UTC do better"
)
_KB = "KB2800213"


def boot_error(os_type: str | None, universal: bool) -> str:
    """The clock's error at boot, in H and G."""
    return _ERRORS[os_type == "windows", universal]


def is_universal(value: tuple[int, bytes] | None) -> bool:
    """What Windows makes of RealTimeIsUniversal: a DWORD, or a QWORD as some tools write it, that is not 0."""
    if value is None:
        return False
    kind, raw = value
    return (kind, len(raw)) in ((4, 4), (11, 8)) and any(raw)


def refusal(hosts: Hosts, os_type: str | None, universal: bool) -> str | None:
    """Why this os_type and value are wrong on such hosts; None where they belong together."""
    if os_type != "windows":
        given = f"os_type is {os_type or 'not set'} and {VALUE} {'1' if universal else 'absent'}"
        return (
            f"{given}: nova gives the guest UTC, whatever its hosts keep, and the clock's error at boot is "
            f"{boot_error(os_type, universal)} ({_LETTERS}); nor does a Windows get its Hyper-V features without it"
        )
    return _REFUSED.get((hosts, universal))


def warnings(universal: bool, version: tuple[int, int], hotfixes: Collection[str] = ()) -> list[str]:
    """What to tell the operator of a Windows of this version (6, 1) with these hotfixes ("KB...")."""
    if universal and version == (6, 1) and _KB not in {each.upper() for each in hotfixes}:
        return [
            f"{VALUE}=1 on Windows 7 or Server 2008 R2: without the hotfix {_KB} the processor can be busy to 100 % "
            f"around a change of daylight saving time; install {_KB}"
        ]
    return []
