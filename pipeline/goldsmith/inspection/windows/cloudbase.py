"""cloudbase-init in a Windows: whether it is installed, and the settings that touch what goldsmith sets."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass

from goldsmith.errors import HarnessError
from goldsmith.inspection.facts import Unknown, found, shown, text_of
from goldsmith.inspection.windows.registry import Registry
from goldsmith.verify.kinds.registry import in_any_case
from goldsmith.verify.tree import Tree

_SERVICE = "cloudbase-init"
_FOLDER = "/Program Files/Cloudbase Solutions/Cloudbase-Init/conf"
_CONFIG = re.compile(r"--config-file[ =]+(?:\"([^\"]{1,260})\"|(\S{1,260}))", re.IGNORECASE)
#: settings that are shown; the others may be secrets
_SHOWN = (
    "allow_reboot",
    "config_drive_locations",
    "config_drive_types",
    "groups",
    "inject_user_password",
    "metadata_services",
    "mtu_use_dhcp_config",
    "ntp_use_dhcp_config",
    "plugins",
    "real_time_clock_utc",
    "san_policy",
    "stop_service_on_exit",
    "username",
)
_CLOCK_PLUGIN = "NTPClientPlugin"


@dataclass(frozen=True)
class CloudbaseInit:
    #: Start of its service: 2 automatic, 4 disabled
    start: int | None
    #: its configuration, as the tree has it
    path: str | Unknown
    settings: dict[str, str] | Unknown
    #: what its plugin for NTP, on by default, makes of RealTimeIsUniversal at each start; None where it is off
    sets_real_time_is_universal: int | Unknown | None


def cloudbase_init(system: Registry, tree: Tree) -> CloudbaseInit | None:
    """By its service in the hive SYSTEM and its files; None where neither is there."""
    key = (system.control_set(), "Services", _SERVICE)
    image = system.text(key, "ImagePath") if system.has(key) else None
    path = found(lambda: _config(tree, image or ""))
    if not system.has(key) and isinstance(path, Unknown):
        return None
    settings = path if isinstance(path, Unknown) else found(lambda: _settings(text_of(tree, path) or ""))
    return CloudbaseInit(system.number(key, "Start"), path, settings, _sets_clock(settings))


def _config(tree: Tree, image: str) -> str:
    match = _CONFIG.search(image)
    if match:
        path = (match[1] or match[2]).replace("\\", "/")
        path = path[2:] if path[1:2] == ":" else path
        if path.startswith("/") and ".." not in path.split("/"):
            return in_any_case(path, tree)
    try:
        return in_any_case(f"{_FOLDER}/cloudbase-init.conf", tree)
    except HarnessError as error:
        raise HarnessError("there is no cloudbase-init.conf", where=_FOLDER) from error


def _settings(text: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=", ":"))
    try:
        parser.read_string(text.removeprefix("\ufeff"))
    except configparser.Error as error:
        raise ValueError("cloudbase-init.conf is no INI file") from error
    values = parser.defaults()
    return {name: shown(" ".join((values[name] or "").split())) for name in _SHOWN if name in values}


def _sets_clock(settings: dict[str, str] | Unknown) -> int | Unknown | None:
    if isinstance(settings, Unknown):
        return settings
    if "plugins" in settings and _CLOCK_PLUGIN not in settings["plugins"]:
        return None
    return int(settings.get("real_time_clock_utc", "false").lower() in ("true", "1", "yes", "on"))
