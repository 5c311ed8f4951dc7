"""The kind service: whether systemd starts a unit, by its links on the disk or by the running systemd."""

from __future__ import annotations

import stat
from typing import Literal, Self

from pydantic import Field, model_validator

from goldsmith.verify.compare import Finding, Strict
from goldsmith.verify.kinds.guest import unit_state
from goldsmith.verify.subjects import LiveGuest
from goldsmith.verify.tree import Tree

State = Literal["enabled", "disabled", "masked", "static", "absent"]

_ADMIN = "/etc/systemd/system"
#: of the system's manager, in order of precedence (man 5 systemd.unit); what a boot puts in /run is not on a disk
_FOLDERS = (_ADMIN, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
#: keys of [Install] that make links (man 5 systemd.unit)
_INSTALLS = ("WantedBy", "RequiredBy", "UpheldBy", "Alias", "Also")
_SUFFIXES = (".service", ".socket", ".timer", ".target", ".mount", ".path", ".swap", ".automount", ".slice", ".scope")
#: UnitFileState of a running systemd, where it has other words for the same
_LIVE = {
    "enabled-runtime": "enabled",
    "masked-runtime": "masked",
    # Nothing starts it, but it could be enabled, or names others that can be.
    "linked": "disabled",
    "linked-runtime": "disabled",
    "indirect": "disabled",
}


class ServiceAssertion(Strict):
    """Whether systemd starts a service, or another unit, at boot, and whether it runs."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9:_.@\\-]+$", description="Such as ssh or ssh.socket; .service may be left out"
    )
    state: State | None = Field(
        default=None, description="static: it has no [Install], others start it; absent: there is no such unit"
    )
    active: bool | None = None

    @model_validator(mode="after")
    def _something_is_asked(self) -> Self:
        if self.state is None and self.active is None:
            raise ValueError("asks nothing: give state or active")
        if self.state in ("masked", "absent") and self.active:
            raise ValueError(f"a unit that is {self.state} cannot be active")
        return self

    def unfit(self, layer: str) -> str | None:
        if self.active is not None and layer != "live":
            return "only a running system has active units"
        return None

    @property
    def unit(self) -> str:
        return self.name if self.name.endswith(_SUFFIXES) else f"{self.name}.service"


def service(assertion: ServiceAssertion, tree: Tree) -> list[Finding]:
    """By the files and links of systemd's folders; ``systemctl preset-all`` of a first boot may change them."""
    return _state_finding(assertion, *state_on_disk(assertion.unit, tree))


def service_live(assertion: ServiceAssertion, guest: LiveGuest) -> list[Finding]:
    state = unit_state(assertion.unit, guest)
    seen = ", ".join(f"{key}={value}" for key, value in sorted(state.items()))
    findings = []
    if assertion.state is not None:
        said = state.get("UnitFileState", "")
        found = "absent" if state.get("LoadState") == "not-found" else _LIVE.get(said, said)
        findings += _state_finding(assertion, found, seen)
    if assertion.active is not None:
        # "activating" is neither: what still starts must not pass as off.
        wanted = ("active", "reloading") if assertion.active else ("inactive", "failed")
        if state.get("ActiveState") not in wanted:
            expected = "is active" if assertion.active else "is not active"
            findings.append(Finding(f"{assertion.unit} {expected}", seen))
    return findings


def _state_finding(assertion: ServiceAssertion, state: str, seen: str) -> list[Finding]:
    if assertion.state in (None, state):
        return []
    return [Finding(f"{assertion.unit} is {assertion.state}", seen)]


def state_on_disk(unit: str, tree: Tree) -> tuple[str, str]:
    """The unit's state as ``systemctl is-enabled`` names it, and what shows it.

    An alias has the state of its unit, which ``systemctl is-enabled`` calls "alias".
    """
    names = {unit}
    while True:
        path = _file(unit, tree)
        if path is None:
            return "absent", "no file of this name in systemd's folders"
        if _is_mask(path, tree):
            return "masked", f"{path} leads to /dev/null or is empty"
        alias = tree.readlink(path).rpartition("/")[2] if tree.is_symlink(path) else unit
        # An alias that leads back to one before it leads nowhere else.
        if alias in (*names, _template(unit)):
            break
        unit = alias
        names.add(unit)
    for name in sorted(names):
        for kind in ("wants", "requires", "upholds"):
            links = tree.glob(f"{_ADMIN}/*.{kind}/{_escaped(name)}")
            if links := [link for link in links if tree.is_symlink(link)]:
                return "enabled", "\n".join(links)
    if aliases := _aliases(unit, names, tree):
        return "enabled", "\n".join(aliases)
    if installs := _installs(path, tree):
        return "disabled", f"{path} has {', '.join(installs)} and no link"
    return "static", f"{path} has no [Install]"


def _file(unit: str, tree: Tree) -> str | None:
    """The file that systemd takes for a unit: its own, else that of its template."""
    for name in (unit, _template(unit)):
        for folder in _FOLDERS:
            if name and tree.exists(f"{folder}/{name}"):
                return f"{folder}/{name}"
    return None


def _template(unit: str) -> str:
    """getty@.service for getty@tty1.service; empty where it is no instance."""
    prefix, at, rest = unit.partition("@")
    return f"{prefix}@.{rest.rpartition('.')[2]}" if at and not rest.startswith(".") else ""


def _is_mask(path: str, tree: Tree) -> bool:
    if tree.is_symlink(path) and tree.readlink(path) == "/dev/null":
        return True
    entry = tree.stat(path)
    return entry is not None and stat.S_ISREG(entry.mode) and entry.size == 0


def _aliases(unit: str, names: set[str], tree: Tree) -> list[str]:
    """Links of other names to the unit, in the administrator's folder: what Alias= makes."""
    found = []
    for name in tree.names(_ADMIN):
        path = f"{_ADMIN}/{name}"
        if name != unit and tree.is_symlink(path) and tree.readlink(path).rpartition("/")[2] in names:
            found.append(path)
    return found


def _installs(path: str, tree: Tree) -> list[str]:
    """The keys of a unit's [Install] that make links, drop-ins aside."""
    if tree.stat(path) is None:
        return []
    section, found = "", []
    for line in tree.read(path).decode(errors="replace").splitlines():
        text = line.strip()
        if text.startswith("["):
            section = text
        key, equals, value = text.partition("=")
        if section == "[Install]" and equals and key.strip() in _INSTALLS and value.strip():
            found.append(key.strip())
    return found


def _escaped(name: str) -> str:
    """A name as a glob for itself alone; none of its characters but these is a wildcard."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)
