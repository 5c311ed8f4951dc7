"""The facts of an inspection as lines for people: what it is on the left, what is known of it on the right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from goldsmith.inspection.boot import FirmwareFacts
from goldsmith.inspection.facts import Unknown
from goldsmith.inspection.linux import Agent, Kernel, Linux, SELinux
from goldsmith.inspection.look import Seen
from goldsmith.inspection.properties import Property
from goldsmith.inspection.storage import Storage
from goldsmith.inspection.windows.cloudbase import CloudbaseInit
from goldsmith.inspection.windows.disks import DriveLetter
from goldsmith.inspection.windows.product import Hotfixes, Product
from goldsmith.inspection.windows.registry import HiveState
from goldsmith.inspection.windows.services import STARTS, Driver, WindowsAgent
from goldsmith.inspection.windows.windows import Sleep, Windows

#: what stands on the left, and what belongs to it, one or several lines
Row = tuple[str, list[str]]

_MOST_LINES = 12


def disk_rows(disk: Storage) -> Iterator[Row]:
    if isinstance(disk.table, Unknown):
        yield "partitions", [str(disk.table)]
    elif disk.table.kind == "none":
        yield "partitions", ["none"]
    else:
        named = f"{disk.table.kind.upper()} {disk.table.id}"
        yield (
            "partitions",
            [
                named,
                *(
                    f"{disk.device}{each.number}  {_size(each.size):>9}  {each.type_name or each.type}"
                    f"{', active' if each.active else ''}"
                    for each in disk.table.partitions
                ),
            ],
        )
    if isinstance(disk.file_systems, Unknown):
        yield "file systems", [str(disk.file_systems)]
    else:
        yield (
            "file systems",
            [f"{each.device}  {each.type}{f'  {each.label!r}' if each.label else ''}" for each in disk.file_systems],
        )
    yield "LVM", _listed(disk.logical_volumes)
    yield "btrfs", _listed(disk.subvolumes)


def system_rows(seen: Seen) -> Iterator[Row]:
    """Rows of what was found in a system; none where it is neither Linux nor Windows."""
    if seen.firmware:
        yield "boots with", _firmware(seen.firmware)
    if isinstance(seen.facts, Windows):
        yield from _windows(seen.facts)
    elif isinstance(seen.facts, Linux):
        yield from _linux(seen.facts)
    yield "properties", [_property(each) for each in seen.properties]


def _property(each: Property) -> str:
    return f"{each.name}={each.value}: {each.reason}"


def _firmware(facts: FirmwareFacts) -> list[str]:
    entry = " (only by a boot entry in NVRAM, which a new instance lacks)" if facts.needs_boot_entry else ""
    words = {"bios": f"BIOS: {facts.bios}", "uefi": f"UEFI: {facts.uefi}{entry}"}
    lacking = {"bios": f"not BIOS: {facts.bios}", "uefi": f"not UEFI: {facts.uefi}"}
    return [words[name] if name in facts.can_boot else lacking[name] for name in ("bios", "uefi")]


def _linux(facts: Linux) -> Iterator[Row]:
    yield "kernels", _each(facts.kernels, _kernel)
    yield "initramfs", [str(facts.initramfs)]
    yield "SELinux", _each(facts.selinux, _selinux)
    ifupdown = facts.network.ifupdown
    yield "network", [*_listed(facts.network.stacks), *(["ifupdown starts it"] if ifupdown is True else [])]
    yield (
        "default route",
        _each(facts.network.default_route, lambda each: f"{each.by}: {each.says} ({each.path})")
        or ["no policy: each NIC may have one"],
    )
    console = facts.console
    yield "kernel is told", _joined(console.kernel_arguments)
    yield "logins on", _joined(console.gettys)
    yield "GRUB talks to", _joined(console.grub_terminal)
    cloud_init = facts.cloud_init
    if cloud_init is None or isinstance(cloud_init, Unknown):
        yield "cloud-init", [str(cloud_init) if cloud_init else "not installed"]
    else:
        lines = [f"version {cloud_init.version}"]
        if cloud_init.disabled:
            lines.append(f"disabled: {cloud_init.disabled}")
        sources = _joined(cloud_init.datasources)
        lines.append(f"datasources: {sources[0] if cloud_init.datasources else 'all that ds-identify knows'}")
        if cloud_init.datasources_from and not isinstance(cloud_init.datasources_from, Unknown):
            lines[-1] += f" ({cloud_init.datasources_from})"
        if cloud_init.differs:
            lines.append(f"but cloud-init itself reads: {_joined(cloud_init.differs)[0]}; write the list on one line")
        if cloud_init.network_disabled:
            lines.append(f"leaves the network alone ({cloud_init.network_disabled})")
        yield "cloud-init", lines
    yield "agents", _each(facts.agents, _agent) or ["none"]


def _kernel(kernel: Kernel) -> str:
    return f"{kernel.version}: {', '.join(f'{name} {place}' for name, place in kernel.drivers.items())}"


def _selinux(facts: SELinux) -> str:
    policy = f", policy {facts.policy}" if facts.policy else ""
    return f"{facts.mode}{policy}{', labels all files at the next boot' if facts.relabels else ''}"


def _agent(agent: Agent | WindowsAgent) -> str:
    if isinstance(agent, WindowsAgent):
        return f"{agent.name} (service {agent.service}, {_start(agent.start)})"
    started = agent.starts if isinstance(agent.starts, Unknown) else "started" if agent.starts else "not started"
    return f"{agent.name} ({agent.path}, {started})"


def _start(start: int | None) -> str:
    return "no Start" if start is None else STARTS.get(start, f"Start {start}")


def _windows(facts: Windows) -> Iterator[Row]:
    yield "product", _each(facts.product, _product)
    yield "registry", [_hive(each) for each in facts.hives]
    yield "drivers", _each(facts.drivers, _driver) or ["none of virtio"]
    yield "agents", _each(facts.agents, _agent) or ["none"]
    clock = facts.clock
    if isinstance(clock, Unknown):
        yield "clock", [str(clock)]
    else:
        value = "absent" if clock.real_time_is_universal is None else str(clock.real_time_is_universal)
        lines = [f"RealTimeIsUniversal {value}{f' ({clock.type})' if clock.type else ''}: {clock.says}"]
        yield "clock", [*lines, f"time zone {clock.time_zone}, UTC is {clock.bias} minutes later"]
    yield "drive letters", _each(facts.drives, _drive) or ["none"]
    yield "SAN policy", [str(facts.san_policy or "not set: Windows' default")]
    yield "hotfixes", _each(facts.hotfixes, _hotfixes)
    yield "cloudbase-init", _cloudbase(facts.cloudbase_init)
    yield "left as", list(_sleep(facts.sleep))


def _product(facts: Product) -> str:
    words = [facts.name or "no name", facts.edition, facts.installation, facts.release, facts.service_pack]
    return f"{', '.join(word for word in words if word)}; version {facts.version}, build {facts.build}"


def _hive(state: HiveState) -> str:
    if state.state != "dirty" or state.sequence is None:
        return f"{state.name} {state.state}"
    numbers = " and ".join(map(str, state.sequence))
    return f"{state.name} dirty: sequence numbers {numbers}; what follows may be outdated, its logs have more"


def _driver(driver: Driver) -> str:
    start = driver.start if driver.start_override is None else driver.start_override
    forced = " by StartOverride" if driver.start_override is not None else ""
    return (
        f"{driver.service} ({driver.drives}): {_start(start)}{forced}{'' if driver.file else ', its file is missing'}"
    )


def _drive(drive: DriveLetter) -> str:
    return f"{drive.letter} {drive.device or drive.note} ({drive.identity})"


def _hotfixes(facts: Hotfixes) -> str:
    rollups = f"; cumulative {', '.join(facts.rollups)}" if facts.rollups else ""
    return (", ".join(facts.installed) or "none by number") + rollups


def _cloudbase(facts: CloudbaseInit | Unknown | None) -> list[str]:
    if facts is None:
        return ["not installed"]
    if isinstance(facts, Unknown):
        return [str(facts)]
    lines = [f"{facts.path} ({_start(facts.start)})"]
    if isinstance(facts.settings, Mapping):
        lines += [f"{name} = {value}" for name, value in facts.settings.items()]
    if isinstance(facts.sets_real_time_is_universal, int):
        lines.append(f"sets RealTimeIsUniversal to {facts.sets_real_time_is_universal} at each start")
    return lines


def _sleep(facts: Sleep) -> Iterator[str]:
    hibernation = facts.hibernation
    if isinstance(hibernation, Unknown) or hibernation == "hibernated":
        yield f"hiberfil.sys {hibernation}" if isinstance(hibernation, Unknown) else "hibernated: do not write to it"
    else:
        yield "shut down"
    if facts.fast_startup is True:
        yield "fast startup is on: a shutdown hibernates"
    if facts.dirty_volumes:
        yield f"dirty volumes: {', '.join(facts.dirty_volumes)}"


def _each(facts: Any, line: Any) -> list[str]:
    """A line for a fact, or for each of several; the reason where they are not known."""
    if isinstance(facts, Unknown):
        return [str(facts)]
    if not isinstance(facts, tuple):
        return [line(facts)]
    lines = [line(each) for each in facts]
    return [*lines[:_MOST_LINES], *([f"... and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else [])]


def _joined(facts: Iterable[str] | Unknown) -> list[str]:
    return [str(facts)] if isinstance(facts, Unknown) else [" ".join(facts) or "nothing"]


def _listed(facts: tuple[str, ...] | Unknown) -> list[str]:
    return [str(facts)] if isinstance(facts, Unknown) else [", ".join(facts[: _MOST_LINES * 2]) or "none"]


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
