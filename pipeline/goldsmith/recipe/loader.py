"""From a file to a Recipe: ``extends``, the model's errors in our words, and all problems at once."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from goldsmith.errors import InputError, Problem
from goldsmith.recipe import yamlfile
from goldsmith.recipe.examine import Draft, Findings, examine
from goldsmith.recipe.model import (
    BOOTSTRAP_TAG,
    IMAGE_TAG,
    VARIABLE,
    AnyBase,
    Base,
    Disk,
    ElementUse,
    ImageBase,
    Mirror,
    Publish,
    Recipe,
    WrongValueError,
    origin,
)
from goldsmith.recipe.problems import did_you_mean, dotted, kind_of, nearest, wrong_type
from goldsmith.settings import Settings

_MODELS: Mapping[str, type[BaseModel]] = {
    "": Recipe,
    "base": Base,
    "disk": Disk,
    "mirror": Mirror,
    "publish": Publish,
}

_BASE: TypeAdapter[Base | ImageBase] = TypeAdapter(AnyBase)

#: pydantic's names of type errors -> JSON Schema's
_TYPE_ERRORS = {
    "string_type": "string",
    "bool_type": "boolean",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
    "tuple_type": "array",
}


def load(path: Path, settings: Settings) -> Recipe:
    """Read a recipe and all that it extends.

    Raises InputError with every problem there is: in the files, the model, the elements and their parameters.
    """
    return load_examined(path, settings)[0]


def load_examined(path: Path, settings: Settings) -> tuple[Recipe, Findings]:
    """As ``load``; also what its elements are and bring, for ``make_plan``."""
    origins: dict[str, str] = {}
    document = _read(path, (), origins)
    file = str(path)
    problems: list[Problem] = []
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(document).placed(path, origins)
        draft = Draft.of(recipe)
    except ValidationError as error:
        problems = [_translate(each, document, origins, file) for each in _causes(error.errors())]
        draft = _salvage(document, origins, file)
    found = examine(draft, settings)
    problems.extend(found.problems)
    if problems or recipe is None:
        raise InputError(problems=sorted(problems, key=lambda each: each.file != file))
    return recipe, found


def _read(path: Path, chain: tuple[Path, ...], origins: dict[str, str]) -> dict[str, Any]:
    """The document in ``path``, laid over what it extends; notes in ``origins`` which file each value is from."""
    file = str(path)
    document = yamlfile.read(path)
    if document is None:
        raise InputError(problems=[Problem(file, "", "is empty")])
    if not isinstance(document, dict):
        raise InputError(problems=[Problem(file, "", f"a recipe is a mapping, found {kind_of(document)}")])
    parent = document.pop("extends", None)
    if parent is None:
        _note(document, "", file, origins)
        return document
    if not isinstance(parent, str):
        message, suggestion = wrong_type("string", parent)
        raise InputError(problems=[Problem(file, "extends", message, suggestion)])
    target = path.parent / parent
    chain = (*chain, path.resolve())
    if target.resolve() in chain:
        loop = [*chain[chain.index(target.resolve()) :], target.resolve()]
        shown = " -> ".join(each.name for each in loop)
        raise InputError(problems=[Problem(file, "extends", f"extends itself: {shown}")])
    if not target.is_file():
        known = target.parent.glob("*.yaml") if target.parent.is_dir() else ()
        hint = did_you_mean(target.name, (each.name for each in known if each.resolve() != path.resolve()))
        raise InputError(problems=[Problem(file, "extends", f"no such file: {target}", hint)])
    base = _read(target, chain, origins)
    # Two recipes of one name would overwrite each other's image, so a name is never inherited.
    base.pop("name", None)
    if isinstance(base.get("publish"), dict):
        base["publish"].pop("name", None)
    return _merge(base, document, "", file, origins)


def _note(value: Any, path: str, file: str, origins: dict[str, str]) -> None:
    if path:
        origins[path] = file
    if isinstance(value, dict):
        for key, inner in value.items():
            _note(inner, dotted([path, key]) if path else key, file, origins)


def _merge(base: dict[str, Any], over: dict[str, Any], path: str, file: str, origins: dict[str, str]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        place = f"{path}.{key}" if path else key
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merge(base[key], value, place, file, origins)
        else:
            for stale in [each for each in origins if each.startswith((f"{place}.", f"{place}["))]:
                del origins[stale]
            merged[key] = copy.deepcopy(value)
            _note(value, place, file, origins)
    return merged


def _causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without those that only follow from an error further in: pydantic counts a wrong item as no item."""
    return [
        each
        for each in errors
        if not any(other["loc"][: len(each["loc"])] == each["loc"] != other["loc"] for other in errors)
    ]


def _at(document: Any, location: tuple[int | str, ...]) -> Any:
    for part in location:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _translate(error: ErrorDetails, document: dict[str, Any], origins: dict[str, str], file: str) -> Problem:
    location = tuple(part for part in error["loc"] if part not in ("[key]", BOOTSTRAP_TAG, IMAGE_TAG))
    path = dotted(location)
    message, suggestion = _words(error, location, _at(document, location), document)
    if error["type"] == "missing" and not path.count("."):
        # what no file says is the recipe's own omission
        return Problem(file, path, message, suggestion)
    return Problem(origin(origins, path, file), path, message, suggestion)


def _words(
    error: ErrorDetails, location: tuple[int | str, ...], value: Any, document: dict[str, Any]
) -> tuple[str, str | None]:
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "missing":
        siblings = _at(document, location[:-1])
        near = nearest(str(location[-1]), siblings if isinstance(siblings, dict) else ())
        if location == ("base", "distribution") and not near:
            # An empty base, or one of which only an image's other keys are there.
            return "`distribution` is missing", "or give an image: {image: FILE or https URL}"
        return f"`{location[-1]}` is missing", f"did you mean it by `{near}`" if near else None
    if kind == "extra_forbidden":
        model = ImageBase if IMAGE_TAG in error["loc"] else _MODELS.get(dotted(location[:-1]))
        known = set(model.model_fields) if model else set()
        extra = {"extends"} if len(location) == 1 else set()
        return f"unknown key `{location[-1]}`", did_you_mean(str(location[-1]), known | extra)
    if kind == "value_error" and isinstance(cause := context.get("error"), WrongValueError):
        return str(cause), cause.suggestion
    if kind in _TYPE_ERRORS:
        return wrong_type(_TYPE_ERRORS[kind], value)
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        shown = ", ".join(f"`{each}`" for each in allowed)
        near = nearest(value, allowed) if isinstance(value, str) else None
        return f"must be one of {shown}, found {kind_of(value)}", f"did you mean `{near}`" if near else None
    if kind in ("too_short", "string_too_short"):
        return "must not be empty", None
    return error["msg"], None


def _salvage(document: dict[str, Any], origins: dict[str, str], file: str) -> Draft:
    """The parts of a recipe that can be judged although the whole is wrong."""

    def texts(key: str) -> dict[str, str]:
        value = document.get(key)
        items = value.items() if isinstance(value, dict) else ()
        return {name: each for name, each in items if isinstance(each, str)}

    base: Base | ImageBase | None = None
    uses: list[tuple[int, ElementUse]] = []
    try:
        base = _BASE.validate_python(document.get("base"))
    except ValidationError:
        base = None
    listed = document.get("elements")
    for index, entry in enumerate(listed if isinstance(listed, list) else ()):
        try:
            uses.append((index, ElementUse.model_validate(entry)))
        except ValidationError:
            continue
    environment = {name: each for name, each in texts("environment").items() if re.match(VARIABLE, name)}
    disk = document.get("disk")
    given = {f"disk.{name}" for name in disk} if isinstance(disk, dict) else set()
    given |= {name for name in ("packages", "mirror") if document.get(name)}

    def file_of(path: str) -> str:
        return origin(origins, path, file)

    return Draft(base, tuple(uses), environment, texts("properties"), file_of, frozenset(given))
