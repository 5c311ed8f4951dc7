"""An image is untrusted until its format was looked at: a qcow2's header can name any file of the host."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from oslo_utils.imageutils import format_inspector

from goldsmith.errors import InputError


def image_format(image: Path) -> Literal["qcow2", "raw"]:
    """The format of an image that is safe to open.

    Raises InputError for a file that is absent, of another format, or refers to other files (backing file, data
    file), as Glance and Nova refuse it too.
    """
    if not image.is_file():
        raise InputError("no such image", where=str(image), hint="run: goldsmith build")
    try:
        inspector = format_inspector.detect_file_format(str(image))
        # What is nothing else is called raw; a raw image that can boot has a partition table.
        if inspector is None or (found := str(inspector)) == "raw":
            raise InputError("is no disk image: neither qcow2 nor a partitioned disk", where=str(image))
        inspector.safety_check()
    except (format_inspector.ImageFormatError, format_inspector.SafetyCheckFailed) as error:
        raise InputError(f"is not safe to open: {error}", where=str(image)) from error
    # Both kinds of partition tables go by this name.
    if found == "gpt":
        return "raw"
    if found != "qcow2":
        raise InputError(f"is {found}, expected qcow2 or raw", where=str(image))
    return "qcow2"
