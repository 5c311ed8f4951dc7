"""cloud-init in a Linux: its version, the datasources that it may use, and whether it owns the network.

``datasource_list`` is read twice, because it is read twice at boot: by ds-identify, a shell script that knows single
lines only and takes the last one (check_config and parse_yaml_array of its source, 25.1), and by cloud-init itself,
which reads YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from goldsmith.errors import HarnessError
from goldsmith.inspection.boot import kernel_arguments
from goldsmith.inspection.facts import Unknown, found, known, shown, text_of
from goldsmith.inspection.units import is_masked, unit_file
from goldsmith.verify.tree import Tree

_PROGRAMS = ("/usr/bin/cloud-init", "/usr/local/bin/cloud-init", "/usr/lib/cloud-init/ds-identify")
_VERSIONS = (
    "/usr/lib/python3/dist-packages/cloudinit/version.py",
    "/usr/lib/python3*/site-packages/cloudinit/version.py",
    "/usr/local/lib/python3*/*-packages/cloudinit/version.py",
)
_CONFIGS = ("/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d/*.cfg")
#: kernel arguments that name the datasource to ds-identify
_ARGUMENTS = ("ds", "ci.ds", "ci.datasource")
_MOST_SOURCES = 64
#: files of settings that are read; a folder of an image may hold any number
_MOST_FILES = 64
#: characters of YAML that are read in all: it takes seconds for each MiB
_MOST_YAML = 2**18


class _Loader(yaml.SafeLoader):
    """Without merge keys, which multiply: a few lines of them fill the memory."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        pass


@dataclass(frozen=True)
class CloudInit:
    version: str | Unknown
    #: as ds-identify reads it; empty: it looks for all that it knows
    datasources: tuple[str, ...] | Unknown
    #: the file that they stand in, "kernel" for the kernel's arguments, None for ds-identify's own list
    datasources_from: str | Unknown | None
    #: as cloud-init itself reads it, where that differs from what ds-identify reads; else None
    differs: tuple[str, ...] | Unknown | None
    #: by which it will not run at all: a file, a kernel argument, a masked unit; None where it runs
    disabled: str | Unknown | None
    #: a file says ``network: {config: disabled}``, so that the network is not cloud-init's
    network_disabled: str | Unknown | None


def cloud_init(tree: Tree) -> CloudInit | None:
    """What is known of it; None where it is not installed."""
    if not any(tree.stat(path) is not None for path in _PROGRAMS):
        return None
    arguments = known(found(lambda: kernel_arguments(tree))) or ()
    sources = found(lambda: _datasources(tree, arguments))
    listed, place = (sources, sources) if isinstance(sources, Unknown) else sources
    return CloudInit(
        version=found(lambda: _version(tree)),
        datasources=listed,
        datasources_from=place,
        differs=found(lambda: _differing(tree, listed)),
        disabled=found(lambda: _disabled(tree, arguments)),
        network_disabled=found(lambda: _network_disabled(tree)),
    )


def _version(tree: Tree) -> str:
    for path in (path for pattern in _VERSIONS for path in tree.glob(pattern)):
        text = text_of(tree, path) or ""
        # A distribution writes its package's version over the second.
        for name in ("_PACKAGED_VERSION", "__VERSION__"):
            match = re.search(rf"""^{name}\s*=\s*["']([^"'@]+)["']""", text, re.MULTILINE)
            if match:
                return shown(match[1])
    raise HarnessError("there is no cloudinit/version.py", where="/usr/lib/python3")


def _config_files(tree: Tree) -> list[str]:
    return [path for pattern in _CONFIGS for path in tree.glob(pattern)][:_MOST_FILES]


def _datasources(tree: Tree, arguments: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """What ds-identify takes for datasource_list, and where it stands."""
    named = [word.partition("=")[2].partition(";")[0] for word in arguments if word.partition("=")[0] in _ARGUMENTS]
    if named and named[-1]:
        return (named[-1],), "kernel"
    configured = _line_value(text_of(tree, "/etc/cloud/ds-identify.cfg") or "", "datasource")
    if configured:
        return (shown(_unquoted(configured.strip())),), "/etc/cloud/ds-identify.cfg"
    value, place = "", None
    for path in _config_files(tree):
        line = _line_value(text_of(tree, path) or "", "datasource_list")
        if line is not None:
            value, place = line, path
    words = [_unquoted(word.strip()) for word in value.removeprefix("[").removesuffix("]").split(",")]
    listed = tuple(shown(word) for word in words if word)[:_MOST_SOURCES]
    # An empty one, as a list over several lines looks, is none: it goes on to search for all.
    return (listed, place) if listed else ((), None)


def _line_value(text: str, key: str) -> str | None:
    """The value of the last line ``key: value``, comments left out; a line with the bare key has an empty one."""
    value = None
    for line in text.splitlines():
        bare = line.partition("#")[0].strip()
        if bare.startswith(f"{key}: ") or bare == f"{key}:":
            value = bare.partition(":")[2].removeprefix(" ").strip()
    return value


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _documents(tree: Tree) -> Iterator[tuple[str, dict[str, Any]]]:
    length = 0
    for path in _config_files(tree):
        text = text_of(tree, path) or ""
        length += len(text)
        if length > _MOST_YAML:
            raise HarnessError(f"there are more than {_MOST_YAML // 1024} KiB of settings", where=path)
        try:
            document = yaml.load(text, Loader=_Loader)
        except (yaml.YAMLError, ValueError, RecursionError):
            # cloud-init warns of it and goes on, too.
            continue
        if isinstance(document, dict):
            yield path, document


def _differing(tree: Tree, listed: tuple[str, ...] | Unknown) -> tuple[str, ...] | None:
    value: Any = None
    for _, document in _documents(tree):
        value = document.get("datasource_list", value)
    if not isinstance(value, list):
        return None
    itself = tuple(shown(name) for name in value[:_MOST_SOURCES] if isinstance(name, str))
    return itself if itself != known(listed) else None


def _disabled(tree: Tree, arguments: tuple[str, ...]) -> str | None:
    if tree.exists("/etc/cloud/cloud-init.disabled"):
        return "/etc/cloud/cloud-init.disabled"
    if "cloud-init=disabled" in arguments:
        return "cloud-init=disabled"
    for unit in ("cloud-init.service", "cloud-init-network.service", "cloud-init-local.service", "cloud-init.target"):
        path = unit_file(tree, unit)
        if path and is_masked(tree, path):
            return path
    return None


def _network_disabled(tree: Tree) -> str | None:
    place = None
    for path, document in _documents(tree):
        if isinstance(document.get("network"), dict):
            place = path if document["network"].get("config") == "disabled" else None
    return place
