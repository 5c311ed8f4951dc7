"""The clock of a Windows: its time zone, and what it takes the machine's clock for."""

from __future__ import annotations

from dataclasses import dataclass

from goldsmith.inspection.windows.registry import Registry


@dataclass(frozen=True)
class Clock:
    #: RealTimeIsUniversal; None where it is absent, which is as 0: the machine's clock has local time
    real_time_is_universal: int | None
    #: REG_DWORD, as it must be; another type is shown, and ignored by Windows
    type: str | None
    #: Windows' name of the time zone, as "W. Europe Standard Time"
    time_zone: str | None
    #: minutes to add to local standard time for UTC
    bias: int | None
    #: minutes to add to local time for UTC when the hive was written, summer time included
    active_bias: int | None

    @property
    def says(self) -> str:
        """What follows for an instance whose image says os_type=windows, by Nova's libvirt driver."""
        if self.real_time_is_universal == 1:
            return "takes the machine's clock for UTC; with os_type=windows that is right where hosts run on UTC"
        return (
            "takes the machine's clock for local time; with os_type=windows that is right where hosts and guest have "
            "the same time zone"
        )


def clock(system: Registry) -> Clock:
    """From the hive SYSTEM, the control set in force."""
    key = (system.control_set(), "Control", "TimeZoneInformation")
    value = system.value(key, "RealTimeIsUniversal")
    number = None if value is None or not isinstance(value.content, int) else value.content
    zone = system.text(key, "TimeZoneKeyName") or system.text(key, "StandardName")
    bias, active = (_signed(system.number(key, name)) for name in ("Bias", "ActiveTimeBias"))
    return Clock(number, None if value is None else value.type, zone, bias, active)


def _signed(number: int | None) -> int | None:
    """A REG_DWORD that is negative east of Greenwich."""
    return None if number is None else number - 2**32 if number >= 2**31 else number
