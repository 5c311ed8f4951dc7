"""The image properties that Nova reads, taken from a clone of Nova: ``python -m goldsmith.recipe.nova_tree CLONE``.

Its output is nova_vocabulary.yaml beside this file.  Nova is read, by ast and through git, and never imported.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from goldsmith.errors import InputError
from goldsmith.host.run import run

_META = "nova/objects/image_meta.py"
_FIELDS = "nova/objects/fields.py"
_BESIDE = {"network_model": "nova/network/model.py", "arch": "nova/virt/arch.py"}
#: of the library cursive, signature_utils.HASH_METHODS
_CURSIVE_HASHES = ["SHA-224", "SHA-256", "SHA-384", "SHA-512"]
#: read past ImageMetaProps, out of the instance's copy; the place where it is read
_RAW = {"os_shutdown_timeout": ("Integer", "nova/compute/manager.py")}


def _git(clone: Path, *words: str) -> str:
    return run(["git", "-c", "safe.directory=*", "-C", clone, *words], deadline=60).stdout


def _module(clone: Path, ref: str, path: str) -> ast.Module:
    return ast.parse(_git(clone, "show", f"{ref}:{path}"))


def _class(module: ast.Module, name: str, path: str) -> ast.ClassDef:
    for node in module.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    raise InputError(f"no class {name}", where=path, hint="is it a clone of Nova?")


def _assignments(body: list[ast.stmt]) -> dict[str, ast.expr]:
    return {
        node.targets[0].id: node.value
        for node in body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _field_types(props: ast.ClassDef) -> dict[str, str]:
    """Property to the field's class: ``hw_disk_bus`` to ``DiskBusField``."""
    table = _assignments(props.body)["fields"]
    assert isinstance(table, ast.Dict)
    return {
        key.value: value.func.attr
        for key, value in zip(table.keys, table.values, strict=True)
        if isinstance(key, ast.Constant)
        and isinstance(key.value, str)
        and isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
    }


def _evaluate(node: ast.expr, names: dict[str, ast.expr], beside: dict[str, dict[str, ast.expr]]) -> Any:
    """The value of a constant, a name, a name of a module beside, or a tuple of those."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple | ast.List):
        return [_evaluate(each, names, beside) for each in node.elts]
    if isinstance(node, ast.Name):
        return _evaluate(names[node.id], names, beside)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in beside:
        table = beside[node.value.id]
        return _evaluate(table[node.attr], table, beside)
    return None


def _enums(clone: Path, ref: str) -> dict[str, dict[str, Any]]:
    """The field's class to ``values`` and ``any_case``, for fields that are enumerations."""
    fields = _module(clone, ref, _FIELDS)
    beside = {name: _assignments(_module(clone, ref, path).body) for name, path in _BESIDE.items()}
    found: dict[str, dict[str, Any]] = {}
    for node in fields.body:
        if not (isinstance(node, ast.ClassDef) and node.name.endswith("Field")):
            continue
        made = _assignments(node.body).get("AUTO_TYPE")
        if not (isinstance(made, ast.Call) and isinstance(made.func, ast.Name)):
            continue
        kind = _class(fields, made.func.id, _FIELDS) if _has(fields, made.func.id) else None
        values = _assignments(kind.body) if kind else {}
        if kind is None or "ALL" not in values:
            continue
        listed = _evaluate(values["ALL"], values, beside)
        found[node.name] = {"values": _CURSIVE_HASHES if listed is None else sorted(listed)}
        # Where Nova overrides coerce, it is to make lower case of what it gets.
        if any(isinstance(each, ast.FunctionDef) and each.name == "coerce" for each in kind.body):
            found[node.name]["any_case"] = True
    return found


def _has(module: ast.Module, name: str) -> bool:
    return any(isinstance(node, ast.ClassDef) and node.name == name for node in module.body)


def _releases(clone: Path) -> list[int]:
    tags = _git(clone, "tag", "--list").split()
    return sorted(int(match[1]) for tag in tags if (match := re.fullmatch(r"(\d{2})\.0\.0", tag)))


def _since(clone: Path) -> dict[str, int]:
    """Property to the first release that has it; the oldest one that there is stands for it and all before."""
    found: dict[str, int] = {}
    for release in _releases(clone):
        props = _class(_module(clone, f"{release}.0.0", _META), "ImageMetaProps", _META)
        for name in _field_types(props):
            found.setdefault(name, release)
    return found


def _entries(clone: Path, ref: str, types: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    enums, since = _enums(clone, ref), _since(clone)
    newest = max(since.values(), default=0)
    for name, kind in sorted(types.items()):
        entry: dict[str, Any] = {"type": kind.removesuffix("Field"), "since": since.get(name, newest + 1)}
        if kind in enums:
            entry |= {"type": "Enum"} | enums[kind]
        yield name, entry
    for name, (kind, path) in _RAW.items():
        if f"image_{name}" not in _git(clone, "show", f"{ref}:{path}"):
            raise InputError(f"{name} is read no longer", where=path, hint="take it from the table of raw ones")
        yield name, {"type": kind, "since": 12, "raw": path}


def describe(clone: Path, ref: str = "HEAD") -> dict[str, Any]:
    """``properties`` (type, since, values), ``legacy`` names, ``source``.  Raises InputError for what is no Nova."""
    props = _class(_module(clone, ref, _META), "ImageMetaProps", _META)
    plain = _assignments(props.body)
    legacy = plain["_legacy_property_map"]
    return {
        "source": {
            "project": "openstack/nova",
            "files": [_META, _FIELDS],
            "commit": _git(clone, "rev-parse", ref).strip(),
            "version": ast.literal_eval(plain["VERSION"]),
        },
        "properties": dict(_entries(clone, ref, _field_types(props))),
        "legacy": ast.literal_eval(legacy),
    }


class _Plain(yaml.SafeDumper):
    """Lists that are the same are written out, not referred to."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


if __name__ == "__main__":
    sys.stdout.write("# Made by python -m goldsmith.recipe.nova_tree.  `since` 12 is Nova 12 or before.\n")
    yaml.dump(describe(Path(sys.argv[1])), sys.stdout, _Plain, sort_keys=False, width=110, default_flow_style=None)
