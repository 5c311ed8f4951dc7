"""The JSON Schema of a recipe, with the parameters of every element: for editors, and ``goldsmith schema``."""

from __future__ import annotations

import copy
from typing import Any

from goldsmith.errors import InputError, Problem
from goldsmith.recipe.element_schema import X_DIB
from goldsmith.recipe.elements import Element, available, find
from goldsmith.recipe.model import Recipe
from goldsmith.recipe.releases import DISTRIBUTIONS
from goldsmith.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(settings: Settings) -> dict[str, Any]:
    """A self-contained JSON Schema (draft 2020-12) of recipe files.

    Raises InputError with all problems of all elements where an element's own files are wrong.
    """
    schema = Recipe.model_json_schema()
    schema["$schema"] = DIALECT
    schema["title"] = "goldsmith recipe"
    definitions = schema["$defs"]
    definitions.pop("ElementUse", None)
    elements = _elements(settings)
    for element in elements:
        if element.own:
            definitions[f"element.{element.name}"] = _parameters(element)
    schema["properties"]["elements"]["items"] = _use(elements)
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "A recipe that this one is laid over, relative to this file; lists are replaced.",
    }
    # what is missing here may come from the recipe that is extended; the name may not
    required = [name for name in schema.pop("required", []) if name != "name"]
    schema["required"] = ["name"]
    schema["if"] = {"not": {"required": ["extends"]}}
    schema["then"] = {"required": required}
    # pydantic writes the names of variables as a pattern and forgets to refuse the others
    schema["properties"]["environment"]["additionalProperties"] = False
    definitions["Disk"]["properties"]["size"]["default"] = "4GiB"
    base = definitions["Base"]["properties"]
    base["distribution"]["enum"] = sorted(DISTRIBUTIONS)
    base["release"]["enum"] = sorted({name for each in DISTRIBUTIONS.values() for name in each.releases})
    base["architecture"]["enum"] = sorted({name for each in DISTRIBUTIONS.values() for name in each.architectures})
    return schema


def _elements(settings: Settings) -> list[Element]:
    found: list[Element] = []
    problems: list[Problem] = []
    for name in sorted(available(settings)):
        try:
            found.append(find(name, settings))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems=problems)
    return found


def _parameters(element: Element) -> dict[str, Any]:
    """The parameters' schema without what only goldsmith reads."""
    schema = copy.deepcopy(element.parameters)
    for each in schema.get("properties", {}).values():
        if isinstance(each, dict):
            each.pop(X_DIB, None)
    return {"description": element.schema.get("summary", element.name), **schema}


def _use(elements: list[Element]) -> dict[str, Any]:
    """An element without parameters by its name, or one key with its parameters."""
    plain = [each.name for each in elements if not each.parameters.get("required")]
    nothing = {"type": "null"}
    with_parameters = {
        each.name: {"anyOf": [{"$ref": f"#/$defs/element.{each.name}"}, *([nothing] if each.name in plain else [])]}
        for each in elements
        if each.own
    }
    return {
        "anyOf": [
            {"enum": plain},
            {
                "type": "object",
                "properties": with_parameters,
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }
