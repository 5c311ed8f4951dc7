"""What goldsmith knows of the diskimage-builder that is installed: its elements, version and dependencies."""

from __future__ import annotations

import importlib
import logging
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

# DIB logs what it then raises; without a handler Python would print that beside our own message.
logging.getLogger("diskimage_builder").addHandler(logging.NullHandler())


class DependencyError(ValueError):
    """The elements do not go together; the text is for the operator."""


def elements_folder() -> Path:
    """The folder of DIB's own elements."""
    # importlib, not import: DIB has no type information
    return Path(importlib.import_module("diskimage_builder.paths").get_path("elements")).resolve()


def version() -> str:
    """The version of diskimage-builder, as in ``3.43.0``."""
    return metadata.version("diskimage-builder")


#: the element that stands for the system of an image that is there
_STAND_IN = "goldsmith-existing-image"


def expand_onto_image(names: Sequence[str], folders: Sequence[Path]) -> dict[str, Path]:
    """As ``expand``, for elements that are put on a system that is there.

    Raises DependencyError for an element that makes a system, too.
    """
    with tempfile.TemporaryDirectory(prefix="goldsmith-") as own:
        provides = Path(own) / _STAND_IN / "element-provides"
        provides.parent.mkdir()
        provides.write_text("operating-system\n")
        found = expand([_STAND_IN, *names], [*folders, Path(own)])
    return {name: folder for name, folder in found.items() if name != _STAND_IN}


def expand(names: Sequence[str], folders: Sequence[Path]) -> dict[str, Path]:
    """All elements that a build with ``names`` uses, through their element-deps: name -> folder.

    ``folders`` is the search path, DIB's own elements left out.  Raises DependencyError.
    """
    module = importlib.import_module("diskimage_builder.element_dependencies")
    search = ":".join(str(folder) for folder in [*folders, elements_folder()] if folder.is_dir())
    try:
        return {name: Path(path) for name, path in module.get_elements(list(names), search)}
    except module.MissingElementException as error:
        raise DependencyError(f"an element-deps file names an element that does not exist: {error}") from error
    except module.AlreadyProvidedException as error:
        what = str(error) or "one of them provides another that is named too"
        raise DependencyError(f"two elements provide the same: {what}") from error
    except module.MissingOSException as error:
        raise DependencyError("no element provides an operating system") from error
