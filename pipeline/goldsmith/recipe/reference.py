"""The reference of elements for docs/: made from their own files, so that it cannot say anything else.

python -m goldsmith.recipe.reference > docs/reference.md
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from goldsmith.recipe.elements import Element, load_folder
from goldsmith.settings import PROJECT_ROOT

_HEAD = """\
# Elements and their parameters

Made by `make docs` from each element's `schema.yaml`, `checks.yaml` and `README.rst`; do not edit it here.
"""


def reference(folder: Path) -> str:
    """Markdown about every element in ``folder``.  Raises InputError where one of their files is wrong."""
    paths = sorted(path for path in folder.iterdir() if path.is_dir())
    return "\n".join([_HEAD, *(_section(load_folder(path)) for path in paths)])


def _section(element: Element) -> str:
    parts = [f"## {element.name}\n", f"{element.schema.get('summary', '')}.\n"]
    if required := element.schema.get("requires", {}).get("elements"):
        parts.append(f"Needs {', '.join(f'`{name}`' for name in required)} in the recipe.\n")
    properties: dict[str, Any] = element.parameters.get("properties", {})
    if properties:
        rows = ["| parameter | values | default | variable | |", "| --- | --- | --- | --- | --- |"]
        rows += [_row(name, schema) for name, schema in properties.items()]
        parts.append("\n".join(rows) + "\n")
    parts.append(_markdown((element.folder / "README.rst").read_text()) + "\n")
    if element.checks:
        parts.append("What is checked:\n")
        parts.append("\n".join(f"* `{check['id']}`: {check['says']}" for check in element.checks) + "\n")
    return "\n".join(parts)


def _row(name: str, schema: dict[str, Any]) -> str:
    default = f"`{json.dumps(schema['default'])}`" if "default" in schema else "required"
    variable = schema.get("x-dib", {}).get("variable", "")
    cells = [f"`{name}`", _values(schema), default, f"`{variable}`" if variable else "", schema.get("description", "")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(schema: dict[str, Any]) -> str:
    """What may be given, in words."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(_values(each) for each in schema.get("anyOf", schema.get("oneOf", [])))
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(str(each) for each in kind)
    if kind == "array":
        return f"list of {_values(schema.get('items', {}))}"
    if kind == "object":
        return "{" + ", ".join(f"{key}: {_values(each)}" for key, each in schema.get("properties", {}).items()) + "}"
    bounds = [f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema]
    return " ".join([str(kind), *bounds])


def _markdown(text: str) -> str:
    """The little reStructuredText that the READMEs use, without their title; long lines stay as they are."""
    lines = text.strip().splitlines()
    body = lines[3:] if len(lines) > 2 and re.fullmatch(r"=+", lines[0]) else lines
    out: list[str] = []
    for line in body:
        if out and line and re.fullmatch(r"[-~=]+", line) and len(line) >= len(out[-1]) > 0:
            out[-1] = f"### {out[-1]}"
        else:
            out.append(re.sub(r"``([^`]+)``", r"`\1`", line))
    return re.sub(r"::(\n|$)", r":\1", "\n".join(out)).strip()


def main() -> None:
    sys.stdout.write(reference(PROJECT_ROOT / "elements"))


if __name__ == "__main__":
    main()
